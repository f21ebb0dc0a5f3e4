"""From configuration to stores: one object for each configured store, none of them shared by name."""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glance_store import driver as glance_driver
from oslo_config import cfg

from imagepipe import errors
from imagepipe.stores import cinder, glance, rbd, s3, swift
from imagepipe.stores.file import Datadir, FileStore
from imagepipe.stores.glance import is_set, option
from imagepipe.stores.http import Fetching, HTTPStore
from imagepipe.stores.store import Store, Stores

LOG = logging.getLogger(__name__)

#: glance_store's vmware driver is not among them: nothing could discard what it leaves behind.
TYPES = ('file', 'http', 'rbd', 'swift', 's3', 'cinder')
RESERVED = 'os_glance_'
LEGACY_GROUP = 'glance_store'

_CLASSES: Mapping[str, type[glance.GlanceStore]] = {
    'rbd': rbd.RBDStore,
    's3': s3.S3Store,
    'swift': swift.SwiftStore,
    'cinder': cinder.CinderStore,
}

_CHECKS: Mapping[str, Callable[[cfg.ConfigOpts, str | None], None]] = {
    'swift': swift.refuse_multi_tenant,
    'cinder': cinder.refuse_user_context,
}

#: URL schemes that [glance_store] default_store may name, by type; others are a type themselves.
_TYPE_OF = {
    'filesystem': 'file',
    'https': 'http',
    'swift+http': 'swift',
    'swift+https': 'swift',
    'swift+config': 'swift',
    'vsphere': 'vmware',
}


def load(conf: cfg.ConfigOpts, *, fetcher: Fetching | None = None, prepare: bool = True) -> Stores:
    """The configured stores; ConfigurationInvalid names the option that cannot work.

    fetcher: what http stores read by. prepare: make what is not there of file stores, as services do and
    nobody else may. Opens no connection. A backend that cannot be reached is no
    reason not to start: its store says so when it is used.
    """
    if conf.enabled_backends:
        return _several(conf, fetcher, prepare)
    kind = _TYPE_OF.get(conf.glance_store.default_store, conf.glance_store.default_store)
    schemes = {_TYPE_OF.get(name, name) for name in conf.glance_store.stores}
    if kind not in TYPES:
        raise errors.ConfigurationInvalid(
            reason=f"[glance_store] default_store: type '{kind}' is none of {TYPES}"
        )
    if kind not in schemes:
        raise errors.ConfigurationInvalid(reason=f"[glance_store] default_store '{kind}' is not among stores")
    kinds = dict.fromkeys([kind, *(['http'] if 'http' in schemes else [])])
    # Besides the default one only that of images elsewhere: another would need options of its own.
    stores = {each: _load_one(conf, each, each, None, fetcher, prepare) for each in kinds}
    return Stores(stores, default=kind, multi=False)


def set_apart(stores: Stores, staging: str | None) -> Stores:
    """The stores with one set apart for staged data. Raises ConfigurationInvalid."""
    reason = None
    if staging not in stores or not stores.multi:
        reason = f"'{staging}' is not one of enabled_backends"
    elif staging == stores.default:
        reason = f"'{staging}' is the default store of images"
    elif stores[staging].read_only:
        reason = f"'{staging}' takes no data"
    if reason is not None:
        raise errors.ConfigurationInvalid(reason=f'[staging] store: {reason}')
    return stores.without(staging)


def _several(conf: cfg.ConfigOpts, fetcher: Fetching | None, prepare: bool) -> Stores:
    for store_id, kind in conf.enabled_backends.items():
        if store_id.startswith(RESERVED):
            raise errors.ConfigurationInvalid(reason=f"enabled_backends: ids as '{store_id}' are reserved")
        if kind not in TYPES:
            raise errors.ConfigurationInvalid(reason=f"enabled_backends: type '{kind}' is none of {TYPES}")
    default = conf.glance_store.default_backend
    if default not in conf.enabled_backends:
        raise errors.ConfigurationInvalid(
            reason=f"[glance_store] default_backend '{default}' is not one of enabled_backends"
        )
    stores = {
        store_id: _load_one(conf, store_id, kind, store_id, fetcher, prepare)
        for store_id, kind in conf.enabled_backends.items()
    }
    if stores[default].read_only:
        raise errors.ConfigurationInvalid(reason=f"[glance_store] default_backend '{default}' takes no data")
    return Stores(stores, default=default, multi=True)


