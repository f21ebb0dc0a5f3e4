"""[jobboard]: what wakes conductors up, beside the database that they look at anyway."""

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'jobboard',
    title='An external jobboard, to wake conductors up',
    help='Imports wait in the database, and conductors look there each [conductor] poll seconds. With a '
    'jobboard on Redis or ZooKeeper they are woken up as well, so that an import starts within tens of '
    'milliseconds. Nothing depends on it: postings may be lost, doubled or stale, and while the board is '
    'away conductors find imports as they do without one.',
)

OPTS = [
    cfg.StrOpt(
        'connection',
        secret=True,
        help='redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or '
        'zookeeper://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]. Not set: there is none. With rediss:// the '
        "server's certificate is checked; ?ssl_ca_certs=FILE at the end says which authorities are trusted "
        'besides the default ones. A connection to ZooKeeper is not encrypted. What means something in a '
        'URL is written as %XX in a password. Redis needs the extra "redis" of this package, ZooKeeper the '
        'extra "zookeeper".',
    ),
    cfg.StrOpt(
        'namespace',
        default='imagepipe',
        regex='^[A-Za-z0-9_.-]+$',
        help='Prefix of the keys in Redis, or the path in ZooKeeper: one for each cloud on the server.',
    ),
    cfg.FloatOpt(
        'timeout',
        default=2.0,
        min=0.1,
        max=60.0,
        help='Seconds that the server has to answer. Only the threads that talk to the board wait for it.',
    ),
    cfg.FloatOpt(
        'look',
        default=0.02,
        min=0.001,
        max=10.0,
        help='Seconds between two looks of a worker at a board on Redis. Each look is one small command. '
        'ZooKeeper tells of postings by itself.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, OPTS)]
