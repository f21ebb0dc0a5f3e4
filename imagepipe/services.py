"""The composition root: everything long-lived, built once from configuration.

Building opens no connection and starts no thread; parts connect when they are first used.
"""

import dataclasses
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_utils import uuidutils

from imagepipe import errors, identity, protections, tracing
from imagepipe.availability import Availability
from imagepipe.cache.files import CacheDirectory
from imagepipe.cache.node import Cache
from imagepipe.conf import check_values
from imagepipe.conf import protections as protection_options
from imagepipe.conf import staging as staging_options
from imagepipe.db import engines
from imagepipe.db.database import Database
from imagepipe.domain import properties
from imagepipe.domain.usage import Resource
from imagepipe.formats import compression
from imagepipe.formats.child import Limits as ChildLimits
from imagepipe.formats.qemu import QEMU_NAMES, QemuImg
from imagepipe.formats.rules import Rules
from imagepipe.key_manager import KeyManager
from imagepipe.policy import Policy
from imagepipe.quota import ConfiguredLimits, LimitSource, Quota, parse_size
from imagepipe.readiness import Readiness
from imagepipe.secrets import Secrets, read_key_file
from imagepipe.signatures import Signatures
from imagepipe.sources.fetcher import Fetcher
from imagepipe.sources.intake import Intake
from imagepipe.sources.limits import Limits as FetchLimits
from imagepipe.sources.regions import Regions
from imagepipe.sources.rules import UrlRules
from imagepipe.stores import loading
from imagepipe.stores.staging import StagingDirectory
from imagepipe.stores.store import Stores
from imagepipe.tracing import Tracing

if TYPE_CHECKING:
    from imagepipe.jobs.external import ExternalBoard
    from imagepipe.jobs.waking import Poster

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
    protections: protections.Protections
    quota: Quota
    stores: Stores
    staging: StagingDirectory
    intake: Intake
    fetcher: Fetcher
    #: None without [secrets] key_file: then nothing is fetched from URLs.
    secrets: Secrets | None
    key_manager: KeyManager
    signatures: Signatures
    #: Both None where no Keystone is asked: then nothing is fetched from other regions.
    identity: identity.Identity | None
    regions: Regions | None
    availability: Availability
    readiness: Readiness
    qemu_img: QemuImg
    inspection_rules: Rules
    unpack: Callable[..., compression.Reader]
    #: None where tracing is off.
    tracing: Tracing | None
    #: None without image_cache_dir, and in processes that send no images.
    cache: Cache | None
    #: None without [jobboard] connection.
    poster: 'Poster | None'

    @classmethod
    def build(cls, conf: cfg.ConfigOpts, *, serves: bool = True, caches: bool = False) -> 'Services':
        """Build every part. Raises ConfigurationInvalid, naming the option.

        serves: whether this process is a service, and makes the directories of stores.
        caches: whether it sends images, and keeps copies of them where that is configured.
        """
        _check(conf)
        tracer = tracing.setup(conf)
        fetcher = _fetcher(conf)
        stores = _stores(conf, fetcher, serves)
        host = conf.host or socket.gethostname()
        staging = StagingDirectory(
            staging_options.directory(conf),
            capacity=conf.staging.capacity,
            host=None if conf.staging.kind == staging_options.SHARED else host,
        )
        rules = _rules(conf)
        policy = Policy(conf)
        qemu_img = _qemu_img(conf)
        writing, reading = _engine(conf), _engine(conf, reading=True)
        database = Database(writing, reading)
        keystone = identity.load(conf)
        keys = KeyManager(conf)
        if tracer is not None:
            _trace(tracer, stores, qemu_img, database)
        return cls(
            conf=conf,
            name=f'{host}:{os.getpid()}:{uuidutils.generate_uuid()}',
            db=database,
            policy=policy,
            protections=load_protections(conf, policy),
            quota=Quota(_limits(conf), staging=conf.staging.capacity),
            stores=stores,
            staging=staging,
            intake=Intake(
                stores=stores,
                staging=staging,
                rules=rules,
                algorithms=(conf.hashing_algorithm, *conf.import_flow.digests),
                patience=conf.transfers.store_timeout,
                carried=tracer.carried if tracer is not None else None,
            ),
            fetcher=fetcher,
            secrets=_secrets(conf),
            key_manager=keys,
            signatures=Signatures(keys),
            identity=keystone,
            regions=_regions(conf, keystone) if keystone is not None else None,
            availability=Availability(database, patience=conf.api.unavailable_after * 60),
            readiness=Readiness(
                Database(writing, reading, attempts=1),
                staging,
                lease=conf.conductor.lease,
                default_store=stores.default,
                host=host if conf.staging.kind == staging_options.HOST_LOCAL else None,
            ),
            qemu_img=qemu_img,
            inspection_rules=rules,
            unpack=_unpacker(conf),
            tracing=tracer,
            cache=_cache(conf, database) if caches else None,
            poster=_poster(conf),
        )

    @property
    def host(self) -> str:
        """The host that this process runs on."""
        return self.name.partition(':')[0]

    def external_board(self) -> 'ExternalBoard | None':
        """One more connection to the external jobboard, not made yet; None where there is none."""
        return _external_board(self.conf)

    def close(self) -> None:
        """Let go of the connections to the database and to the jobboard."""
        if self.poster is not None:
            self.poster.close()
        self.db.close()


def load_protections(conf: cfg.ConfigOpts, policy: Policy) -> protections.Protections:
    """The property protections. Raises ConfigurationInvalid, naming what is wrong."""
    path = protection_options.find(conf)
    file = None if path is None else protections.read_file(path, conf.property_protection_rule_format)
    return protections.Protections(policy, file)