def _load_one(
    conf: cfg.ConfigOpts,
    store_id: str,
    kind: str,
    group: str | None,
    fetcher: Fetching | None,
    prepare: bool,
) -> Store:
    register(conf, kind, group)
    options: dict[str, Any] = {}
    if group is not None:
        options = {'description': conf[group].store_description, 'weight': conf[group].weight}
    if kind == 'file':
        return _file_store(conf, store_id, group, options, prepare)
    if kind == 'http':
        return _http_store(conf, store_id, group, fetcher, options)
    if kind in _CHECKS:
        _CHECKS[kind](conf, group)
    store = _CLASSES.get(kind, glance.GlanceStore)(store_id, kind, conf, group, **options)
    store.prepare()
    return store


def register(conf: cfg.ConfigOpts, kind: str, group: str | None) -> None:
    """The driver's own options in the store's section, and in [backend_defaults] that stands behind it."""
    options = glance.driver_factory(kind).OPTIONS
    conf.register_opts(options, group=group or LEGACY_GROUP)
    if group is not None:
        conf.register_opts(glance_driver.Store.MULTI_BACKEND_OPTIONS, group=group)
        conf.register_opts(options, group=glance_driver.SHARED_CONF_GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """The options of every type that can be loaded here, for the sample configuration."""
    listed = []
    for kind in TYPES:
        try:
            options = glance.driver_factory(kind).OPTIONS
        except errors.ConfigurationInvalid as error:
            LOG.info('No sample of the options of %s: %s', kind, error)
            continue
        listed.append((kind, [*glance_driver.Store.MULTI_BACKEND_OPTIONS, *options]))
    return listed


#: Options of glance_store's http driver, by which nothing is read here.
_UNUSED = ('https_ca_certificates_file', 'https_insecure', 'http_proxy_information')


def _http_store(
    conf: cfg.ConfigOpts, store_id: str, group: str | None, fetcher: Fetching | None, options: dict[str, Any]
) -> HTTPStore:
    for name in _UNUSED:
        if is_set(conf, group or LEGACY_GROUP, name):
            LOG.warning('[%s] %s has no effect: see [web_download]', group or LEGACY_GROUP, name)
    return HTTPStore(store_id, fetcher, **options)


# The file store.


def _file_store(
    conf: cfg.ConfigOpts, store_id: str, group: str | None, options: dict[str, Any], prepare: bool
) -> FileStore:
    store = FileStore(
        store_id,
        _datadirs(conf, group),
        file_perm=_mode(option(conf, group, 'filesystem_store_file_perm'), group),
        chunk_size=option(conf, group, 'filesystem_store_chunk_size'),
        thin=option(conf, group, 'filesystem_thin_provisioning'),
        **options,
    )
    if not prepare:
        store.rely()
        return store
    try:
        store.prepare()
    except errors.ImagepipeError as error:
        LOG.error('Store %s cannot be used yet: %s', store_id, error)
    return store


def _datadirs(conf: cfg.ConfigOpts, group: str | None) -> list[Datadir]:
    several = option(conf, group, 'filesystem_store_datadirs')
    if not several:
        return [Datadir(Path(os.path.abspath(option(conf, group, 'filesystem_store_datadir'))))]
    if is_set(conf, group or LEGACY_GROUP, 'filesystem_store_datadir'):
        raise errors.ConfigurationInvalid(
            reason=f'[{group or LEGACY_GROUP}] has filesystem_store_datadir '
            'and filesystem_store_datadirs; use one'
        )
    found: dict[Path, Datadir] = {}
    for entry in several:
        path, colon, priority = entry.strip().rpartition(':')
        if not colon:
            path, priority = priority, '0'
        if not path.strip() or not (priority.strip() or '0').lstrip('-').isdigit():
            raise errors.ConfigurationInvalid(
                reason=f"[{group or LEGACY_GROUP}] filesystem_store_datadirs: '{entry}' is not path:priority"
            )
        datadir = Datadir(Path(os.path.abspath(path.strip())), int(priority.strip() or 0))
        if found.setdefault(datadir.path, datadir) != datadir:
            raise errors.ConfigurationInvalid(
                reason=f'[{group or LEGACY_GROUP}] filesystem_store_datadirs names {path} twice'
            )
    return list(found.values())


def _mode(value: int, group: str | None) -> int:
    """The option's digits are octal ones: 640 is 0o640."""
    if value <= 0:
        return 0
    try:
        return int(str(value), 8)
    except ValueError:
        raise errors.ConfigurationInvalid(
            reason=f'[{group or LEGACY_GROUP}] filesystem_store_file_perm: {value} is not octal'
        ) from None
