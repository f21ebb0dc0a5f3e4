"""The staging area: where it is, what it may hold, how long things stay in it."""

from oslo_config import cfg

STORE_GROUP = cfg.OptGroup(
    'os_glance_staging_store',
    title='Staging directory',
    help="The staging directory under the name that Glance's configuration has for it.",
)

STORE_OPTS = [
    cfg.StrOpt(
        'filesystem_store_datadir',
        default='/var/lib/glance/os_glance_staging_store',
        help="""
The directory for data that was staged, downloaded or converted and is not yet
in a store. [staging] path goes before it. All API processes and conductors
must see the same directory. On the file system of a file store, that store
takes staged data over without copying.
""",
    ),
]

GROUP = cfg.OptGroup('staging', title='Staging', help='Limits and lifetimes of the staging area.')

OPTS = [
    cfg.StrOpt(
        'path',
        help='The staging directory. Unset: [os_glance_staging_store] filesystem_store_datadir.',
    ),
    cfg.IntOpt(
        'capacity',
        min=0,
        help="""
The most bytes that staging may hold, reservations included. Unset: what the
file system has. A request that would exceed it is answered with 413.
""",
    ),
    cfg.IntOpt(
        'grace',
        default=86400,
        min=300,
        help="""
Age in seconds before the sweeper removes a file in staging, or an object in a
store, that no record names. Keep it above the longest time that a process may
hang between writing data and being replaced (see [conductor] stuck_after).
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_group(STORE_GROUP)
    conf.register_opts(STORE_OPTS, group=STORE_GROUP)
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def directory(conf: cfg.ConfigOpts) -> str:
    """The staging directory that the two options together name."""
    return conf.staging.path or conf.os_glance_staging_store.filesystem_store_datadir


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    return [(STORE_GROUP, STORE_OPTS), (GROUP, OPTS)]
