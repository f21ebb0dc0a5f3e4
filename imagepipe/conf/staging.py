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
in a store. [staging] path goes before it, and [staging] kind says who must see
it. On the file system of a file store, that store takes staged data over
without copying.
""",
    ),
]

#: The kinds of staging in which each host has a directory for itself.
HOST_LOCAL, STORE = 'host-local', 'store'
#: The kind in which all hosts have the same directory.
SHARED = 'shared'

GROUP = cfg.OptGroup('staging', title='Staging', help='Limits and lifetimes of the staging area.')

OPTS = [
    cfg.StrOpt(
        'path',
        help='The staging directory. Unset: [os_glance_staging_store] filesystem_store_datadir.',
    ),
    cfg.StrOpt(
        'kind',
        default=SHARED,
        choices=[
            (SHARED, 'All API processes and conductors see the same directory.'),
            (
                HOST_LOCAL,
                'Each host has a directory of its own. An import whose data is staged on a host is run by '
                'the conductors of that host, so each host with an API needs a conductor.',
            ),
            (
                STORE,
                'What clients stage is kept in [staging] store, and any conductor fetches it. Each host has '
                'a directory of its own for what it works on.',
            ),
        ],
        help="""
Who sees the staging directory. All processes must say the same; change it while
nothing is staged.
""",
    ),
    cfg.StrOpt(
        'store',
        help="""
With the kind store: the one of enabled_backends that keeps what clients stage.
It is no store for images: nobody can name it, and it is in no list. It cannot be
the default one.
""",
    ),
    cfg.FloatOpt(
        'lost_after',
        default=3600.0,
        min=1.0,
        help="""
Of staging in a directory on each host: seconds without a sign of any of its conductors after
which a host is given up. What waits for data that is staged there waits no
more: a source that can be read again is read again by another host, and imports
of data that a client had staged fail. Keep it above the time in which a host
starts anew, and above [conductor] lease and sweep_interval. An operator who
knows sooner says so with imagepipe-manage conductors lost.
""",
    ),
    cfg.IntOpt(
        'capacity',
        min=0,
        help="""
The most bytes that staging may hold, on all hosts together, reservations
included. Unset: what the file system has. An upload that would exceed it is
answered with 413, an import fails.
""",
    ),
    cfg.IntOpt(
        'keep_failed',
        default=0,
        min=0,
        help="""
Seconds for which data that a client has staged is kept after its import has
failed. So long the image is uploading again, as after the staging, and the data
counts in quotas; the import can be retried, or asked for anew after a property
was corrected. Then the image is queued. 0: a failure removes the data.
""",
    ),
    cfg.IntOpt(
        'keep_for',
        min=1,
        help="""
Seconds that staged data is kept for an image for which nobody asks for the
import: then it is removed, counts for no quota any more, and the image is
queued again. Days are usual, such as 604800. Unset: for as long as the image is
uploading.
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
