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
        help='How many imports one worker runs at the same time. Further imports wait, oldest first.',
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
        'takes its import over. Renewed every third of it. A short lease takes over sooner and '
        'tolerates shorter pauses of the database.',
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
        'store_sweep_interval',
        default=3600.0,
        min=0.1,
        help='Seconds between two looks for objects in stores that belong to imports which have ended and '
        'that no location names. Each look lists every store that can be listed.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, OPTS)]
