"""[conductor]: the processes that run imports."""

from oslo_config import cfg

GROUP = cfg.OptGroup('conductor', title='Conductors: the processes that run imports')

OPTS = [
    cfg.IntOpt(
        'workers',
        default=2,
        min=1,
        max=256,
        help='Worker processes of one conductor. Each has its own engine, so conversions and digests '
        'of several imports use several processors. Memory and database connections grow with it.',
    ),
    cfg.IntOpt(
        'imports_per_worker',
        default=4,
        min=1,
        max=1024,
        help='How many imports one worker runs at the same time. Further imports wait, and projects take '
        'turns: an import of one does not wait for a hundred of another.',
    ),
    cfg.IntOpt(
        'small_slots',
        default=1,
        min=0,
        max=1024,
        help='How many of imports_per_worker are for small imports only (see [import_flow] small), so that '
        'these need not wait until big ones end. A worker always runs big ones too.',
    ),
    cfg.IntOpt(
        'imports_per_host',
        default=0,
        min=0,
        help='How many imports the conductors of one host run at the same time, all together. '
        '0: as many as their workers can.',
    ),
    cfg.IntOpt(
        'bytes_per_host',
        default=0,
        min=0,
        help='How many bytes the big imports that the conductors of one host run may have, all together; '
        'the next one waits until it fits in. An import that is larger runs alone. Small imports do not '
        'count, and of one whose size is not known yet [conductor] unknown_bytes do. 0: no limit.',
    ),
    cfg.IntOpt(
        'unknown_bytes',
        default=1 << 30,
        min=0,
        help='How many bytes an import counts in bytes_per_host until its source has told its size, or its '
        'data is staged: as many as most images have at most. With less, imports that begin at the same '
        'moment exceed that limit once their sizes are known; with more, fewer of them begin at a time.',
    ),
    cfg.IntOpt(
        'threads_per_worker',
        default=16,
        min=1,
        max=1024,
        help='Threads in which one worker runs the steps of its imports. Stores of one import are '
        'written in parallel; with fewer threads than running steps, steps wait for each other.',
    ),
    cfg.FloatOpt(
        'lease',
        default=30.0,
        min=1.0,
        max=3600.0,
        help='Seconds after which the claim of a worker that gives no sign expires, and another worker '
        'takes its import over. Renewed once a second, and at least three times in it. A short lease takes '
        'over sooner and tolerates shorter pauses of the database. PostgreSQL and MariaDB are told to end '
        'a transaction whose client has said nothing for half of it: a host that was cut off keeps no locks '
        'for longer. With MySQL, which cannot do that, a low wait_timeout of the server does it.',
    ),
    cfg.FloatOpt(
        'poll',
        default=0.5,
        min=0.02,
        max=60.0,
        help='Seconds between two looks for imports that wait. Each look is one small query.',
    ),
    cfg.IntOpt(
        'max_attempts',
        default=3,
        min=1,
        max=100,
        help='How often a step may be interrupted by the death of its worker before the import is given '
        'up and reverted. A step that ends starts counting again; a graceful stop never counts.',
    ),
    cfg.FloatOpt(
        'unknown_flow_after',
        default=86400.0,
        min=1.0,
        help='Seconds for which an import waits whose flow no conductor that is alive knows: another release '
        'has accepted it, and was taken back. Then it is reverted. In an upgrade a conductor of the new '
        'release is there sooner.',
    ),
    cfg.FloatOpt(
        'stuck_after',
        default=600.0,
        min=1.0,
        help='Seconds without a sign (a byte moved, progress of a conversion) after which the worker of '
        'a step is replaced: its other imports are handed over and the process is killed. '
        'A store call that hangs cannot be interrupted in any other way.',
    ),
    cfg.FloatOpt(
        'grace',
        default=60.0,
        min=0.0,
        help='Seconds a stopping conductor waits for running steps to reach their end. Then it gives its '
        'claims back and kills what runs, conversions included; another conductor goes on.',
    ),
    cfg.FloatOpt(
        'sweep_interval',
        default=30.0,
        min=0.1,
        help='Seconds between two sweeps: expired uploads are ended, bytes that nobody owns are removed.',
    ),
    cfg.FloatOpt(
        'store_check_interval',
        default=30.0,
        min=0.1,
        help='Seconds between two looks whether the stores can be used on this host. A store that fails '
        'twice in a row is down: that is shown, and imports that can do without it pass it over.',
    ),
    cfg.FloatOpt(
        'store_check_timeout',
        default=10.0,
        min=0.1,
        help='Seconds after which a store that has not answered such a look counts as down.',
    ),
    cfg.FloatOpt(
        'store_sweep_interval',
        default=3600.0,
        min=0.1,
        help='Seconds between two looks for objects in stores that belong to imports which have ended and '
        'that no location names, and for images in a status that nobody keeps up. Each look lists every '
        'store that can be listed, and reads the status of every image.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, OPTS)]
