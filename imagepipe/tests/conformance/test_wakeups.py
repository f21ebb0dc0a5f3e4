"""Three boards, one behaviour: whatever becomes of postings, each import runs, once, and soon.

The workers look at the database when they start and then not for a minute, where there is an external
board: so what starts an import here is a posting. On the SQL board the imports are the postings.
"""

import logging
import threading
import time

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils
from testtools import matchers

from imagepipe import errors
from imagepipe.db import schema
from imagepipe.domain.import_ import Import
from imagepipe.jobs.external import BoardUnavailable, ExternalBoard
from imagepipe.jobs.waking import Waker
from imagepipe.jobs.worker import Worker
from imagepipe.tests.fixtures.jobboards import BOARDS, SecureRedisServer, make_board
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

DATA = b'a small raw image' * 100
#: Less than a conductor waits here until it looks by itself.
SOON = 30.0
RARELY = 60.0
OFTEN = 0.05


class WakeupConformanceTestCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = BOARDS

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.board = self.useFixture(make_board(self))
        self.external = self.board.kind != 'sql'
        self.pipe = self.pipeline(RARELY if self.external else OFTEN)

    def pipeline(self, poll: float, **conductor: object) -> PipelineFixture:
        """An imagepipe on the board; its workers look by themselves each `poll` seconds."""
        settings = {f'conductor.{name}': value for name, value in ({'poll': poll} | conductor).items()}
        overrides = self.board.overrides() | settings
        return self.useFixture(PipelineFixture(self, works=False, overrides=overrides))

    def accept(self) -> str:
        """An import that waits."""
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        return self.pipe.start(image_id)

    def accept_unposted(self) -> str:
        """An import whose posting is lost."""
        poster = self.pipe.services.poster
        self.pipe.with_parts(poster=None)
        import_id = self.accept()
        self.pipe.with_parts(poster=poster)
        return import_id

    def accept_elsewhere(self) -> str:
        """An import that only workers of another host can run."""
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        self.change(sa.update(schema.transfers).values(host='elsewhere'))
        return self.pipe.start(image_id)

    def change(self, statement: sa.Update) -> None:
        self.pipe.services.db.run(lambda tx: tx.connection.execute(statement))

    def idle_worker(self) -> Worker:
        """A worker that has looked for imports and found none: it has just run the last one."""
        worker = self.pipe.work()
        self.ends(self.accept())
        wait_until(lambda: not worker.conductor.runs, 'the worker has nothing to do')
        return worker

    def relay(self) -> Waker | None:
        """The relay of some conductor whose workers have no room."""
        if not self.external:
            return None
        relay = Waker(
            self.pipe.services.db,
            self.pipe.services.external_board(),
            wake=lambda: None,
            has_room=lambda: False,
            relays=True,
            look=0.01,
        )
        relay.start()
        self.addCleanup(relay.stop)
        return relay

    def ends(self, *import_ids: str) -> None:
        """Each of them succeeds soon, and was claimed once."""
        for import_id in import_ids:
            wait_until(lambda import_id=import_id: not self.row(import_id).live, 'it ends', seconds=SOON)
            record = self.row(import_id)
            self.assertEqual(('succeeded', 1), (record.state.value, record.epoch))

    def row(self, import_id: str) -> Import:
        return self.pipe.services.db.read(lambda tx: tx.imports.get(import_id))

    def posted(self) -> set[str | None]:
        """The imports that are named on the board."""
        return {posting.import_id for posting in self.board.board().postings()}

    def board_is_empty(self) -> None:
        wait_until(lambda: self.board.count() == 0, 'nothing stands on the board', seconds=SOON)

    # What should happen.

    def test_an_import_starts_when_it_is_accepted_and_its_posting_goes(self) -> None:
        self.idle_worker()
        for _ in range(3):
            self.ends(self.accept())
        self.board_is_empty()
        self.pipe.check_records()

    def test_a_free_place_is_taken_at_once(self) -> None:
        # One import at a time: the others are taken as places get free, not when a worker looks again.
        self.pipe = self.pipeline(RARELY, imports_per_worker=1)
        accepted = [self.accept() for _ in range(5)]
        self.pipe.work()
        self.ends(*accepted)
        self.board_is_empty()

    def test_what_waits_for_another_host_keeps_its_posting_and_hinders_nothing(self) -> None:
        self.idle_worker()
        self.relay()
        elsewhere = self.accept_elsewhere()
        self.ends(self.accept(), self.accept())
        self.assertEqual(0, self.row(elsewhere).epoch)
        wait_until(lambda: self.board.count() == int(self.external), 'one posting is left', seconds=SOON)
        self.change(sa.update(schema.imports).values(staged_host=None))
        self.ends(elsewhere)
        self.board_is_empty()

    # Postings that are wrong.

    def test_doubled_postings_run_an_import_once_for_two_workers(self) -> None:
        accepted = self.accept()
        self.board.post(accepted, times=4)
        self.pipe.work()
        self.pipe.work()
        self.ends(accepted)
        self.board_is_empty()
        self.assertEqual(1, len(self.pipe.told('task.processing')))
        self.assertEqual(1, len(self.pipe.told('task.success')))
        self.pipe.check_records()

    def test_two_workers_hold_two_postings_of_one_import(self) -> None:
        workers = [self.idle_worker(), self.idle_worker()]
        accepted = self.accept_unposted()
        start = threading.Barrier(2)

        def heed(worker: Worker) -> None:
            """As its own thread does it, with a posting that only this one has seen."""
            board = self.board.board() if self.external else None
            found = [] if board is None else [posting for posting in board.wait(SOON)]
            start.wait(SOON)
            worker.conductor.wake()
            for posting in found:
                board.discard(posting)

        self.board.post(accepted, times=2)
        threads = [threading.Thread(target=heed, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        self.ends(accepted)
        self.board_is_empty()

    def test_postings_of_imports_that_ended_or_never_were_run_nothing(self) -> None:
        worker = self.idle_worker()
        ended = self.accept()
        self.ends(ended)
        wait_until(lambda: not worker.conductor.runs, 'the worker has nothing to do')
        for import_id in (ended, ended, uuidutils.generate_uuid()):
            self.board.post(import_id)
        self.board_is_empty()
        self.ends(ended)
        self.assertEqual({}, worker.conductor.runs)
        self.assertEqual(2, len(self.pipe.told('task.success')))

    def test_postings_in_any_order_run_the_oldest_import_first(self) -> None:
        self.pipe = self.pipeline(RARELY, imports_per_worker=1)
        accepted = [self.accept_unposted() for _ in range(4)]
        for import_id in reversed(accepted):
            self.board.post(import_id, times=2)
        self.pipe.work()
        self.ends(*accepted)
        started = [self.row(import_id).started_at for import_id in accepted]
        self.assertEqual(sorted(started), started)
        self.board_is_empty()

    def test_a_posting_that_is_lost_is_posted_again(self) -> None:
        self.idle_worker()
        self.relay()
        self.ends(self.accept_unposted())
        self.board_is_empty()

    def test_a_board_that_is_emptied_in_the_middle(self) -> None:
        accepted = [self.accept() for _ in range(3)]
        if self.external:
            wait_until(lambda: self.board.count() == 3, 'they are posted')
            self.board.empty()
            self.relay()
            wait_until(lambda: self.board.count() == 3, 'they are posted again')
            self.board.empty()
        self.pipe.work()
        self.ends(*accepted)
        self.board_is_empty()

    def test_nonsense_on_the_board_hinders_nothing(self) -> None:
        self.idle_worker()
        self.relay()
        self.board.litter()
        self.ends(self.accept())
        self.ends(self.accept_unposted())

    def test_a_flow_that_nobody_knows_is_not_posted_and_ends_when_a_worker_looks(self) -> None:
        """It has waited for a day: whoever looks next, a second later, gives it up."""
        self.pipe = self.pipeline(OFTEN)
        unknown, known = self.accept_unposted(), self.accept_unposted()
        columns = schema.imports.c
        other_flow = sa.update(schema.imports).where(columns.id == unknown)
        other_flow = other_flow.values(flow_version=1000, unknown_since=0.0)
        self.pipe.services.db.run(lambda tx: tx.connection.execute(other_flow))
        if self.external:
            self.relay()
            wait_until(self.posted, 'what waits is posted')
            self.assertEqual({known}, self.posted())
        self.pipe.work()
        self.ends(known)
        wait_until(lambda: not self.row(unknown).live, 'it is given up', seconds=SOON)
        self.assertEqual(errors.ImportFlowUnknown.code, self.row(unknown).error_code)
        self.board_is_empty()

    # The server.

    def test_without_its_board_an_import_starts_when_a_worker_looks(self) -> None:
        self.pipe = self.pipeline(OFTEN)
        self.idle_worker()
        self.board.server.stop()
        for _ in range(2):
            self.ends(self.accept())
        self.board.server.start()
        self.ends(self.accept())

    def test_a_board_that_comes_back_is_used_again(self) -> None:
        self.idle_worker()
        self.relay()
        self.board.server.stop()
        accepted = [self.accept(), self.accept()]
        self.board.server.start()
        self.ends(*accepted)
        self.ends(self.accept())
        self.board_is_empty()

    def test_no_request_waits_for_a_board_that_does_not_answer(self) -> None:
        self.pipe = self.pipeline(OFTEN)
        self.idle_worker()
        self.board.server.freeze()
        for _ in range(3):
            before = time.monotonic()
            accepted = self.accept()
            self.assertLess(time.monotonic() - before, SOON / 3)
            self.ends(accepted)
        self.board.server.thaw()


class ExternalBoardTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """What is needed of a board that wakes workers up."""

    scenarios = BOARDS[1:]

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.board = self.useFixture(make_board(self))
        self.one, self.two = self.board.board(), self.board.board()
        self.import_id = uuidutils.generate_uuid()

    def test_what_one_posts_all_others_see_until_one_takes_it_away(self) -> None:
        self.one.post(self.import_id)
        (posting,) = self.two.wait(SOON)
        self.assertEqual(self.import_id, posting.import_id)
        (same,) = self.one.wait(SOON)
        self.assertEqual(posting.id, same.id)
        self.two.discard(posting)
        self.one.discard(same)
        wait_until(lambda: not self.one.postings() and not self.two.postings(), 'both see that it is gone')
        self.assertEqual(0, self.board.count())

    def test_waiting_ends_with_a_posting_or_with_nothing(self) -> None:
        self.assertEqual([], self.one.wait(0.05))
        found: list[object] = []
        waiting = threading.Thread(target=lambda: found.extend(self.one.wait(SOON)))
        waiting.start()
        self.two.post(self.import_id)
        waiting.join(SOON)
        self.assertEqual([self.import_id], [posting.import_id for posting in found])

    def test_another_namespace_is_another_board(self) -> None:
        other = ExternalBoard(self.board.server.url, namespace='another', timeout=5.0, look=0.01)
        self.addCleanup(other.close)
        other.connect()
        other.post(self.import_id)
        self.assertEqual([], self.one.wait(0.1))

    def test_a_server_that_is_away_is_noticed_and_comes_back(self) -> None:
        self.board.server.stop()
        wait_until(lambda: self.unavailable(self.one.postings), 'it is noticed')
        self.assertTrue(self.unavailable(lambda: self.one.post(self.import_id)))
        self.one.close()
        self.assertTrue(self.unavailable(self.one.connect))
        self.one.close()
        self.board.server.start()
        wait_until(self.posted, 'it takes postings again')
        self.assertEqual([self.import_id], [posting.import_id for posting in self.one.wait(SOON)])

    def posted(self) -> bool:
        """Whether it is connected anew and takes a posting: a server that has just begun may be slow."""
        if self.unavailable(lambda: self.one.connect() or self.one.post(self.import_id)):
            self.one.close()
            return False
        return True

    def unavailable(self, call: object) -> bool:
        try:
            call()
        except BoardUnavailable:
            return True
        return False

    def test_without_the_password_nobody_gets_in(self) -> None:
        url = self.board.server.lock('imagepipe', 'se/cret')
        ours, theirs = (
            ExternalBoard(each, namespace='locked', timeout=5.0, look=0.01)
            for each in (url, self.board.server.url)
        )
        for board in (ours, theirs):
            self.addCleanup(board.close)
        ours.connect()
        ours.post(self.import_id)
        self.assertEqual([self.import_id], [posting.import_id for posting in ours.wait(SOON)])
        self.assertTrue(self.unavailable(lambda: theirs.connect() or theirs.post(self.import_id)))

    def test_nothing_works_before_it_is_connected(self) -> None:
        board = ExternalBoard(self.board.server.url, namespace='new', timeout=5.0, look=0.01)
        self.assertFalse(board.connected)
        self.assertRaises(BoardUnavailable, board.post, self.import_id)


class SecureRedisTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logger = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.server = self.useFixture(SecureRedisServer(self))

    def board(self, url: str) -> ExternalBoard:
        board = ExternalBoard(url, namespace='imagepipe', timeout=5.0, look=0.01)
        self.addCleanup(board.close)
        return board

    def test_it_is_encrypted_and_only_the_right_server_is_spoken_to(self) -> None:
        board = self.board(self.server.url)
        board.connect()
        import_id = uuidutils.generate_uuid()
        board.post(import_id)
        self.assertEqual([import_id], [posting.import_id for posting in board.wait(SOON)])
        wrong = f'{self.server.place("wr0ng")}?ssl_ca_certs={self.server.ca_file}'
        stranger = self.server.place(self.server.PASSWORD)
        for url in (stranger, wrong, stranger.replace('rediss:', 'redis:')):
            error = self.assertRaises(BoardUnavailable, lambda url=url: self.board(url).connect())
            self.assertThat(str(error), matchers.Not(matchers.MatchesRegex('.*(cret|wr0ng)')))
        self.assertThat(self.logger.output, matchers.Not(matchers.Contains('cret')))


class URLTestCase(testtools.TestCase):
    def test_one_that_cannot_be_read_is_told_at_the_start_without_its_password(self) -> None:
        for url in (
            'redis://:se/cret@127.0.0.1/0',
            'redis://127.0.0.1:cret/0',
            'rediss://:cret@127.0.0.1/0?ssl_ca_cert=/etc/ca.pem',
            'zookeeper://me:se/cret@127.0.0.1:port',
        ):
            error = self.assertRaises(
                errors.ConfigurationInvalid, ExternalBoard, url, namespace='x', timeout=1.0, look=0.01
            )
            self.assertIn('[jobboard] connection', str(error))
            self.assertNotIn('cret', str(error))
            self.assertIsNone(error.__cause__)
