"""What TaskFlow's records cost and when they are written: only changes, only by who holds the claim."""

import contextlib
import itertools
import threading
import types
from collections.abc import Callable, Iterator

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils
from taskflow import engines as taskflow_engines
from taskflow import exceptions, states, storage
from taskflow.patterns import linear_flow
from testtools import matchers

from imagepipe import errors
from imagepipe.db import engines, schema
from imagepipe.db.database import FencedDatabase
from imagepipe.db.transaction import Transaction
from imagepipe.domain import steps
from imagepipe.domain.import_ import Import, ImportState, Method, Plan, StepState, Target
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step
from imagepipe.jobs.conductor import ImportConductor
from imagepipe.jobs.persistence import LostClaimError, Persistence
from imagepipe.tests.fixtures.databases import DATABASES, DatabaseFixture

PLAN = Plan(
    disk_format='raw',
    container_format='bare',
    must_succeed=True,
    digests=('md5', 'sha512'),
    os_hash_algo='sha512',
    targets=(Target(store='fast', disk_format='raw', representation_id='r', location_id='l'),),
)


class Say(Step):
    """A step that says how far it is, and what it was told to."""

    def __init__(self, name: str, says: object = None) -> None:
        super().__init__(name)
        self._says = says

    def work(self, run: Run) -> object:
        run.progress(self.name, 1, 2)
        self.update_progress(0.5)
        if isinstance(self._says, Exception):
            raise self._says
        return {'said': self._says}


class Away:
    """A database that cannot be used for so many times."""

    def __init__(self, db: FencedDatabase, *, times: int) -> None:
        self._db = db
        self._times = times

    def run(self, operation: Callable[[Transaction], object]) -> object:
        if self._times:
            self._times -= 1
            raise errors.DatabaseUnavailable()
        return self._db.run(operation)


class PersistenceTestCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES
    database_kind: str

    def setUp(self) -> None:
        super().setUp()
        fixture = self.useFixture(DatabaseFixture(self, self.database_kind, migrated=True))
        self.db = fixture.database
        reading = engines.create(fixture.url, translate=False).execution_options(**{engines.READ_ONLY: True})
        self.addCleanup(reading.dispose)
        self.persistence = Persistence(reading)
        self.run_ = self.claimed('somebody')

    def claimed(self, who: str, import_id: str | None = None) -> Run:
        """A run of an import that `who` has claimed."""
        record = Import(
            id=uuidutils.generate_uuid(),
            image_id=uuidutils.generate_uuid(),
            plan=PLAN,
            method=Method.GLANCE_DIRECT,
            state=ImportState.ACCEPTED,
            logbook_id=uuidutils.generate_uuid(),
            flow_id=uuidutils.generate_uuid(),
        )

        def change(tx: Transaction) -> Run:
            if import_id is None:
                tx.imports.add(record)
                tx.steps.plan(record.id, steps.names(PLAN, record.flow_version))
            chosen = import_id or record.id
            claim, _ = tx.imports.claim(chosen, who, 60.0)
            return Run(tx.imports.get(chosen), claim, self.db.fenced(claim))

        return self.db.run(change)

    def expire(self) -> None:
        self.db.run(lambda tx: tx.connection.execute(sa.update(schema.imports).values(claim_expires=0.0)))

    def engine(self, run: Run, *says: object) -> object:
        """An engine over a flow of real names: stage, introspect, as many as are given."""
        names = steps.names(PLAN, run.record.flow_version)[: len(says) or 1]
        flow = linear_flow.Flow('import').add(
            *(Say(name, each) for name, each in zip(names, says or ('x',), strict=True))
        )
        engine = taskflow_engines.load(
            flow,
            flow_detail=self.persistence.open_flow(run),
            backend=self.persistence.fenced(run),
            engine='serial',
        )
        engine.storage.inject({'run': run}, transient=True)
        engine.compile()
        engine.prepare()
        engine.validate()
        return engine

    @contextlib.contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements that the database gets."""
        seen: list[str] = []

        def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        for engine in (self.db.engine, self.persistence.engine):
            sa.event.listen(engine, 'before_cursor_execute', note)
        try:
            yield seen
        finally:
            for engine in (self.db.engine, self.persistence.engine):
                sa.event.remove(engine, 'before_cursor_execute', note)

    def step(self, name: str = 'stage') -> object:
        found = self.db.read(lambda tx: tx.steps.of_imports([self.run_.claim.import_id]))
        return next(each for each in found[self.run_.claim.import_id] if each.name == name)

    def recorded(self, run: Run) -> dict[str, str]:
        """TaskFlow's states as another process reads them."""
        flow = self.persistence.get_connection().get_flow_details(run.record.flow_id)
        return {atom.name: atom.state for atom in flow}

    # What is written.

    def test_a_flow_is_made_once_under_the_ids_of_the_import(self) -> None:
        run = self.run_
        self.assertFalse(self.persistence.has_flow(run.record.flow_id))
        made = self.persistence.open_flow(run)
        self.assertEqual(run.record.flow_id, made.uuid)
        self.assertTrue(self.persistence.has_flow(run.record.flow_id))
        self.assertEqual(made.uuid, self.persistence.open_flow(run).uuid)
        books = list(self.persistence.get_connection().get_logbooks())
        self.assertEqual([run.record.logbook_id], [book.uuid for book in books])

    def test_a_step_is_shown_with_its_record(self) -> None:
        self.engine(self.run_, 'x').run()
        step = self.step()
        self.assertEqual(
            (StepState.DONE, 1, 'somebody', 1, 2),
            (step.state, step.attempt, step.worker, step.bytes_done, step.bytes_total),
        )
        self.assertEqual(states.SUCCESS, self.recorded(self.run_)['stage'])

    def test_progress_that_is_written_late_says_nothing_of_a_step_that_has_ended(self) -> None:
        self.engine(self.run_, 'x').run()
        ended = self.step()
        self.db.run(lambda tx: tx.steps.progress(self.run_.claim.import_id, {'stage': (7, 7)}))
        self.assertEqual(ended, self.step())

    def test_a_failure_is_shown_with_its_code(self) -> None:
        engine = self.engine(self.run_, 'x', errors.SourceInvalid(reason='It is not a URL.'))
        self.assertRaises(errors.SourceInvalid, engine.run)
        self.assertEqual(StepState.REVERTED, self.step('stage').state)
        self.assertEqual('imagepipe.source.invalid', self.step('introspect').error_code)
        self.assertEqual({'stage': states.REVERTED, 'introspect': states.REVERTED}, self.recorded(self.run_))

    def test_what_a_library_put_into_the_cause_of_a_failure_is_not_recorded(self) -> None:
        """urllib3's errors have other errors among their arguments, and PostgreSQL takes only JSON."""
        broken = errors.SourceUnavailable(reason='it broke off')
        broken.__cause__ = OSError('it broke off', ConnectionResetError())
        for says in (broken, OSError('a defect', ConnectionResetError())):
            run = self.claimed('somebody')
            self.assertRaises(errors.ImagepipeError, self.engine(run, says).run)
            self.assertEqual({'stage': states.REVERTED}, self.recorded(run))

    def test_a_finished_flow_is_read_as_finished(self) -> None:
        self.engine(self.run_, 'x', 'y').run()
        flow = self.persistence.open_flow(self.run_)
        self.assertEqual(states.SUCCESS, flow.state)
        self.assertEqual([{'said': 'x'}, {'said': 'y'}], sorted((atom.results for atom in flow), key=str))

    # What it costs.

    def test_each_further_step_costs_few_statements_and_two_transactions(self) -> None:
        costs = [self.cost(number) for number in (1, 2, 3, 4)]
        more = {later - earlier for earlier, later in itertools.pairwise(costs)}
        self.assertThat(more, matchers.HasLength(1))
        # RUNNING and SUCCESS; each the fence, the atom, the step (and BEGIN, where we send it).
        self.assertThat(more.pop(), matchers.LessThan(10))

    def cost(self, number: int) -> int:
        run = self.claimed('somebody')
        engine = self.engine(run, *['x'] * number)
        with self.counted() as statements:
            engine.run()
        return len(statements)

    def test_progress_alone_is_not_written(self) -> None:
        engine = self.engine(self.run_, 'x')
        detail = engine.storage._atomdetail_by_name('stage')[0]
        connection = engine.storage._backend.get_connection()
        connection.update_atom_details(detail)
        with self.counted() as statements:
            detail.meta['progress'] = 0.7
            connection.update_atom_details(detail)
        self.assertEqual([], statements)
        detail.state = states.RUNNING
        with self.counted() as statements:
            connection.update_atom_details(detail)
        self.assertNotEqual([], statements)

    def test_what_did_not_change_is_not_written_with_the_flow(self) -> None:
        engine = self.engine(self.run_, 'x', 'y')
        connection = engine.storage._backend.get_connection()
        flow = engine.storage._flowdetail
        connection.update_flow_details(flow)
        with self.counted() as statements:
            flow.state = states.RUNNING
            connection.update_flow_details(flow)
        self.assertEqual([], [text for text in statements if 'UPDATE atomdetails' in text])
        self.assertEqual(1, len([text for text in statements if 'UPDATE flowdetails' in text]))

    # Who may write.

    def test_a_lost_claim_ends_the_engine_and_writes_nothing(self) -> None:
        engine = self.engine(self.run_, 'x', 'y')
        iterator = engine.run_iter()
        for _ in iterator:
            if self.recorded(self.run_).get('stage') == states.RUNNING:
                break
        self.expire()
        self.claimed('somebody else', self.run_.claim.import_id)
        before = self.recorded(self.run_), self.step()
        self.assertRaises(LostClaimError, self.exhaust, iterator)
        self.assertTrue(self.run_.lost.is_set())
        self.assertEqual(before, (self.recorded(self.run_), self.step()))

    def exhaust(self, iterator: Iterator[object]) -> None:
        try:
            for _ in iterator:
                pass
        except exceptions.WrappedFailure as error:
            for found in error:
                found.reraise()

    def test_a_step_that_stops_because_the_claim_is_lost_or_the_database_away_has_not_failed(self) -> None:
        """Nobody else has the claim yet, so that everything could be written."""
        for says in (errors.DatabaseUnavailable(), errors.ClaimLost(import_id='import')):
            run = self.claimed('somebody')
            self.assertRaises(LostClaimError, self.exhaust, self.engine(run, says).run_iter())
            self.assertEqual(states.RUNNING, self.recorded(run)['stage'])
            self.assertIsNone(run.last_error())
            again = self.db.run(lambda tx, run=run: self.taken(tx, run))
            self.engine(again, 'x').run()
            self.assertEqual(states.SUCCESS, self.recorded(again)['stage'])

    def test_a_database_that_is_away_for_too_long_ends_the_run_and_not_the_flow(self) -> None:
        """It is back when TaskFlow has given up, in time to write down that the flow has failed."""
        for name in ('_save_atom_detail', '_save_flow_detail'):
            pause = f'taskflow.storage.Storage.{name}.retry.sleep'
            self.useFixture(fixtures.MonkeyPatch(pause, lambda _seconds: None))
        iterator = self.engine(self.run_, 'x').run_iter()
        while self.recorded(self.run_).get('stage') != states.RUNNING:
            next(iterator)
        self.run_.db = Away(self.run_.db, times=storage.RETRY_ATTEMPTS)
        self.assertRaises(exceptions.StorageFailure, self.exhaust, iterator)
        self.assertTrue(self.run_.lost.is_set())
        flow = self.persistence.get_connection().get_flow_details(self.run_.record.flow_id)
        self.assertEqual(states.RUNNING, flow.state)
        again = self.db.run(lambda tx: self.taken(tx, self.run_))
        self.engine(again, 'x').run()
        self.assertEqual(states.SUCCESS, self.recorded(again)['stage'])

    def test_a_worker_that_stops_as_it_takes_over_does_not_end_the_flow(self) -> None:
        """TaskFlow takes a flow whose step was running for reverted, if it is suspended before it goes on."""
        iterator = self.engine(self.run_, 'x').run_iter()
        while self.recorded(self.run_).get('stage') != states.RUNNING:
            next(iterator)
        again = self.db.run(lambda tx: self.taken(tx, self.run_))
        stopped = types.SimpleNamespace(_wait_timeout=types.SimpleNamespace(is_stopped=lambda: True))
        ImportConductor._run_engine(stopped, again, self.engine(again, 'x'))
        flow = self.persistence.get_connection().get_flow_details(self.run_.record.flow_id)
        self.assertIn(flow.state, (states.SUSPENDED, states.SUCCESS))

    def test_a_step_that_stops_with_the_run_does_not_hide_why_another_did(self) -> None:
        def stop(error: errors.ImagepipeError) -> None:
            with self.run_.let_go():
                raise error

        self.assertRaises(errors.DatabaseUnavailable, stop, errors.DatabaseUnavailable())
        self.assertRaises(errors.ClaimLost, stop, errors.ClaimLost(import_id='import'))
        self.assertTrue(self.run_.adrift)

    def taken(self, tx: Transaction, run: Run) -> Run:
        """The import in the hands of the next one, after it was given back."""
        tx.imports.release(run.claim)
        claim, _ = tx.imports.claim(run.claim.import_id, 'somebody else', 60.0)
        return Run(tx.imports.get(run.claim.import_id), claim, self.db.fenced(claim))

    def test_a_flow_is_not_made_without_the_claim(self) -> None:
        self.expire()
        self.claimed('somebody else', self.run_.claim.import_id)
        self.assertRaises(LostClaimError, self.persistence.open_flow, self.run_)
        self.assertFalse(self.persistence.has_flow(self.run_.record.flow_id))

    def test_what_was_recorded_may_be_taken_over_and_is_not_run_again(self) -> None:
        engine = self.engine(self.run_, 'x', 'y')
        for _ in engine.run_iter():
            if self.recorded(self.run_).get('stage') == states.SUCCESS:
                engine.suspend()
        self.expire()
        again = self.claimed('somebody else', self.run_.claim.import_id)
        self.engine(again, 'x', 'y').run()
        self.assertEqual((1, 'somebody'), (self.step('stage').attempt, self.step('stage').worker))
        self.assertEqual('somebody else', self.step('introspect').worker)

    # What is kept.

    def test_forgetting_leaves_no_row(self) -> None:
        self.engine(self.run_, 'x').run()
        record = self.run_.record
        Persistence(self.db.engine).forget(record.logbook_id, record.flow_id)
        with self.db.engine.connect() as connection:
            for table in ('atomdetails', 'flowdetails', 'logbooks'):
                count = sa.select(sa.func.count()).select_from(sa.table(table))
                self.assertEqual(0, connection.execute(count).scalar())

    def test_the_connection_is_kept_and_shared(self) -> None:
        found = {id(self.persistence.get_connection())}

        def look() -> None:
            found.add(id(self.persistence.get_connection()))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(1, len(found))
