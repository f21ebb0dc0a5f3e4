"""TaskFlow's persistence, fenced and cheap.

Stock persistence rebuilds its tables on every call, reads a row before it writes it, rewrites
all atoms with each change of the flow, and knows no claims. Here the tables are kept, a row is
written only when it differs from what was written last, every write checks the claim's epoch in
its own transaction, and the step that operators watch changes in that same transaction.
"""

import contextlib
import functools
import logging
from collections.abc import Callable

import sqlalchemy as sa
from taskflow import exceptions, states, storage
from taskflow.persistence import models
from taskflow.persistence.backends import impl_sqlalchemy

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain import steps
from imagepipe.domain.event import Event
from imagepipe.domain.import_ import StepState
from imagepipe.flows.run import Run

LOG = logging.getLogger(__name__)


class LostClaimError(exceptions.ExecutionFailure):
    """The claim is lost; the engine ends without writing, and the job is not consumed."""


class Persistence(impl_sqlalchemy.SQLAlchemyBackend):
    """TaskFlow's tables in imagepipe's database, with one connection object kept.

    The engine must raise SQLAlchemy's own errors (db.engines.create(translate=False)).
    """

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__({}, engine=engine)
        self._kept = impl_sqlalchemy.Connection(self, self._upgrade_lock)

    def get_connection(self) -> impl_sqlalchemy.Connection:
        """The kept connection object; it holds no database connection."""
        return self._kept

    def fenced(self, run: Run) -> 'FencedPersistence':
        """The persistence that a run's engine is given."""
        return FencedPersistence(self, run)

    def open_flow(self, run: Run) -> models.FlowDetail:
        """The run's flow detail; made by the first claim, under the ids of the import."""
        with contextlib.suppress(exceptions.NotFound):
            return self._kept.get_flow_details(run.record.flow_id)
        connection = run_connection(self, run)
        return connection.create_flow(run.record.logbook_id, run.record.flow_id)

    def has_flow(self, flow_id: str) -> bool:
        """Whether any claim got as far as to make the flow detail."""
        try:
            self._kept.get_flow_details(flow_id, lazy=True)
        except exceptions.NotFound:
            return False
        return True

    def forget(self, logbook_id: str, flow_id: str) -> None:
        """Remove a flow's records, children first: not every database cascades here."""
        tables = self._kept._tables
        with self.engine.begin() as connection:
            connection.execute(tables.atomdetails.delete().where(tables.atomdetails.c.parent_uuid == flow_id))
            connection.execute(tables.flowdetails.delete().where(tables.flowdetails.c.uuid == flow_id))
            connection.execute(tables.logbooks.delete().where(tables.logbooks.c.uuid == logbook_id))


class FencedPersistence:
    """What an engine needs of a backend: one fenced connection."""

    def __init__(self, backend: Persistence, run: Run) -> None:
        self._connection = run_connection(backend, run)

    def get_connection(self) -> 'FencedConnection':
        """The run's connection."""
        return self._connection


def run_connection(backend: Persistence, run: Run) -> 'FencedConnection':
    """A fenced connection that shares the kept one's tables."""
    return FencedConnection(backend, backend.get_connection(), run)


