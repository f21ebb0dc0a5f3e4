"""Keeping claims: one thread of a worker tells the database that it lives, and asks what it should do.

It renews the claims of all runs, writes the progress of their steps, sees cancellations and lost
claims, and notices steps that give no sign. TaskFlow's conductors do none of this.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskflow import exceptions

from imagepipe import errors, version
from imagepipe.db.transaction import Transaction
from imagepipe.domain.conductor import Drain, Host
from imagepipe.domain.import_ import ImportState
from imagepipe.flows import registry
from imagepipe.flows.run import Run
from imagepipe.jobs.conductor import ImportConductor

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """Ticks about once a second, and at least three times in a lease."""

    def __init__(
        self,
        services: 'Services',
        conductor: ImportConductor,
        *,
        lease: float,
        stuck_after: float,
        on_stuck: Callable[[Run, str], None],
        on_drain: Callable[[Drain | None], None],
        conductor_pid: int,
        beat: Callable[[], None],
    ) -> None:
        super().__init__(name='keeper', daemon=True)
        self._services = services
        self._conductor = conductor
        self._lease = lease
        self._interval = min(1.0, lease / 4)
        self._stuck_after = stuck_after
        self._on_stuck = on_stuck
        self._on_drain = on_drain
        self._conductor_pid = conductor_pid
        self._host, pid, _ = services.name.split(':', 2)
        self._pid = int(pid)
        self._beat = beat
        self._done = threading.Event()
        self._renewed: dict[str, float] = {}

    def run(self) -> None:
        """Tick until stopped."""
        while not self._done.wait(self._interval):
            try:
                self._tick()
            except errors.DatabaseUnavailable as error:
                LOG.warning('Claims could not be renewed: %s', error)
                self._expire_unrenewed()
            except Exception:
                LOG.exception('A tick of the keeper failed')
                self._expire_unrenewed()
            self._beat()

    def stop(self) -> None:
        """End the thread after its tick."""
        self._done.set()
        self.join()

    def _tick(self) -> None:
        runs = {import_id: run for import_id, (run, _) in list(self._conductor.runs.items())}
        progress = {import_id: run.take_progress() for import_id, run in runs.items()}

        def change(tx: Transaction) -> tuple[dict[str, ImportState], Host]:
            held = tx.imports.renew([run.claim for run in runs.values()], self._lease)
            for import_id in held:
                tx.steps.progress(import_id, progress[import_id])
            self._seen(tx)
            host = tx.conductors.host(self._host) or tx.conductors.locked(self._host)
            if host.lost_at is not None:
                tx.conductors.back(self._host)
            return held, host

        before = time.monotonic()
        held, host = self._services.db.run(change)
        self._on_drain(host.drain)
        self._renewed = {import_id: before for import_id in held} | {
            import_id: moment
            for import_id, moment in self._renewed.items()
            if import_id in runs and import_id not in held
        }
        for import_id, run in runs.items():
            if import_id in held:
                run.moved(held[import_id])
            elif import_id in self._conductor.runs:
                self._lose(run)
            self._check_stuck(run)  # one that was lost occupies its place, too

    def _seen(self, tx: Transaction) -> None:
        tx.workers.seen(
            self._services.name,
            host=self._host,
            pid=self._pid,
            version=version.RELEASE,
            conductor_pid=self._conductor_pid,
            flows=registry.FACTORIES,
            draining=self._conductor.leaving,
        )

    def _expire_unrenewed(self) -> None:
        """Without the database for a whole lease, nobody can say that the claims are still ours."""
        limit = time.monotonic() - self._lease
        for import_id, (run, _) in list(self._conductor.runs.items()):
            if self._renewed.setdefault(import_id, time.monotonic()) < limit:
                self._lose(run)

    def _lose(self, run: Run) -> None:
        if run.lost.is_set() or run.ended:
            return
        LOG.warning('The claim on import %s was lost', run.claim.import_id)
        run.lost.set()
        _, engine = self._conductor.runs.get(run.claim.import_id, (None, None))
        if engine is not None:
            try:
                engine.suspend()
            except exceptions.TaskFlowException as error:
                LOG.debug('The engine of a lost import was not running: %s', error)

    def _check_stuck(self, run: Run) -> None:
        step = run.stuck(self._stuck_after)
        if step is not None:
            self._on_stuck(run, step)
