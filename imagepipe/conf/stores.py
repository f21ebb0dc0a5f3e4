"""Which stores there are; the options of each store's own section belong to its driver."""

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'glance_store',
    title='Stores',
    help='The default store, and the one store of configurations without enabled_backends.',
)

DEFAULT_OPTS = [
    cfg.DictOpt(
        'enabled_backends',
        help="""
The stores, as id:type pairs separated by commas, for example
fast:rbd, cheap:file, web:http.

Each id names a section of its own with the options of that type, and with
store_description and weight. Types: file, swift, s3, rbd, cinder and http
(which is only read). Ids that begin with os_glance_ are reserved and stop
the start. A store that is taken out of this list makes the images that lie
only there unreadable until it is listed again. Without this option there is
one store, described in [glance_store], and clients cannot choose a store.
""",
    ),
]

OPTS = [
    cfg.StrOpt(
        'default_backend',
        help="""
The id of the store that takes images for which the client names none.
Needed with enabled_backends, and must be one of its ids that takes data.
""",
    ),
    cfg.ListOpt(
        'stores',
        default=['file', 'http'],
        deprecated_for_removal=True,
        deprecated_reason='Use enabled_backends, which has a section for every store.',
        help='Only without enabled_backends: the types that may be used; default_store must be among them.',
    ),
    cfg.StrOpt(
        'default_store',
        default='file',
        choices=[
            'file',
            'filesystem',
            'http',
            'https',
            'swift',
            'swift+http',
            'swift+https',
            'swift+config',
            'rbd',
            'cinder',
            'vsphere',
            's3',
        ],
        deprecated_for_removal=True,
        deprecated_reason='Use enabled_backends and default_backend.',
        help="""
Only without enabled_backends: the type, or a URL scheme of the type, of the
one store that takes images. Its options stand in [glance_store].
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_opts(DEFAULT_OPTS)
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    return [('DEFAULT', DEFAULT_OPTS), (GROUP, OPTS)]