class FencedConnection(impl_sqlalchemy.Connection):
    """Writes of one run, each in one transaction that begins with the fence."""

    def __init__(self, backend: Persistence, kept: impl_sqlalchemy.Connection, run: Run) -> None:
        # Not the parent's __init__: it would build MetaData and Tables anew, 5 ms of CPU each time.
        self._backend = backend
        self._upgrade_lock = kept._upgrade_lock
        self._engine = backend.engine
        self._metadata = kept._metadata
        self._tables = kept._tables
        self._converter = kept._converter
        self._run = run
        self._steps = frozenset(steps.names(run.record.plan, run.record.flow_version))
        self._written: dict[str, dict[str, object]] = {}
        self._in_vain = 0

    def _write(self, operation: Callable[[Transaction], None]) -> None:
        """Run a writing operation under the fence, repeated like any other of the database.

        What a run does after it was told to stop is no news of the flow, even if nobody has taken its claim.
        """
        if self._run.lost.is_set():
            raise LostClaimError(f'The claim on import {self._run.claim.import_id} was lost')
        try:
            with self._last_try():
                self._run.db.run(operation)
        except errors.ClaimLost as error:
            self._run.lost.set()
            raise LostClaimError(str(error)) from error
        except errors.DatabaseUnavailable:
            exceptions.raise_with_cause(exceptions.StorageFailure, 'The flow could not be recorded')
        self._in_vain = 0

    def _last_try(self) -> contextlib.AbstractContextManager[None]:
        """TaskFlow tries so often; then its engine would note, if it can by then, that the flow failed."""
        self._in_vain += 1
        return self._run.let_go() if self._in_vain >= storage.RETRY_ATTEMPTS else contextlib.nullcontext()

    def create_flow(self, logbook_id: str, flow_id: str) -> models.FlowDetail:
        """Logbook and flow detail, under ids chosen when the import was accepted."""
        book = models.LogBook('import', uuid=logbook_id)
        flow = models.FlowDetail('import', flow_id)
        tables = self._tables

        def create(tx: Transaction) -> None:
            known = sa.select(tables.logbooks.c.uuid).where(tables.logbooks.c.uuid == logbook_id)
            if tx.connection.execute(known).first() is None:
                tx.connection.execute(sa.insert(tables.logbooks).values(**book.to_dict()))
            tx.connection.execute(
                sa.insert(tables.flowdetails).values(**flow.to_dict(), parent_uuid=logbook_id)
            )

        self._write(create)
        return flow

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        """Write the flow's row, atoms that are new, and atoms that differ from what was written."""
        if self._run.lost.is_set() and flow_detail.state == states.FAILURE:
            return flow_detail  # what the engine takes for a failure is that its run has to stop
        values = flow_detail.to_dict()

        def update(tx: Transaction) -> None:
            if self._differs(flow_detail.uuid, values):
                _rewrite(tx.connection, self._tables.flowdetails, flow_detail.uuid, values)
            self._write_atoms(tx.connection, flow_detail)

        self._write(update)
        self._remember(flow_detail.uuid, values)
        for atom in flow_detail:
            self._remember(atom.uuid, _atom_values(atom))
        return flow_detail

    def _write_atoms(self, connection: sa.Connection, flow: models.FlowDetail) -> None:
        table = self._tables.atomdetails
        known = (
            set(connection.execute(sa.select(table.c.uuid).where(table.c.parent_uuid == flow.uuid)).scalars())
            if any(atom.uuid not in self._written for atom in flow)
            else set(self._written)
        )
        new = []
        for atom in flow:
            values = _atom_values(atom)
            if atom.uuid not in known:
                new.append(
                    {
                        **values,
                        'parent_uuid': flow.uuid,
                        'atom_type': models.atom_detail_type(atom),
                    }
                )
            elif self._differs(atom.uuid, values):
                _rewrite(connection, table, atom.uuid, values)
        if new:
            connection.execute(sa.insert(table), new)

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        """Write an atom and, with it, the step that it is."""
        values = _atom_values(atom_detail)
        if not self._differs(atom_detail.uuid, values):
            return atom_detail
        before = self._written.get(atom_detail.uuid, {}).get('state')

        def update(tx: Transaction) -> None:
            if not _rewrite(tx.connection, self._tables.atomdetails, atom_detail.uuid, values):
                raise exceptions.NotFound(f'No atom detail {atom_detail.uuid}')
            if atom_detail.name in self._steps and atom_detail.state != before:
                self._show(tx, atom_detail)

        refused = self._run.recording(atom_detail.name) if atom_detail.state == states.SUCCESS else None
        try:
            self._write(update)
        except LostClaimError:
            if refused is not None:
                refused()
            raise
        self._remember(atom_detail.uuid, values)
        if atom_detail.name in self._steps:
            self._tell_run(atom_detail)
        return atom_detail

    def _show(self, tx: Transaction, atom: models.AtomDetail) -> None:
        """The atom's new state as operators and tenants see it."""
        shown = tx.steps
        import_id = self._run.claim.import_id
        if atom.state in _ENTERED:
            state = _ENTERED[atom.state]
            shown.enter(import_id, atom.name, state, worker=self._run.claim.owner)
        elif atom.state in _LEFT:
            error = self._run.error_of(atom.name) if atom.state != states.REVERTED else None
            tolerated = atom.state == states.SUCCESS and error is not None
            state = StepState.FAILED if tolerated else _LEFT[atom.state]
            shown.leave(
                import_id,
                atom.name,
                state,
                error=None if error is None else (error.code, error.message),
                progress=self._run.last_progress(atom.name),
            )
        else:
            return
        if self._run.plan.step_events:
            self._tell_step(tx, atom.name, state)

    def _tell_step(self, tx: Transaction, name: str, state: StepState) -> None:
        claim = self._run.claim
        tx.notify(
            Event.IMPORT_STEP,
            {
                'import_id': claim.import_id,
                'image_id': claim.image_id,
                'step': name,
                'state': state.value,
                'worker': claim.owner,
            },
        )

    def _tell_run(self, atom: models.AtomDetail) -> None:
        if atom.state in _ENTERED:
            self._run.entered(atom.name)
        elif atom.state in _LEFT:
            self._run.left(atom.name)

    def _differs(self, uuid: str, values: dict[str, object]) -> bool:
        """Whether anything but TaskFlow's own progress figures has changed."""
        written = self._written.get(uuid)
        return written is None or any(
            value != written[name] for name, value in values.items() if name != 'meta'
        )

    def _remember(self, uuid: str, values: dict[str, object]) -> None:
        self._written[uuid] = dict(values)


def _rewrite(connection: sa.Connection, table: sa.Table, uuid: str, values: dict[str, object]) -> bool:
    """Write the columns of a row anew; whether there is one."""
    return connection.execute(_by_uuid(table), {'of_uuid': uuid, **values}).rowcount == 1


@functools.lru_cache(maxsize=8)
def _by_uuid(table: sa.Table) -> sa.Update:
    """An update of a row, built once: what columns it sets is told by what it is executed with."""
    return sa.update(table).where(table.c.uuid == sa.bindparam('of_uuid'))


def _atom_values(atom: models.AtomDetail) -> dict[str, object]:
    return atom.to_dict()


_ENTERED = {
    states.RUNNING: StepState.RUNNING,
    states.REVERTING: StepState.REVERTING,
    states.PENDING: StepState.PENDING,
}
_LEFT = {
    states.SUCCESS: StepState.DONE,
    states.FAILURE: StepState.FAILED,
    states.REVERTED: StepState.REVERTED,
    states.REVERT_FAILURE: StepState.REVERTED,
}
