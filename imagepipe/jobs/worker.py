"""One worker process: conductor, keeper, sender, and in the first worker the sweeper."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.db import engines
from imagepipe.flows.run import Run
from imagepipe.jobs import resources
from imagepipe.jobs.board import SQLJobBoard
from imagepipe.jobs.conductor import ImportConductor
from imagepipe.jobs.keeping import Keeper
from imagepipe.jobs.persistence import Persistence
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.notifications import MessagingNotifier, Sender

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: Exit status of a worker that asks to be replaced because a step of it is stuck.
EXIT_STUCK = 75


class Worker:
    """Everything that runs in a worker process, started and stopped in order."""

    def __init__(
        self, services: 'Services', *, sweeps: bool = True, beat: Callable[[], None] = lambda: None
    ) -> None:
        conf = services.conf
        self._services = services
        self._conf = conf.conductor
        self.sender = Sender(
            services.db,
            MessagingNotifier(conf),
            name=services.name,
            interval=conf.notifications.interval,
            lease=max(30.0, conf.notifications.timeout * 3),
            retry_wait=conf.notifications.retry_wait,
            disabled=conf.disabled_notifications,
        )
        # TaskFlow's persistence reads through an engine of its own; it writes through the fence.
        self._engine = engines.create(conf.database.connection, translate=False).execution_options(
            **{engines.READ_ONLY: True}
        )
        board = SQLJobBoard(
            'imagepipe',
            {'lease': self._conf.lease, 'max_attempts': self._conf.max_attempts},
            db=services.db,
        )
        self.conductor = ImportConductor(
            services,
            board,
            Persistence(self._engine),
            resources.build(services, self.sender.wake),
            simultaneous=self._conf.imports_per_worker,
            threads=self._conf.threads_per_worker,
            poll=self._conf.poll,
        )
        self._keeper = Keeper(
            services,
            self.conductor,
            lease=self._conf.lease,
            stuck_after=self._conf.stuck_after,
            on_stuck=self._replace_me,
            beat=self._sign,
        )
        self.sweeper = Sweeper(services, interval=self._conf.sweep_interval) if sweeps else None
        self._stopping = threading.Event()
        self._beat = beat

    def run(self) -> None:
        """Work until stop() or SIGTERM; returns when every claim is ended or given back."""
        LOG.info('Worker %s starts', self._services.name)
        try:
            self._services.staging.check()
        except errors.ImagepipeError as error:
            LOG.error('Imports will fail until this is mended: %s', error)
        self.start_threads()
        try:
            self.conductor.run()
        finally:
            self.close()

    def start_threads(self) -> None:
        """Start what runs beside the conductor."""
        self._keeper.start()
        self.sender.start()
        if self.sweeper is not None:
            self.sweeper.start()

    def stop(self) -> None:
        """Take nothing new; running imports are handed over at their next step."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.conductor.stop()
        threading.Thread(target=self._after_grace, name='grace', daemon=True).start()

    def close(self) -> None:
        """Stop the threads, say good-bye, let go of the database."""
        self._keeper.stop()
        self.sender.stop()
        if self.sweeper is not None:
            self.sweeper.stop()
        try:
            self._services.db.run(lambda tx: tx.workers.gone(self._services.name))
        except errors.DatabaseUnavailable as error:
            LOG.warning('The database does not know that this worker stopped: %s', error)
        self.conductor.executor.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()
        LOG.info('Worker %s has stopped', self._services.name)

    def stop_on_signal(self) -> None:
        """SIGTERM and SIGINT hand over and stop."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            threading.Thread(target=self.stop, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    def _sign(self) -> None:
        """Tell the supervisor that this worker lives; where nobody listens any more, stop."""
        try:
            self._beat()
        except OSError as error:
            if not self._stopping.is_set():
                LOG.error('The supervisor does not listen any more (%s); this worker ends', error)
            self.stop()

    def _after_grace(self) -> None:
        """Steps that outlast the grace period die with the process; their claims are given back first.

        A graceful stop never counts as an attempt.
        """
        if self.conductor.wait(self._conf.grace):
            return
        for run, _ in list(self.conductor.runs.values()):
            self._give_back(run)
        LOG.warning('Worker %s stops with steps still running', self._services.name)
        os._exit(0)  # conversions die with their parent

    def _give_back(self, run: Run) -> None:
        try:
            run.db.run(lambda tx: tx.imports.release(run.claim))
        except (errors.ClaimLost, errors.DatabaseUnavailable) as error:
            LOG.warning('The claim on import %s was not given back: %s', run.claim.import_id, error)

    def _replace_me(self, stuck: Run, step: str) -> None:
        """A call that hangs cannot be ended in its thread: hand the neighbours over, then die."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        LOG.error(
            'Step %s of import %s gives no sign; worker %s is replaced',
            step,
            stuck.claim.import_id,
            self._services.name,
        )
        self.conductor.stop()
        threading.Thread(target=self._die, args=(stuck,), name='replacing', daemon=True).start()

    def _die(self, stuck: Run) -> None:
        self.conductor.wait_others(stuck, self._conf.grace)
        for run, _ in list(self.conductor.runs.values()):
            if run is not stuck:
                self._give_back(run)
        try:
            stuck.db.run(lambda tx: tx.imports.expire(stuck.claim))
        except (errors.ClaimLost, errors.DatabaseUnavailable) as error:
            LOG.warning('The claim on import %s runs out by itself: %s', stuck.claim.import_id, error)
        os._exit(EXIT_STUCK)
