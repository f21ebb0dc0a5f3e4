"""[transfers]: uploads, downloads and deletes of image data."""

from oslo_config import cfg

GROUP = cfg.OptGroup('transfers', title='Transfers', help='Data on its way in and out of the service.')

OPTS = [
    cfg.IntOpt(
        'lease_seconds',
        default=90,
        min=3,
        help="""
Seconds after which an upload that gives no sign is ended by the sweeper: its
bytes are removed and the image is queued again. Whoever receives an upload
prolongs its lease, also while no bytes move, for as long as client_timeout and
store_timeout allow.
""",
    ),
    cfg.IntOpt(
        'client_timeout',
        default=60,
        min=1,
        help="""
Seconds for which a client may send nothing in the middle of a request body
before the upload counts as broken off. Under uWSGI and mod_wsgi the server's
own limit (socket-timeout, Timeout) ends it when that is shorter.
""",
    ),
    cfg.IntOpt(
        'drain_bytes',
        default=64 * 1024 * 1024,
        min=0,
        help="""
A request that is refused before its body was read is answered at once, and
then up to this many bytes of the body are read and dropped, so that a client
that looks for the answer only after sending finds it. After that the
connection is closed.
""",
    ),
    cfg.FloatOpt(
        'drain_seconds',
        default=10.0,
        min=0.0,
        help='The most seconds that reading and dropping a refused body may take; see drain_bytes.',
    ),
    cfg.IntOpt(
        'store_timeout',
        default=600,
        min=1,
        help="""
Seconds that a store may take for one piece of an upload that is streamed into
it, and for completing it, before the upload fails with 503. The lease of an
upload that waits longer than that for a disk is not prolonged any more.
""",
    ),
    cfg.FloatOpt(
        'delete_seconds',
        default=10.0,
        min=0.0,
        help="""
Seconds that DELETE waits for the stores to remove the data. What is not
removed by then is answered with 204 all the same, and removed by the sweeper.
""",
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
