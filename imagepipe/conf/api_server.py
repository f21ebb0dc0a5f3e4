"""[api]: the server that imagepipe-api brings along; uWSGI and mod_wsgi have their own options."""

from oslo_config import cfg

from imagepipe.conf.api import GROUP

OPTS = [
    cfg.HostAddressOpt(
        'bind_host',
        default='127.0.0.1',
        help='The address that imagepipe-api listens on. With auth_strategy = none: a loopback address only.',
    ),
    cfg.PortOpt(
        'bind_port', default=9292, help='The port that imagepipe-api listens on; 0 takes a free one.'
    ),
    cfg.IntOpt(
        'workers',
        default=2,
        min=1,
        help='Processes of imagepipe-api. About one for each core: hashing is what they do.',
    ),
    cfg.IntOpt(
        'threads',
        default=16,
        min=1,
        help='Requests that one process of imagepipe-api serves at a time; an upload holds its thread.',
    ),
    cfg.IntOpt('backlog', default=2048, min=1, help='Connections that may wait for imagepipe-api.'),
    cfg.IntOpt(
        'graceful_seconds',
        default=60,
        min=0,
        help="""
Seconds that requests have to end after SIGTERM. Uploads that take longer are
broken off: their images are queued again.
""",
    ),
    cfg.IntOpt(
        'keepalive_seconds',
        default=75,
        min=0,
        help='Seconds that an idle connection to imagepipe-api is kept for the next request.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    return [(GROUP, OPTS)]
