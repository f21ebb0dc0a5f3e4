"""The conductor of one worker process: runs the flows of the imports it has claimed.

TaskFlow's non-blocking conductor finds, claims and dispatches; what an import needs besides is
here: engines over fenced persistence, forced reverts, flows already ended, records that cannot
be decoded, and the settling of every import that has come to its end.
"""

import contextlib
import dataclasses
import logging
import math
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from typing import TYPE_CHECKING

from taskflow import engines, exceptions, retry, states, task
from taskflow.conductors.backends import impl_executor, impl_nonblocking
from taskflow.engines.base import Engine

from imagepipe import errors
from imagepipe.domain.import_ import ImportState
from imagepipe.flows import registry
from imagepipe.flows.run import Run
from imagepipe.jobs import ending, resources, trusts
from imagepipe.jobs.admission import Admission
from imagepipe.jobs.board import ImportJob, SQLJobBoard
from imagepipe.jobs.persistence import LostClaimError, Persistence
from imagepipe.jobs.waking import Rest

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: A flow in one of these states is not run again: TaskFlow would start it from the beginning.
_OVER = frozenset({states.SUCCESS, states.REVERTED, states.FAILURE})
#: What ends a run that is not over: the import is another's, or the database is away.
_LETS_GO = (LostClaimError, errors.ClaimLost, errors.DatabaseUnavailable, exceptions.StorageFailure)
#: An engine that is suspended in one of these, with a step on record as running, finds nothing left to do and
#: takes the flow for reverted.
_BEFORE_STEPS = frozenset({states.RESUMING, states.SCHEDULING})
#: Where TaskFlow tells with a traceback what ended an engine, or a look at the board.
_TELLS = (
    *(f'taskflow.engines.action_engine.{name}' for name in ('builder', 'engine', 'actions.task')),
    impl_executor.__name__,
)
#: What is said of a run that had to stop, by whether the database was away.
_LET_GO = {
    False: 'Import %s was taken over from this worker',
    True: 'Import %s waits for the database, and may be taken over from this worker',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flight:
    """An import in the hands of this process, for so many seconds; steps: as Run.at_work() has them."""

    import_id: str
    image_id: str
    method: str
    state: str
    epoch: int
    held: float
    steps: list[tuple[str, float, float]]


class _Unexpected(logging.Filter):
    """Not what lets a run go, and not the board's database being away: each is told by a line of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, exceptions.JobFailure):
            error = error.__cause__
        if isinstance(error, exceptions.WrappedFailure):
            return not any(found.check(*_LETS_GO) for found in error)
        return not isinstance(error, _LETS_GO)


_UNEXPECTED = _Unexpected()


class ImportConductor(impl_nonblocking.NonBlockingConductor):
    """Runs up to `simultaneous` imports, their steps in `threads` shared threads."""

    def __init__(
        self,
        services: 'Services',
        board: SQLJobBoard,
        persistence: Persistence,
        injected: Mapping[str, object],
        admission: Admission,
        *,
        simultaneous: int,
        threads: int,
        poll: float,
    ) -> None:
        self.executor = futures.ThreadPoolExecutor(threads, thread_name_prefix='step')
        self._rest = Rest(poll)
        super().__init__(
            services.name,
            board,
            persistence=persistence,
            engine='parallel',
            engine_options={'executor': self.executor},
            wait_timeout=self._rest,
            max_simultaneous_jobs=simultaneous,
        )
        for name in _TELLS:
            logging.getLogger(name).addFilter(_UNEXPECTED)
        self._services = services
        self._injected = injected
        self._admission = admission
        admission.at_work = self._at_work
        self._moment = threading.Event()
        #: Whether the host's conductors take nothing new, and whether this worker never does again.
        self.drained = self.leaving = False
        #: What runs here now, by import id; the keeper reads it.
        self.runs: dict[str, tuple[Run, Engine | None]] = {}

    def wake(self) -> None:
        """Look for imports now."""
        self._rest.wake()

    @property
    def has_room(self) -> bool:
        """Whether one import more may run here."""
        open_ = not (self.drained or self.leaving or self._rest.is_stopped())
        return open_ and len(self._dispatched) < self._max_simultaneous_jobs

    def _on_job_done(self, job: ImportJob, fut: futures.Future) -> None:
        """There is room for the next one, unless this one waits for something and comes again."""
        super()._on_job_done(job, fut)
        if fut.exception() is None and fut.result():
            self.wake()

    def flights(self) -> list[Flight]:
        """The imports that this worker has in hand, the longest first."""
        now = time.monotonic()
        found = [
            Flight(
                import_id=run.claim.import_id,
                image_id=run.claim.image_id,
                method=run.record.method,
                state=run.state.value,
                epoch=run.claim.epoch,
                held=now - run.taken,
                steps=run.at_work(),
            )
            for run, _ in list(self.runs.values())
        ]
        return sorted(found, key=lambda flight: -flight.held)

    def wait_others(self, besides: Run | None, seconds: float = math.inf) -> None:
        """Wait until nothing but one run is left here."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(run is not besides for run, _ in list(self.runs.values())):
            self._moment.wait(0.05)

    def _at_work(self) -> set[str]:
        return {running.job.uuid for running in list(self._dispatched)}

    def _can_claim_more_jobs(self, job: ImportJob) -> bool:
        if self.drained or self.leaving or not super()._can_claim_more_jobs(job):
            return False
        big_ones = sum(not running.job.small for running in list(self._dispatched))
        return self._admission.goes_on(small=job.small, big_ones=big_ones)

    def _dispatch_job(self, job: ImportJob) -> bool:
        """Run one claimed import; whether it has come to its end."""
        run = Run(
            job.record,
            job.claim,
            self._services.db.fenced(job.claim),
            tracing=self._services.tracing,
        )
        self.runs[job.uuid] = (run, None)
        try:
            with run.logged():
                return self._dispatch_run(job, run)
        finally:
            self.runs.pop(job.uuid, None)

    def _dispatch_run(self, job: ImportJob, run: Run) -> bool:
        if self._wait_timeout.is_stopped():
            return False  # told to stop since it was claimed: the next one begins
        try:
            error = _hindrance(run)
            if error is not None:
                self._revert_unrun(run, error)
            elif job.worn_out:
                LOG.error(
                    "Undoing import %s has ended several workers; what it left is the sweeper's", job.uuid
                )
            else:
                self._execute(run)
                return self._settle(run)
            self._finish(run)
            return True
        except (LostClaimError, errors.ClaimLost):
            run.lost.set()
            run.discard_unrecorded()
            job.interrupted = run.adrift
            LOG.warning(_LET_GO[run.adrift], job.uuid)
            return False
        except (errors.DatabaseUnavailable, exceptions.StorageFailure) as error:
            LOG.warning('Import %s waits for the database: %s', job.uuid, error)
            return False
        except Exception:
            LOG.exception('Import %s cannot be run; it is given up', job.uuid)
            return self._give_up(run)

    def _execute(self, run: Run) -> None:
        """Run the flow as far as it goes; what came of it is in the records afterwards."""
        reverting = run.state is ImportState.REVERTING
        if reverting and not self._persistence.has_flow(run.record.flow_id):
            return
        flow_detail = self._persistence.open_flow(run)
        if flow_detail.state in _OVER:
            return
        engine = self._load_engine(run, flow_detail)
        self.runs[run.claim.import_id] = (run, engine)
        if reverting:
            _force_revert(engine)
        self._run_engine(run, engine)

    def _load_engine(self, run: Run, flow_detail: object) -> Engine:
        engine = engines.load(
            registry.build(run.record),
            flow_detail=flow_detail,
            backend=self._persistence.fenced(run),
            engine=self._engine,
            **self._engine_options,
        )
        engine.storage.inject({'run': run, **self._injected}, transient=True)
        engine.compile()
        engine.prepare()
        engine.validate()
        return engine

    def _run_engine(self, run: Run, engine: Engine) -> None:
        suspended = False
        flow = engine.run_iter()
        try:
            for state in flow:
                stops = self._wait_timeout.is_stopped() or run.lost.is_set()
                if stops and not suspended and state not in _BEFORE_STEPS:
                    engine.suspend()
                    suspended = True
        except exceptions.TaskFlowException:
            if not run.lost.is_set():
                raise
        except (errors.ImagepipeError, exceptions.WrappedFailure) as error:
            # What the flow was reverted for; it stands in the import's row already.
            LOG.debug('The flow of import %s ended with %s', run.claim.import_id, error)
        finally:
            # Left in the middle, it would record a failure when it is collected, without a claim.
            with contextlib.suppress(*_LETS_GO):
                flow.close()
        if run.lost.is_set():
            raise errors.ClaimLost(import_id=run.claim.import_id)

    def _settle(self, run: Run) -> bool:
        """Give the import its end if its flow has come to one; whether it did."""
        state = self._services.db.read(lambda tx: tx.imports.get(run.claim.import_id)).state
        flow = self._flow_state(run)
        if state is ImportState.RUNNING:
            if flow == states.SUSPENDED:
                return False
            raise errors.ImportUnreadable()
        if state is ImportState.COMMITTED and flow == states.SUSPENDED:
            return False
        if state is ImportState.REVERTING and flow == states.SUSPENDED:
            return False
        self._finish(run)
        return True

    def _flow_state(self, run: Run) -> str | None:
        with contextlib.suppress(exceptions.NotFound):
            return self._persistence.get_connection().get_flow_details(run.record.flow_id, lazy=True).state
        return None

    def _finish(self, run: Run) -> None:
        try:
            with run.working('end'):
                clear = resources.clear_staging(self._services, run)
        except errors.ImagepipeError as error:
            clear = False
            LOG.warning('Staging of import %s is left to the sweeper: %s', run.claim.import_id, error)
        run.ended = True
        rooms = self._injected['rooms']
        end = run.db.run(lambda tx: ending.finish(tx, run.claim.import_id, rooms, staging_clear=clear))
        record = self._services.db.read(lambda tx: tx.imports.get(run.claim.import_id))
        LOG.info(
            'Import %s of image %s ended: %s%s [%s]',
            record.id,
            record.image_id,
            end.value,
            f' {record.error_code} in {record.error_step}' if record.error_code else '',
            record.request_id,
        )
        self._injected['wake_sender']()
        try:
            trusts.end(self._services, record)
        except errors.ImagepipeError as error:
            LOG.warning('The trust of import %s is left to the sweeper: %s', record.id, error)

    def _revert_unrun(self, run: Run, error: errors.ImagepipeError) -> None:
        """Decide the end of an import whose flow cannot be run; what it left is the sweeper's."""
        run.db.run(lambda tx: tx.imports.revert(run.claim.import_id, ImportState.FAILED, error))

    def _give_up(self, run: Run) -> bool:
        """End an import whose flow met a defect."""
        try:
            self._revert_unrun(run, errors.ImportUnreadable())
            self._finish(run)
        except (errors.ImagepipeError, exceptions.TaskFlowException):
            LOG.exception('Import %s could not be given up yet', run.claim.import_id)
            return False
        return True


def _hindrance(run: Run) -> errors.ImagepipeError | None:
    """Why there is no flow to run."""
    if run.plan is None:
        return errors.ImportUnreadable()
    return None if registry.knows(run.record.flow_version) else errors.ImportFlowUnknown()


def _force_revert(engine: Engine) -> None:
    """Every atom is to be reverted, whatever state it was left in."""
    for node in engine.compilation.execution_graph:
        if isinstance(node, (task.Task, retry.Retry)):
            engine.storage.set_atom_intention(node.name, states.REVERT)
