"""What every jobboard must do, over each database: one owner at a time, in turn, nothing lost."""

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
from imagepipe.domain.conductor import Drain
from imagepipe.domain.event import Event
from imagepipe.domain.import_ import FLOWS, Import, ImportState, Method, Plan, StepState, Target
from imagepipe.jobs.admission import Admission, Bounds
from imagepipe.jobs.board import ImportJob, SQLJobBoard
from imagepipe.tests.fixtures.databases import DATABASES, use_database

LEASE = 60.0
#: Imports of so many bytes are small ones here.
SMALL = 100
FLOW = FLOWS[Method.GLANCE_DIRECT]
NEWER = max(FLOWS.values()) + 1
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
        database = Database(engines.create(self.url), engines.create(self.url, reading=True))
        self.addCleanup(database.close)
        return database

    def another(self, admission: Admission | None = None, **conf: object) -> SQLJobBoard:
        """The board as another process sees it."""
        board = SQLJobBoard('imagepipe', {'lease': LEASE, **conf}, db=self.database(), admission=admission)
        board.connect()
        self.addCleanup(board.close)
        return board

    def post(
        self, number: int = 0, *, owner: str | None = None, size: int | None = None, **columns: object
    ) -> str:
        """Accept an import, as a request does; the later ones have higher numbers. size: of a small one."""
        record = Import(
            id=uuidutils.generate_uuid(),
            image_id=uuidutils.generate_uuid(),
            owner=owner,
            small=size is not None and size <= SMALL,
            weight=size or 0,
            plan=PLAN,
            method=Method.WEB_DOWNLOAD,
            state=ImportState.ACCEPTED,
        )

        def change(tx: Transaction) -> None:
            tx.imports.add(record)
            tx.steps.plan(record.id, steps.names(PLAN, FLOW))
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

    def offered(self, board: SQLJobBoard | None = None) -> list[str]:
        return [job.uuid for job in (board or self.board).iterjobs()]

    def test_jobs_of_a_project_come_oldest_first(self) -> None:
        posted = [self.post(number) for number in range(3)]
        self.assertEqual(posted, self.offered())
        self.assertEqual(3, self.board.job_count)

    def test_projects_take_turns(self) -> None:
        first, second, third, fourth = (self.post(number, owner='many') for number in range(4))
        late, later = (self.post(number, owner='few') for number in (8, 9))
        self.assertEqual([first, late, second, later, third, fourth], self.offered())

    def test_whoever_comes_late_joins_the_round_that_is_run(self) -> None:
        posted = [self.post(number, owner='many') for number in range(6)]
        for import_id in posted[:3]:
            self.board.claim(self.job(import_id), 'host:1:x')
        late, later = (self.post(number, owner='few') for number in (8, 9))
        self.assertEqual([late, posted[3], later, posted[4], posted[5]], self.offered())

    def test_what_is_to_be_undone_comes_first(self) -> None:
        first, second = self.post(1), self.post(2)
        self.db.run(lambda tx: tx.imports.revert(second, ImportState.CANCELLED, errors.ImportCancelled()))
        self.assertEqual([second, first], self.offered())

    # What a host takes.

    def admission(self, **bounds: int) -> Admission:
        return Admission('host', Bounds(**bounds))

    def takes(self, board: SQLJobBoard) -> list[str]:
        """The imports that a worker takes in so many looks as it ever needs."""
        taken = []
        for _ in range(4):
            for job in board.iterjobs():
                big_ones = sum(not each.small for each in taken)
                if not board._admission.goes_on(small=job.small, big_ones=big_ones):
                    break
                try:
                    board.claim(job, 'host:1:x')
                except exceptions.UnclaimableJob:
                    continue
                taken.append(job)
        return [job.uuid for job in taken]

    def test_a_drained_host_takes_nothing(self) -> None:
        import_id, board = self.post(), self.another(self.admission())
        self.db.run(lambda tx: (tx.conductors.locked('host'), tx.conductors.drain('host', Drain.FINISH)))
        self.assertEqual([], self.takes(board))
        self.assertEqual(0, self.row(import_id).epoch)
        self.db.run(lambda tx: tx.conductors.drain('host', None))
        self.assertEqual([import_id], self.takes(board))

    def test_a_host_takes_so_many_and_no_more(self) -> None:
        posted = [self.post(number) for number in range(4)]
        self.assertEqual(posted[:2], self.takes(self.another(self.admission(imports=2))))
        self.assertEqual([], self.takes(self.another(self.admission(imports=2))))
        self.assertEqual([posted[2]], self.takes(self.another(self.admission(imports=3))))
        self.expire()  # what nobody keeps does not count
        self.assertEqual(posted[:2], self.takes(self.another(self.admission(imports=2))))

    def test_workers_of_a_host_do_not_share_the_last_place(self) -> None:
        boards = [self.another(self.admission(imports=1)) for _ in range(6)]
        posted = [self.post(number) for number in range(len(boards))]
        self.db.run(lambda tx: tx.conductors.locked('host'))  # whoever makes the row holds it anyhow
        won = self.race(
            [
                # Each another one, so that nothing but the host's row is between them.
                lambda board=board, import_id=import_id: self.claimed(board, import_id, 'host:1:x')
                for board, import_id in zip(boards, posted, strict=True)
            ]
        )
        self.assertEqual(1, sum(won))

    def test_big_ones_wait_until_they_fit_and_do_not_overtake_each_other(self) -> None:
        huge, big, bigger = (self.post(number, size=size) for number, size in enumerate((900, 300, 800)))
        small = self.post(9, size=SMALL)
        board = self.another(self.admission(size=500))
        self.assertEqual([huge, small], self.takes(board))  # larger than all there is: alone
        self.end(huge)
        self.assertEqual([big], self.takes(board))
        last = self.post(10, size=101)  # it would fit, and comes after the bigger one
        self.assertEqual([], self.takes(board))
        self.end(big)
        self.assertEqual([bigger], self.takes(board))
        self.end(bigger)
        self.assertEqual([last], self.takes(board))

    def end(self, import_id: str) -> None:
        self.db.run(
            lambda tx: tx.imports.to(
                import_id, [ImportState.RUNNING], ImportState.FAILED, claim_owner=None, claim_expires=None
            )
        )

    def test_small_ones_have_places_of_their_own(self) -> None:
        big = [self.post(number) for number in range(60)]  # more than one look fetches
        small = [self.post(number, size=SMALL, turn=1000) for number in (70, 80)]
        taken = self.takes(self.another(self.admission(big_ones=2)))
        self.assertEqual([*big[:2], *small], taken)

    def test_bytes_that_nobody_knew_of_count_when_they_are_staged(self) -> None:
        unknown, other = self.post(1), self.post(2)
        board = self.another(self.admission(size=500))
        self.assertEqual([unknown, other], self.takes(board))
        self.db.run(lambda tx: tx.imports.record(unknown, weight=501))
        self.post(3)
        self.assertEqual([], self.takes(board))

    def test_what_is_held_or_over_is_not_offered(self) -> None:
        held, over, free = self.post(1), self.post(2, state='failed', live_image_id=None), self.post(3)
        self.board.claim(self.job(held), 'somebody')
        self.assertEqual([free], [job.uuid for job in self.board.iterjobs()])
        self.assertEqual(states.COMPLETE, self.job(over).state)

    def job(self, import_id: str, board: SQLJobBoard | None = None) -> ImportJob:
        return ImportJob(board or self.board, import_id, FLOWS[Method.GLANCE_DIRECT])

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
        newer = self.post(flow_version=max(FLOWS.values()) + 1)
        self.assertEqual([], list(self.board.iterjobs()))
        job = ImportJob(self.board, newer, max(FLOWS.values()) + 1)
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

    def test_an_interruption_is_counted_and_the_job_offered_again(self) -> None:
        """So what cannot be done with the database, time and again, is not tried for ever."""
        import_id = self.post()
        job = self.job(import_id)
        self.board.claim(job, 'somebody')
        self.enter(import_id, steps.STAGE)
        job.interrupted = True
        self.board.abandon(job, 'somebody')
        # The thread that keeps claims may know of it only later.
        self.assertEqual({}, self.board.write(lambda tx: tx.imports.renew([job.claim], 60.0)))
        self.another().claim(self.job(import_id), 'somebody else')
        self.assertEqual((2, 1), (self.row(import_id).epoch, self.crashes(import_id)))
        self.assertRaises(exceptions.JobFailure, self.board.abandon, job, 'somebody')

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
        url = 'postgresql+psycopg2://nobody@127.0.0.1:1/nowhere'
        database = Database(engines.create(url), engines.create(url, reading=True), attempts=1)
        self.addCleanup(database.close)
        board = SQLJobBoard('imagepipe', {}, db=database)
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
