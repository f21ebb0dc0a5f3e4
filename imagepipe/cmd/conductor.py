"""imagepipe-conductor: the processes that run imports."""

import os
import signal
import sys
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.cmd import reports
from imagepipe.jobs.supervisor import Supervisor, die_with_parent, module_argv
from imagepipe.jobs.worker import Worker
from imagepipe.services import Services

_CLI = [
    cfg.IntOpt('worker-number', help='Run as this worker of a supervisor; not for people.'),
    cfg.IntOpt('beat', help='The pipe to the supervisor; not for people.'),
]

#: Seconds beyond the workers' own grace that a supervisor waits for them.
_MARGIN = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Supervise workers, or be one. Exit status 0 after a graceful stop, 1 for a bad configuration."""
    argv = sys.argv[1:] if argv is None else list(argv)
    conf = options.new()
    conf.register_cli_opts(_CLI)
    try:
        options.load(argv, 'imagepipe-conductor', conf)
        log.setup(conf, 'imagepipe')
        if conf.worker_number is None:
            return _supervise(conf, argv)
        return _work(conf)
    except errors.ConfigurationInvalid as error:
        print(f'imagepipe-conductor: {error}', file=sys.stderr)
        return 1


def _supervise(conf: cfg.ConfigOpts, argv: Sequence[str]) -> int:
    Services.build(conf).close()  # a configuration that cannot work is told here, once
    settings = conf.conductor
    supervisor = Supervisor(
        module_argv('imagepipe.cmd.conductor', argv),
        workers=settings.workers,
        silence=max(settings.lease, 30.0),
        grace=settings.grace + _MARGIN,
    )
    reports.listen(
        conf,
        'imagepipe-conductor',
        ('Workers', lambda: reports.workers(supervisor.children)),
        also=lambda: supervisor.pass_on(signal.SIGUSR2),
    )
    supervisor.run()
    return 0


def _work(conf: cfg.ConfigOpts) -> int:
    def beat() -> None:
        if conf.beat is not None:
            os.write(conf.beat, b'.')

    worker = Worker(
        Services.build(conf), sweeps=conf.worker_number == 0, beat=beat, conductor_pid=os.getppid()
    )
    worker.stop_on_signal()
    imports = ('Imports in flight', lambda: reports.flights(worker.conductor.flights()))
    reports.listen(conf, f'imagepipe-conductor-{os.getpid()}', imports)
    die_with_parent()
    worker.run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
