"""The composition root: everything long-lived, built once from configuration.

Building opens no connection and starts no thread; parts connect when they are first used.
"""

import dataclasses
import os
import socket
from collections.abc import Callable

from oslo_config import cfg
from oslo_utils import uuidutils

from imagepipe import errors, tracing
from imagepipe.conf import check_values
from imagepipe.conf import staging as staging_options
from imagepipe.db import engines
from imagepipe.db.database import Database
from imagepipe.formats import compression
from imagepipe.formats.child import Limits as ChildLimits
from imagepipe.formats.qemu import QEMU_NAMES, QemuImg
from imagepipe.formats.rules import Rules
from imagepipe.policy import Policy
from imagepipe.quota import Quota, parse_size
from imagepipe.secrets import Secrets, read_key_file
from imagepipe.sources.fetcher import Fetcher
from imagepipe.sources.intake import Intake
from imagepipe.sources.limits import Limits as FetchLimits
from imagepipe.sources.rules import UrlRules
from imagepipe.stores import loading
from imagepipe.stores.staging import SharedStaging
from imagepipe.stores.store import Stores

_MIB = 1 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Services:
    """What operations, handlers and workers are given.

    name: host:pid:uuid of this process, unique for each start, for claims and leases.
    """

    conf: cfg.ConfigOpts
    name: str
    db: Database
    policy: Policy
    quota: Quota
    stores: Stores
    staging: SharedStaging
    intake: Intake
    fetcher: Fetcher
    #: None without [secrets] key_file: then nothing is fetched from URLs.
    secrets: Secrets | None
    qemu_img: QemuImg
    inspection_rules: Rules
    unpack: Callable[..., compression.Reader]
    trace_key: str | None

    @classmethod
    def build(cls, conf: cfg.ConfigOpts) -> 'Services':
        """Build every part. Raises ConfigurationInvalid, naming the option."""
        _check(conf)
        trace_key = tracing.setup(conf)
        stores = loading.load(conf)
        staging = SharedStaging(staging_options.directory(conf), capacity=conf.staging.capacity)
        rules = _rules(conf)
        return cls(
            conf=conf,
            name=f'{socket.gethostname()}:{os.getpid()}:{uuidutils.generate_uuid()}',
            db=Database(_engine(conf)),
            policy=Policy(conf),
            quota=Quota(storage=parse_size(conf.user_storage_quota), staging=conf.staging.capacity),
            stores=stores,
            staging=staging,
            intake=Intake(
                stores=stores,
                staging=staging,
                rules=rules,
                algorithms=(conf.hashing_algorithm, *conf.import_flow.digests),
                patience=conf.transfers.store_timeout,
            ),
            fetcher=_fetcher(conf),
            secrets=_secrets(conf),
            qemu_img=_qemu_img(conf),
            inspection_rules=rules,
            unpack=_unpacker(conf),
            trace_key=trace_key,
        )

    def close(self) -> None:
        """Let go of the database's connections."""
        self.db.engine.dispose()


def _secrets(conf: cfg.ConfigOpts) -> Secrets | None:
    path = conf.secrets.key_file
    return Secrets(read_key_file(path)) if path else None


def _check(conf: cfg.ConfigOpts) -> None:
    check_values(conf)
    for store, wanted in conf.import_flow.target_formats.items():
        if wanted not in QEMU_NAMES:
            raise errors.ConfigurationInvalid(
                reason=f"[import_flow] target_formats: '{wanted}' of store '{store}' cannot be converted to"
            )
    if not conf.database.connection:
        raise errors.ConfigurationInvalid(reason='[database] connection is not set')


def _engine(conf: cfg.ConfigOpts) -> engines.sa.Engine:
    options = conf.database
    engine = engines.create(
        options.connection,
        pool_size=options.max_pool_size or 5,
        max_overflow=options.max_overflow if options.max_overflow is not None else 50,
        recycle=options.connection_recycle_time,
        busy_timeout=max(1.0, conf.conductor.lease / 4),
    )
    tracing.trace_statements(engines.sa, engine, conf)
    return engine


def _rules(conf: cfg.ConfigOpts) -> Rules:
    options = conf.image_format
    return Rules(
        require_match=options.require_image_format_match,
        allow_raw_containing=tuple(options.allow_raw_containing),
        vmdk_allowed_types=tuple(options.vmdk_allowed_types),
        gpt_nonfatal=tuple(options.gpt_safety_checks_nonfatal),
        max_virtual_size=options.max_virtual_size,
    )


def _fetcher(conf: cfg.ConfigOpts) -> Fetcher:
    rules = {
        field.name: getattr(conf.import_filtering_opts, field.name) for field in dataclasses.fields(UrlRules)
    }
    limits = {field.name: getattr(conf.web_download, field.name) for field in dataclasses.fields(FetchLimits)}
    return Fetcher(rules=UrlRules(**rules), limits=FetchLimits(**limits))


def _qemu_img(conf: cfg.ConfigOpts) -> QemuImg:
    options = conf.conversion
    limits = ChildLimits(
        memory=options.memory_limit * _MIB,
        cpu_seconds=options.cpu_limit,
        file_size=options.file_size_limit * 1024 * _MIB,
        timeout=options.timeout,
    )
    return QemuImg(binary=options.qemu_img, sandbox=options.sandbox, limits=limits)


def _unpacker(conf: cfg.ConfigOpts) -> Callable[..., compression.Reader]:
    ratio = conf.conversion.max_decompression_ratio

    def unpack(path: os.PathLike[str], kind: str, size_cap: int) -> compression.Reader:
        caps = compression.Caps(max_bytes=size_cap, max_ratio=ratio)
        return compression.open_compressed(path, kind, caps=caps)

    return unpack
