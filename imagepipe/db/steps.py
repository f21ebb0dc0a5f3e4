"""The steps of imports: what an operator or tenant watches."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe import errors
from imagepipe.db import documents
from imagepipe.db.schema import import_steps as steps
from imagepipe.domain.import_ import Step, StepFailure, StepState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_FIELDS = tuple(field.name for field in dataclasses.fields(Step))
_COLUMNS = tuple(steps.c[name] for name in _FIELDS)
_AT_WORK = (StepState.RUNNING.value, StepState.REVERTING.value)
#: Updates, built once; what columns they set is told by what they are executed with.
_OF_ONE = sa.update(steps).where(
    steps.c.import_id == sa.bindparam('of_import'), steps.c.name == sa.bindparam('called')
)
_OF_ONE_AGAIN = _OF_ONE.values(attempt=steps.c.attempt + 1)
_OF_ONE_CRASHED = _OF_ONE.values(crashes=steps.c.crashes + 1)
_OF_ONE_AT_WORK = _OF_ONE.where(steps.c.state.in_(_AT_WORK))
_EXHAUSTED = (
    sa.select(*_COLUMNS)
    .where(
        steps.c.import_id == sa.bindparam('of_import'),
        steps.c.state.in_(_AT_WORK),
        steps.c.crashes >= sa.bindparam('bound'),
    )
    .limit(1)
)
#: Of so many failed attempts of a step the record tells: of the latest ones.
_TOLD = 20


class StepRepository:
    """Reads and writes the steps of imports."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def plan(self, import_id: str, names: Sequence[str]) -> None:
        """Record the steps that an accepted import will go through."""
        rows = [
            {'import_id': import_id, 'name': name, 'position': position, 'state': StepState.PENDING.value}
            for position, name in enumerate(names)
        ]
        self._connection.execute(sa.insert(steps), rows)

    def of_imports(self, import_ids: Iterable[str]) -> dict[str, list[Step]]:
        """The steps of several imports, in order; one statement."""
        ids = list(import_ids)
        found: dict[str, list[Step]] = {import_id: [] for import_id in ids}
        statement = sa.select(*_COLUMNS).where(steps.c.import_id.in_(ids)).order_by(steps.c.position)
        for row in self._connection.execute(statement):
            found[row.import_id].append(_step(row))
        return found

    def enter(self, import_id: str, name: str, state: StepState, *, worker: str) -> None:
        """The step starts (or starts to be reverted) on this worker."""
        values: dict[str, object] = {'state': state.value, 'worker': worker, 'updated_at': self._tx.now}
        if state is StepState.RUNNING:
            values |= {
                'started_at': self._tx.now,
                'finished_at': None,
                'bytes_done': None,
                'bytes_total': None,
                'error_code': None,
                'error_message': None,
            }
        if state is StepState.REVERTING:
            values['crashes'] = 0  # undoing it has its own attempts
        self._update(import_id, name, values, _OF_ONE_AGAIN if state is StepState.RUNNING else _OF_ONE)

    def leave(
        self,
        import_id: str,
        name: str,
        state: StepState,
        *,
        error: tuple[str, str] | None = None,
        progress: tuple[int, int | None] | None = None,
    ) -> None:
        """The step has ended in `state`; error is its code and sentence."""
        now: datetime.datetime = self._tx.now
        values: dict[str, object] = {'state': state.value, 'updated_at': now, 'finished_at': now}
        if state in (StepState.DONE, StepState.REVERTED):
            values['crashes'] = 0
        if error is not None:
            values |= {'error_code': error[0], 'error_message': error[1]}
            values['failures'] = self._with_failure(import_id, name, *error)
        if progress is not None:
            values |= {'bytes_done': progress[0], 'bytes_total': progress[1]}
        self._update(import_id, name, values)

    def _with_failure(self, import_id: str, name: str, code: str, message: str) -> str:
        """The step's failed attempts, with this one."""
        row = self._connection.execute(
            sa.select(steps.c.attempt, steps.c.failures).where(
                steps.c.import_id == import_id, steps.c.name == name
            )
        ).one()
        failure = StepFailure(attempt=row.attempt, code=code, message=message, at=self._tx.now)
        failures = [*_failures(row.failures), failure][-_TOLD:]
        return documents.dump([each.as_json() for each in failures])

    def progress(self, import_id: str, progress: Mapping[str, tuple[int, int | None]]) -> None:
        """Bytes done and total of running steps, by name; a step that has ended has said its last."""
        for name, (done, total) in progress.items():
            values = {'bytes_done': done, 'bytes_total': total, 'updated_at': self._tx.now}
            self._connection.execute(_OF_ONE_AT_WORK, {'of_import': import_id, 'called': name, **values})

    def crashed(self, import_id: str) -> None:
        """Whoever ran this import let its claim expire: count it for the steps at work, and tell it."""
        at_work = sa.select(steps.c.name, steps.c.state).where(
            steps.c.import_id == import_id, steps.c.state.in_(_AT_WORK)
        )
        error = errors.StepInterrupted()
        for name, state in self._connection.execute(at_work).all():
            values: dict[str, object] = {}
            if state == StepState.RUNNING.value:
                values['failures'] = self._with_failure(import_id, name, error.code, error.message)
            self._update(import_id, name, values, _OF_ONE_CRASHED)

    def resumed(self, import_id: str, worker: str) -> None:
        """Another worker has the import: steps at work start again there, steps being reverted go on.

        TaskFlow enters a step that it finds running without a word.
        """
        at_work = sa.update(steps).where(steps.c.import_id == import_id)
        again = {'worker': worker, 'updated_at': self._tx.now}
        self._connection.execute(
            at_work.where(steps.c.state == StepState.RUNNING.value).values(
                again | {'attempt': steps.c.attempt + 1, 'started_at': self._tx.now}
            )
        )
        self._connection.execute(at_work.where(steps.c.state == StepState.REVERTING.value).values(again))

    def exhausted(self, import_id: str, bound: int) -> Step | None:
        """A step at work that was interrupted `bound` times or more."""
        row = self._connection.execute(_EXHAUSTED, {'of_import': import_id, 'bound': bound}).first()
        return None if row is None else _step(row)

    def failed(self, import_id: str, error_code: str) -> str | None:
        """The first step that is recorded as failed with this error."""
        return self._connection.execute(
            sa.select(steps.c.name)
            .where(
                steps.c.import_id == import_id,
                steps.c.state == StepState.FAILED.value,
                steps.c.error_code == error_code,
            )
            .order_by(steps.c.position)
            .limit(1)
        ).scalar()

    def close(self, import_id: str) -> None:
        """The import has ended: what never ran is skipped."""
        self._connection.execute(
            sa.update(steps)
            .where(steps.c.import_id == import_id, steps.c.state == StepState.PENDING.value)
            .values(state=StepState.SKIPPED.value, updated_at=self._tx.now)
        )
        self._connection.execute(
            sa.update(steps)
            .where(steps.c.import_id == import_id, steps.c.state.in_(_AT_WORK))
            .values(state=StepState.REVERTED.value, updated_at=self._tx.now, finished_at=self._tx.now)
        )

    def _update(
        self, import_id: str, name: str, values: Mapping[str, object], statement: sa.Update = _OF_ONE
    ) -> None:
        self._connection.execute(statement, {'of_import': import_id, 'called': name, **values})


def _step(row: sa.Row) -> Step:
    values = {'state': StepState(row.state), 'failures': _failures(row.failures)}
    return Step(**(dict(row._mapping) | values))


def _failures(text: str | None) -> tuple[StepFailure, ...]:
    """The attempts that failed; none where that cannot be read, for nothing is decided by it."""
    try:
        return tuple(StepFailure.from_json(each) for each in documents.load(text, []))
    except (ValueError, TypeError, KeyError):
        return ()
