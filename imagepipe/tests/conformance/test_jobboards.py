"""What every jobboard must do, over each database: one owner at a time, oldest first, nothing lost."""

import datetime
import threading
from concurrent import futures

import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils
from taskflow import exceptions, states
from taskflow.jobs import backends

from imagepipe import errors
from imagepipe.db import engines, schema
from imagepipe.db.database import Database
from imagepipe.db.transaction import Transaction
from imagepipe.domain import steps
from imagepipe.domain.event import Event
from imagepipe.domain.import_ import FLOW_VERSION, Import, ImportState, Method, Plan, StepState, Target
from imagepipe.jobs.board import ImportJob, SQLJobBoard
from imagepipe.tests.fixtures.databases import DATABASES, use_database

LEASE = 60.0
PLAN = Plan(
    disk_format='raw',
    container_format='bare',
    must_succeed=True,
    digests=('md5', 'sha512'),
    os_hash_algo='sha512',
    targets=(Target(store='fast', disk_format='raw', representation_id='r', location_id='l'),),
)


class BoardConformanceTestCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.url = use_database(self).url
        self.db = self.database()
        self.board = self.another()

    def database(self) -> Database:
        """The database as a process of its own has it."""
        engine = engines.create(self.url)
        self.addCleanup(engine.dispose)
        return Database(engine)

    def another(self, **conf: object) -> SQLJobBoard:
        """The board as another process sees it."""
        board = SQLJobBoard('imagepipe', {'lease': LEASE, **conf}, db=self.database())
        board.connect()
        self.addCleanup(board.close)
        return board

    def post(self, number: int = 0, **columns: object) -> str:
        """Accept an import, as a request does; the later ones have higher numbers."""
        record = Import(
            id=uuidutils.generate_uuid(),
            image_id=uuidutils.generate_uuid(),
            plan=PLAN,
            method=Method.WEB_DOWNLOAD,
            state=ImportState.ACCEPTED,
        )

        def change(tx: Transaction) -> None:
            tx.imports.add(record)
            tx.steps.plan(record.id, steps.names(PLAN))
            when = datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=number)
            tx.connection.execute(
                sa.update(schema.imports)
                .where(schema.imports.c.id == record.id)
                .values(**{'created_at': when, **columns})
            )

        self.db.run(change)
        return record.id

    def expire(self) -> None:
        """The lease of every claim runs out."""
        self.db.run(lambda tx: tx.connection.execute(sa.update(schema.imports).values(claim_expires=0.0)))

    def row(self, import_id: str) -> Import:
        return self.db.read(lambda tx: tx.imports.get(import_id))

    # Finding.

    def test_jobs_come_oldest_first(self) -> None:
        second, first, third = self.post(2), self.post(1), self.post(3)
        self.assertEqual([first, second, third], [job.uuid for job in self.board.iterjobs()])
        self.assertEqual(3, self.board.job_count)

    def test_what_is_held_or_over_is_not_offered(self) -> None:
        held, over, free = self.post(1), self.post(2, state='failed', live_image_id=None), self.post(3)
        self.board.claim(self.job(held), 'somebody')
        self.assertEqual([free], [job.uuid for job in self.board.iterjobs()])
        self.assertEqual(states.COMPLETE, self.job(over).state)

    def job(self, import_id: str, board: SQLJobBoard | None = None) -> ImportJob:
        return ImportJob(board or self.board, import_id, FLOW_VERSION)

    def test_waiting_ends_with_a_job_or_with_not_found(self) -> None:
        self.assertRaises(exceptions.NotFound, self.board.wait, timeout=0.05)
        found: list[str] = []
        waiting = threading.Thread(
            target=lambda: found.extend(job.uuid for job in self.board.wait(timeout=60))
        )
        waiting.start()
        posted = self.post()
        waiting.join()
        self.assertEqual([posted], found)

    def test_a_job_says_where_it_stands(self) -> None:
        job = self.job(self.post())
        self.assertEqual(states.UNCLAIMED, job.state)
        self.assertIsNone(self.board.find_owner(job))
        self.board.claim(job, 'somebody')
        self.assertEqual((states.CLAIMED, 'somebody'), (job.state, self.board.find_owner(job)))
        self.assertEqual(datetime.datetime(2026, 1, 1), job.created_on)
        self.expire()
        self.assertIsNone(self.board.find_owner(job))
        self.assertEqual(states.COMPLETE, self.job('nobody-knows-it').state)

    def test_posting_is_the_requests_own(self) -> None:
        self.assertRaises(exceptions.JobFailure, self.board.post, 'another')

    # Claiming.

    def test_a_claim_names_the_epoch_and_starts_the_import(self) -> None:
        import_id = self.post()
        job = self.job(import_id)
        self.board.claim(job, 'somebody')
        self.assertEqual(
            (1, 'somebody', ImportState.RUNNING),
            (job.claim.epoch, job.claim.owner, job.record.state),
        )
        with self.db.engine.connect() as connection:
            told = connection.execute(sa.select(schema.outbox.c.event_type)).scalars().all()
        self.assertEqual([Event.TASK_PROCESSING.value], told)

    def test_what_is_held_cannot_be_claimed(self) -> None:
        import_id = self.post()
        self.board.claim(self.job(import_id), 'somebody')
        other = self.another()
        self.assertRaises(exceptions.UnclaimableJob, other.claim, self.job(import_id, other), 'somebody else')
        self.assertEqual((1, 'somebody'), (self.row(import_id).epoch, self.row(import_id).claim_owner))

    def test_what_is_over_or_unknown_cannot_be_claimed(self) -> None:
        over = self.post(state='succeeded', live_image_id=None)
        for import_id in (over, 'nobody-knows-it'):
            self.assertRaises(exceptions.UnclaimableJob, self.board.claim, self.job(import_id), 'somebody')

    def test_a_newer_flow_is_neither_offered_nor_claimed(self) -> None:
        newer = self.post(flow_version=FLOW_VERSION + 1)
        self.assertEqual([], list(self.board.iterjobs()))
        job = ImportJob(self.board, newer, FLOW_VERSION + 1)
        self.assertRaises(exceptions.UnclaimableJob, self.board.claim, job, 'somebody')
        self.assertEqual(0, self.row(newer).epoch)

    def test_an_expired_claim_is_taken_over_under_a_higher_epoch(self) -> None:
        import_id = self.post()
        first, second = self.job(import_id), self.job(import_id)
        self.board.claim(first, 'somebody')
        self.enter(import_id, steps.STAGE)
        self.expire()
        self.another().claim(second, 'somebody else')
        self.assertEqual((1, 2), (first.claim.epoch, second.claim.epoch))
        self.assertEqual(1, self.crashes(import_id))
        self.assertFalse(first.extend_expiry(LEASE))
        self.assertTrue(second.extend_expiry(LEASE))
        self.assertRaises(exceptions.JobFailure, self.board.abandon, first, 'somebody')
        self.assertRaises(errors.ClaimLost, self.db.fenced(first.claim).run, lambda tx: None)
        self.db.fenced(second.claim).run(lambda tx: None)

    def enter(self, import_id: str, step: str) -> None:
        self.db.run(lambda tx: tx.steps.enter(import_id, step, StepState.RUNNING, worker='somebody'))

    def crashes(self, import_id: str) -> int:
        found = self.db.read(lambda tx: tx.steps.of_imports([import_id]))[import_id]
        return sum(step.crashes for step in found)

    def test_too_many_crashes_of_a_step_turn_the_import_back(self) -> None:
        board = self.another(max_attempts=2)
        import_id = self.post()
        for _ in range(2):
            board.claim(self.job(import_id, board), 'somebody')
            self.enter(import_id, steps.STAGE)
            self.expire()
        self.assertEqual(ImportState.RUNNING, self.row(import_id).state)
        board.claim(self.job(import_id, board), 'somebody')
        record = self.row(import_id)
        self.assertEqual(
            (ImportState.REVERTING, 'imagepipe.import.attempts_exhausted', steps.STAGE),
            (record.state, record.error_code, record.error_step),
        )

    # Races.

    def test_of_many_that_want_one_job_one_gets_it(self) -> None:
        boards = [self.another() for _ in range(8)]
        for number in range(5):
            import_id = self.post(number)
            winners = self.race(
                [
                    lambda board=board, who=who, import_id=import_id: self.claimed(
                        board, import_id, f'w{who}'
                    )
                    for who, board in enumerate(boards)
                ]
            )
            self.assertEqual(1, sum(winners))
            self.assertEqual(1, self.row(import_id).epoch)

    def claimed(self, board: SQLJobBoard, import_id: str, who: str) -> bool:
        try:
            board.claim(self.job(import_id, board), who)
        except exceptions.UnclaimableJob:
            return False
        return True

    def race(self, runners: list[object]) -> list[bool]:
        """Run them at the same moment."""
        start = threading.Barrier(len(runners))

        def run(runner: object) -> bool:
            start.wait(60)
            return runner()

        with futures.ThreadPoolExecutor(len(runners)) as pool:
            return list(pool.map(run, runners))

    def test_many_workers_share_many_jobs(self) -> None:
        posted = {self.post(number) for number in range(24)}
        boards = [self.another() for _ in range(4)]
        taken: list[str] = []

        def work(board: SQLJobBoard, who: str) -> bool:
            while jobs := list(board.iterjobs()):
                for job in jobs:
                    if self.claimed(board, job.uuid, who):
                        taken.append(job.uuid)
            return True

        self.race([lambda board=board, who=f'w{who}': work(board, who) for who, board in enumerate(boards)])
        self.assertEqual(len(posted), len(taken))
        self.assertEqual(posted, set(taken))
        self.assertEqual({1}, {self.row(import_id).epoch for import_id in posted})

    def test_an_expired_claim_has_one_heir(self) -> None:
        import_id = self.post()
        self.board.claim(self.job(import_id), 'dead')
        self.expire()
        boards = [self.another() for _ in range(6)]
        winners = self.race(
            [
                lambda board=board, who=who: self.claimed(board, import_id, f'w{who}')
                for who, board in enumerate(boards)
            ]
        )
        self.assertEqual((1, 2), (sum(winners), self.row(import_id).epoch))

    # Letting go.

    def test_an_abandoned_job_is_offered_again_and_nothing_is_counted(self) -> None:
        import_id = self.post()
        job = self.job(import_id)
        self.board.claim(job, 'somebody')
        self.enter(import_id, steps.STAGE)
        self.board.abandon(job, 'somebody')
        self.assertEqual([import_id], [each.uuid for each in self.board.iterjobs()])
        self.assertRaises(exceptions.JobFailure, self.board.abandon, job, 'somebody')
        self.another().claim(self.job(import_id), 'somebody else')
        self.assertEqual((2, 0), (self.row(import_id).epoch, self.crashes(import_id)))

    def test_a_trashed_job_is_given_back(self) -> None:
        import_id = self.post()
        job = self.job(import_id)
        self.board.claim(job, 'somebody')
        self.board.trash(job, 'somebody')
        self.assertEqual([import_id], [each.uuid for each in self.board.iterjobs()])

    def test_consuming_tells_whoever_listens(self) -> None:
        import_id = self.post()
        job = self.job(import_id)
        self.board.claim(job, 'somebody')
        removed = threading.Event()
        self.board.notifier.register('REMOVAL', lambda event, details: removed.set())
        self.board.consume(job, 'somebody')
        self.assertTrue(removed.wait(60))

    # The database.

    def test_a_database_that_is_away_is_a_failure_of_the_job(self) -> None:
        engine = engines.create('postgresql+psycopg2://nobody@127.0.0.1:1/nowhere')
        self.addCleanup(engine.dispose)
        board = SQLJobBoard('imagepipe', {}, db=Database(engine, attempts=1))
        self.assertRaises(exceptions.JobFailure, board.iterjobs)


class EntryPointTestCase(testtools.TestCase):
    """TaskFlow finds the board by its name."""

    def test_the_board_is_a_plugin(self) -> None:
        database = use_database(self)
        board = backends.fetch('imagepipe', {'board': 'imagepipe-sql', 'connection': database.url})
        self.assertIsInstance(board, SQLJobBoard)
        self.assertFalse(board.connected)
        board.connect()
        self.assertEqual([], list(board.iterjobs()))
        board.close()
        self.assertFalse(board.connected)
