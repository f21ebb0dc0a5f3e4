"""One worker process of imagepipe-conductor; its supervisor starts it, not people."""

import os
import sys

from oslo_config import cfg
from oslo_log import log

from imagepipe import conf as options
from imagepipe import errors
from imagepipe.cmd import reports
from imagepipe.jobs.supervisor import EXIT_MISCONFIGURED, die_with_parent
from imagepipe.jobs.worker import Worker
from imagepipe.services import Services

_CLI = [
    cfg.IntOpt('worker-number', required=True, help='Which of the workers of its supervisor it is.'),
    cfg.IntOpt('beat', required=True, help='The pipe to the supervisor.'),
]


def main() -> int:
    """Work until told to stop. Exit status: 0, or one of those in jobs/supervisor.py."""
    conf = options.new()
    conf.register_cli_opts(_CLI)
    try:
        options.load(sys.argv[1:], 'imagepipe-conductor', conf)
        log.setup(conf, 'imagepipe')
        services = Services.build(conf)
    except errors.ConfigurationInvalid as error:
        print(f'imagepipe-conductor: {error}', file=sys.stderr)
        return EXIT_MISCONFIGURED
    worker = Worker(
        services,
        sweeps=conf.worker_number == 0,
        beat=lambda: os.write(conf.beat, b'.'),
        conductor_pid=os.getppid(),
    )
    worker.stop_on_signal()
    imports = ('Imports in flight', lambda: reports.flights(worker.conductor.flights()))
    reports.listen(conf, f'imagepipe-conductor-{os.getpid()}', imports)
    die_with_parent()
    worker.run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