def _external_board(conf: cfg.ConfigOpts) -> 'ExternalBoard | None':
    options = conf.jobboard
    if not options.connection:
        return None
    from imagepipe.jobs.external import ExternalBoard  # noqa: PLC0415  an API without one needs no TaskFlow

    return ExternalBoard(
        options.connection, namespace=options.namespace, timeout=options.timeout, look=options.look
    )


def _poster(conf: cfg.ConfigOpts) -> 'Poster | None':
    board = _external_board(conf)
    if board is None:
        return None
    from imagepipe.jobs.waking import Poster  # noqa: PLC0415

    return Poster(board)


def _stores(conf: cfg.ConfigOpts, fetcher: Fetcher, serves: bool) -> Stores:
    stores = loading.load(conf, fetcher=fetcher, prepare=serves)
    if conf.staging.kind != staging_options.STORE:
        return stores
    return loading.set_apart(stores, conf.staging.store)


def _secrets(conf: cfg.ConfigOpts) -> Secrets | None:
    path = conf.secrets.key_file
    return Secrets(read_key_file(path)) if path else None


def _limits(conf: cfg.ConfigOpts) -> LimitSource:
    if conf.use_keystone_limits:
        from imagepipe.keystone_limits import KeystoneLimits  # noqa: PLC0415  half a second for openstacksdk

        return KeystoneLimits(conf, ttl=conf.keystone_limits_ttl)
    return ConfiguredLimits(
        {
            Resource.IMAGES: _count(conf.user_image_quota),
            Resource.UPLOADING: _count(conf.user_uploading_quota),
            Resource.SIZE: parse_size(conf.user_storage_quota, option='user_storage_quota'),
            Resource.STAGED: parse_size(conf.user_staging_quota, option='user_staging_quota'),
        }
    )


def _count(limit: int) -> int | None:
    return limit if limit >= 0 else None


def _check(conf: cfg.ConfigOpts) -> None:
    check_values(conf)
    for store, wanted in conf.import_flow.target_formats.items():
        if wanted not in QEMU_NAMES:
            raise errors.ConfigurationInvalid(
                reason=f"[import_flow] target_formats: '{wanted}' of store '{store}' cannot be converted to"
            )
    for name in conf.inject_metadata_properties.inject:
        if name in properties.BASE or name in properties.RESERVED or len(name) > properties.MAX_NAME:
            raise errors.ConfigurationInvalid(
                reason=f"[inject_metadata_properties] inject: '{name}' cannot be a custom property"
            )
    if not conf.database.connection:
        raise errors.ConfigurationInvalid(reason='[database] connection is not set')


def _cache(conf: cfg.ConfigOpts, database: Database) -> Cache | None:
    if not conf.image_cache_dir:
        return None
    directory = CacheDirectory(conf.image_cache_dir)
    try:
        directory.prepare()
    except OSError as error:
        raise errors.ConfigurationInvalid(reason=f'image_cache_dir cannot be used: {error}') from error
    nodes_told = conf.image_cache_driver == 'centralized_db'
    node = conf.worker_self_reference_url or ('' if nodes_told else socket.gethostname())
    if not node:
        raise errors.ConfigurationInvalid(
            reason='image_cache_dir with image_cache_driver centralized_db needs worker_self_reference_url'
        )
    return Cache(
        directory,
        node=node,
        nodes_told=nodes_told,
        max_size=conf.image_cache_max_size,
        stall_time=conf.image_cache_stall_time,
        db=database,
    )


def _engine(conf: cfg.ConfigOpts, *, reading: bool = False) -> engines.sa.Engine:
    options = conf.database
    return engines.create(
        options.connection,
        reading=reading,
        pool_size=options.max_pool_size or 5,
        max_overflow=options.max_overflow if options.max_overflow is not None else 50,
        recycle=options.connection_recycle_time,
        busy_timeout=max(1.0, conf.conductor.lease / 4),
        silence=engines.bearable_silence(conf.conductor.lease),
    )


def _trace(tracer: Tracing, stores: Stores, qemu_img: QemuImg, database: Database) -> None:
    for store_id, store in stores.all.items():
        tracer.calls(store, 'store', tracing.STORE_CALLS, store=store_id)
    tracer.calls(qemu_img, 'qemu_img', tracing.QEMU_IMG_CALLS)
    for engine in database.engines:
        tracer.statements(engines.sa, engine)


def _rules(conf: cfg.ConfigOpts) -> Rules:
    options = conf.image_format
    return Rules(
        require_match=options.require_image_format_match,
        allow_raw_containing=tuple(options.allow_raw_containing),
        vmdk_allowed_types=tuple(options.vmdk_allowed_types),
        gpt_nonfatal=tuple(options.gpt_safety_checks_nonfatal),
        max_virtual_size=options.max_virtual_size,
    )


def _regions(conf: cfg.ConfigOpts, keystone: identity.Identity) -> Regions:
    """Endpoints are verified as Keystone's is, where it has certificate authorities of its own."""
    fetcher = _fetcher(conf, ca_file=identity.ca_file(conf) or conf.web_download.ca_file)
    return Regions(fetcher, keystone.rights, trusted=conf.import_filtering_opts.trust_catalog)


def _fetcher(conf: cfg.ConfigOpts, **changed: object) -> Fetcher:
    rules = {
        field.name: getattr(conf.import_filtering_opts, field.name) for field in dataclasses.fields(UrlRules)
    }
    limits = {field.name: getattr(conf.web_download, field.name) for field in dataclasses.fields(FetchLimits)}
    return Fetcher(rules=UrlRules(**rules), limits=FetchLimits(**{**limits, **changed}))


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
