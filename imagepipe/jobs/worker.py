"""One worker process: conductor, keeper, sender; in the first worker sweeper and store checker."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.db import engines
from imagepipe.domain.conductor import Drain
from imagepipe.flows.run import Run
from imagepipe.jobs import equipment, resources
from imagepipe.jobs.admission import Admission, Bounds
from imagepipe.jobs.board import SQLJobBoard
from imagepipe.jobs.conductor import ImportConductor
from imagepipe.jobs.keeping import Keeper
from imagepipe.jobs.persistence import Persistence
from imagepipe.jobs.store_checks import StoreChecker
from imagepipe.jobs.supervisor import EXIT_STUCK
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.jobs.waking import Waker
from imagepipe.notifications import MessagingNotifier, Patience, Sender

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)


class Worker:
    """Everything that runs in a worker process, started and stopped in order."""

    def __init__(
        self,
        services: 'Services',
        *,
        sweeps: bool = True,
        beat: Callable[[], None] = lambda: None,
        conductor_pid: int | None = None,
    ) -> None:
        conf = services.conf
        self._services = services
        self._conf = conf.conductor
        self.sender = Sender(
            services.db,
            Patience(MessagingNotifier(conf), timeout=conf.notifications.timeout),
            name=services.name,
            interval=conf.notifications.interval,
            lease=max(30.0, conf.notifications.timeout * 3),
            retry_wait=conf.notifications.retry_wait,
            disabled=conf.disabled_notifications,
        )
        # TaskFlow's persistence reads through an engine of its own; it writes through the fence.
        self._engine = engines.create(
            conf.database.connection, translate=False, silence=engines.bearable_silence(self._conf.lease)
        ).execution_options(**{engines.READ_ONLY: True})
        admission = Admission(services.host, _bounds(self._conf))
        board = SQLJobBoard(
            'imagepipe',
            {name: self._conf[name] for name in ('lease', 'max_attempts', 'unknown_flow_after')},
            db=services.db,
            admission=admission,
        )
        self.conductor = ImportConductor(
            services,
            board,
            Persistence(self._engine),
            resources.build(services, self.sender.wake),
            admission,
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
            on_drain=self._drained,
            conductor_pid=conductor_pid or os.getpid(),
            beat=self._sign,
        )
        self.sweeper = Sweeper(services, interval=self._conf.sweep_interval) if sweeps else None
        self._store_checker = self._made_store_checker() if sweeps else None
        self._waker = self._made_waker(relays=sweeps)
        self._stopping = threading.Event()
        self._beat = beat

    def _made_store_checker(self) -> StoreChecker:
        return StoreChecker(
            self._services,
            interval=self._conf.store_check_interval,
            timeout=self._conf.store_check_timeout,
        )

    def _made_waker(self, *, relays: bool) -> Waker | None:
        board = self._services.external_board()
        if board is None:
            return None
        return Waker(
            self._services.db,
            board,
            wake=self.conductor.wake,
            has_room=lambda: self.conductor.has_room,
            relays=relays,
            look=self._services.conf.jobboard.look,
            host=self._services.host,
        )

    def run(self) -> None:
        """Work until stop() or SIGTERM; returns when every claim is ended or given back."""
        LOG.info('Worker %s starts', self._services.name)
        equipment.lacking(self._services)  # tells what it finds
        self.start_threads()
        try:
            self.conductor.run()
        finally:
            self.close()

    def start_threads(self) -> None:
        """Start what runs beside the conductor."""
        self._keeper.start()
        self.sender.start()
        for thread in (self.sweeper, self._store_checker, self._waker):
            if thread is not None:
                thread.start()

    def stop(self) -> None:
        """Take nothing new; running imports are handed over at their next step."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if not self.conductor.runs:
            self._services.db.hurry()
        self.conductor.stop()
        threading.Thread(target=self._after_grace, name='grace', daemon=True).start()

    def drain(self) -> None:
        """Take nothing new, run what runs to its end, and stop then."""
        if self.conductor.leaving:
            return
        LOG.info('Worker %s takes nothing new and stops when it is idle', self._services.name)
        self.conductor.leaving = True
        self.conductor.wait_others(None)
        self.stop()

    def close(self) -> None:
        """Stop the threads, say good-bye, let go of the database."""
        self._services.db.hurry()
        self._keeper.stop()
        self.sender.stop()
        for thread in (self.sweeper, self._store_checker, self._waker):
            if thread is not None:
                thread.stop()
        self._say_goodbye()
        self.conductor.executor.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()
        LOG.info('Worker %s has stopped', self._services.name)

    def stop_on_signal(self) -> None:
        """SIGTERM and SIGINT hand over and stop; SIGUSR1 drains."""
        for number, does in (
            (signal.SIGTERM, self.stop),
            (signal.SIGINT, self.stop),
            (signal.SIGUSR1, self.drain),
        ):
            signal.signal(number, _in_thread(does))

    def _sign(self) -> None:
        """Tell the supervisor that this worker lives; where nobody listens any more, stop."""
        try:
            self._beat()
        except OSError as error:
            if not self._stopping.is_set():
                LOG.error('The supervisor does not listen any more (%s); this worker ends', error)
            self.stop()

    def _say_goodbye(self) -> None:
        try:
            self._services.db.run(lambda tx: tx.workers.gone(self._services.name))
        except errors.DatabaseUnavailable as error:
            LOG.warning('The database does not know that this worker stopped: %s', error)

    def _drained(self, drain: Drain | None) -> None:
        """What an operator has decided of this host, asked again with each tick of the keeper.

        Imports are handed over by a worker that stops: its successor takes nothing new.
        """
        if self.conductor.drained != (drain is not None):
            LOG.info('This host is drained' if drain is not None else 'This host takes imports again')
        self.conductor.drained = drain is not None
        if drain is Drain.HAND_OVER and self.conductor.runs:
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
        self._say_goodbye()
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


def _bounds(conf: object) -> Bounds:
    """What [conductor] says, where 0 is no limit."""
    return Bounds(
        imports=conf.imports_per_host or None,
        size=conf.bytes_per_host or None,
        unknown=conf.unknown_bytes,
        big_ones=max(1, conf.imports_per_worker - conf.small_slots),
    )


def _in_thread(does: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    """A handler of signals that does it in a thread of its own: the main thread may hold any lock."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        threading.Thread(target=does, daemon=True).start()

    return handle
