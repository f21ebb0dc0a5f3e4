"""imagepipe-conductor: a supervisor, and the processes that run imports."""

import functools
import os
import signal
import sys
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.cmd import reports
from imagepipe.jobs.supervisor import EXIT_MISCONFIGURED, Supervisor, die_with_parent
from imagepipe.jobs.worker import Worker
from imagepipe.services import Services

_NAME = 'imagepipe-conductor'
#: Seconds beyond the workers' own grace that a supervisor waits for them.
_MARGIN = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Supervise workers. Exit status 0 after a graceful stop, 1 for a bad configuration."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        conf = options.load(argv, _NAME)
        log.setup(conf, 'imagepipe')
        supervisor = _supervisor(conf, argv)
        reports.listen(
            conf,
            _NAME,
            ('Workers', lambda: reports.workers(supervisor.children)),
            also=lambda: supervisor.pass_on(signal.SIGUSR2),
        )
    except errors.ConfigurationInvalid as error:
        print(f'{_NAME}: {error}', file=sys.stderr)
        return 1
    return 0 if supervisor.run() else 1


def _supervisor(conf: cfg.ConfigOpts, argv: Sequence[str]) -> Supervisor:
    settings = conf.conductor
    return Supervisor(
        functools.partial(_work, argv),
        workers=settings.workers,
        silence=max(settings.lease, 30.0),
        grace=settings.grace + _MARGIN,
    )


def _work(argv: Sequence[str], number: int, beat: int) -> int:
    """Be worker `number`, by the configuration as it is now, until told to stop."""
    try:
        worker = _worker(argv, number, beat)
    except errors.ConfigurationInvalid as error:
        print(f'{_NAME}: {error}', file=sys.stderr)
        return EXIT_MISCONFIGURED
    die_with_parent()
    os.write(beat, b'.')  # it knows signals from here on
    worker.run()
    return 0


def _worker(argv: Sequence[str], number: int, beat: int) -> Worker:
    conf = options.load(argv, _NAME)
    log.setup(conf, 'imagepipe')
    worker = Worker(
        Services.build(conf),
        sweeps=number == 0,
        beat=lambda: os.write(beat, b'.'),
        conductor_pid=os.getppid(),
    )
    worker.stop_on_signal()
    imports = ('Imports in flight', lambda: reports.flights(worker.conductor.flights()))
    reports.listen(conf, f'{_NAME}-{os.getpid()}', imports)
    return worker


if __name__ == '__main__':
    sys.exit(main())
