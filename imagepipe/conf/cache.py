"""[DEFAULT]: the image cache of an API node, by Glance's names."""

from oslo_config import cfg

DRIVERS = ('centralized_db', 'sqlite', 'xattr')

OPTS = [
    cfg.StrOpt(
        'image_cache_dir',
        help="""
A directory for copies of images that were downloaded. Unset, nothing is cached,
the cache API answers 404, and the version documents list fewer versions. All
API processes of one host share one directory; hosts never share one. Put it on
a disk of its own, or keep image_cache_max_size well below what is free.
""",
    ),
    cfg.IntOpt(
        'image_cache_max_size',
        default=10 * 1024**3,
        min=0,
        help="""
The most bytes that the cache holds. Before a copy is written, those that were
not read for the longest time are removed until it fits; an image that is larger
than this is not cached.
""",
    ),
    cfg.IntOpt(
        'image_cache_stall_time',
        default=86400,
        min=0,
        help="""
Seconds without a byte after which a copy that is still being written is given
up, as when a client has stopped reading. What a process that died has left is
removed at once, whatever this says.
""",
    ),
    cfg.StrOpt(
        'image_cache_driver',
        default='centralized_db',
        choices=[
            ('centralized_db', 'The API tells which nodes have a copy; worker_self_reference_url is needed.'),
            ('sqlite', 'GET /v2/cache/nodes answers 409. Records are in the database all the same.'),
            ('xattr', 'As sqlite.'),
        ],
        help="""
Glance's name for how the cache is recorded. Here it always is in the database,
by node.
""",
    ),
    cfg.StrOpt(
        'image_cache_sqlite_db',
        default='cache.db',
        deprecated_for_removal=True,
        deprecated_reason='The records of the cache are in the database.',
        help='Taken for the sake of existing configurations; nothing reads it.',
    ),
    cfg.URIOpt(
        'worker_self_reference_url',
        schemes=['http', 'https'],
        max_length=255,
        help="""
The URL of this very host's API, not of the load balancer before it. It is the
name of the host's cache, so it must differ from host to host and stay the same
over restarts. Needed with image_cache_dir and image_cache_driver centralized_db;
with the other drivers the host's name stands in for it.
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(OPTS)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [('DEFAULT', OPTS)]
