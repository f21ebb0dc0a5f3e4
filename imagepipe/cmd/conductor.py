"""imagepipe-conductor: the supervisor of the processes that run imports (cmd/worker.py)."""

import signal
import sys
from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.cmd import reports
from imagepipe.jobs.supervisor import Supervisor, module_argv

#: Seconds beyond the workers' own grace that a supervisor waits for them.
_MARGIN = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Supervise workers. Exit status 0 after a graceful stop, 1 for a bad configuration."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        conf = options.load(argv, 'imagepipe-conductor')
    except errors.ConfigurationInvalid as error:
        print(f'imagepipe-conductor: {error}', file=sys.stderr)
        return 1
    log.setup(conf, 'imagepipe')
    supervisor = _supervisor(conf, argv)
    reports.listen(
        conf,
        'imagepipe-conductor',
        ('Workers', lambda: reports.workers(supervisor.children)),
        also=lambda: supervisor.pass_on(signal.SIGUSR2),
    )
    return 0 if supervisor.run() else 1


def _supervisor(conf: cfg.ConfigOpts, argv: Sequence[str]) -> Supervisor:
    settings = conf.conductor
    return Supervisor(
        module_argv('imagepipe.cmd.worker', argv),
        workers=settings.workers,
        silence=max(settings.lease, 30.0),
        grace=settings.grace + _MARGIN,
    )


if __name__ == '__main__':
    sys.exit(main())
