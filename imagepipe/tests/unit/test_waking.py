"""What is around an external board: its option, what is logged, and who is kept from waiting."""

import fixtures
import testtools
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.jobs.external import BoardUnavailable, ExternalBoard
from imagepipe.jobs.waking import Link, Poster, Rest
from imagepipe.tests.fixtures.jobboards import BoardFixture
from imagepipe.tests.fixtures.servers import free_port
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until


def _board(url: str) -> ExternalBoard:
    return ExternalBoard(url, namespace='imagepipe', timeout=1.0, look=0.01)


class OptionTestCase(testtools.TestCase):
    def test_only_boards_that_are_offered_can_be_named(self) -> None:
        for url in ('etcd://127.0.0.1:2379', 'redis', 'http://127.0.0.1', 'zookeeper://'):
            error = self.assertRaises(errors.ConfigurationInvalid, _board, url)
            self.assertIn('[jobboard] connection', str(error))

    def test_the_services_have_a_poster_where_there_is_a_board(self) -> None:
        without = self.useFixture(ServicesFixture(self)).services
        self.assertEqual((None, None), (without.poster, without.external_board()))
        url = 'redis://:secret@127.0.0.1:1/0'
        parts = self.useFixture(ServicesFixture(self, overrides={'jobboard.connection': url}))
        self.assertIsInstance(parts.services.poster, Poster)
        self.assertFalse(parts.services.external_board().connected)

    def test_a_password_is_told_to_nobody(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        for url in (
            f'redis://:secret@127.0.0.1:{free_port()}/0',
            f'zookeeper://u:secret@127.0.0.1:{free_port()}',
        ):
            link = Link(_board(url))
            error = self.assertRaises(BoardUnavailable, link.connect)
            link.lost(error)
            self.assertNotIn('secret', str(error))
        self.assertNotIn('secret', log.output)


class LinkTestCase(testtools.TestCase):
    """One line when it goes, one when it is back."""

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.fixture = self.useFixture(BoardFixture(self, 'redis'))

    def test_it_is_told_once_that_the_board_is_away(self) -> None:
        link = Link(_board(self.fixture.server.url))
        link.connect()
        self.fixture.server.stop()
        for _ in range(3):
            link.lost(self.assertRaises(BoardUnavailable, self.use, link))
            self.assertGreater(link.left_alone, 0.0)
        self.assertEqual(1, self.log.output.count('The jobboard is away'))
        self.fixture.server.start()
        link.connect()
        link.connect()
        self.assertEqual(1, self.log.output.count('The jobboard is back'))

    def use(self, link: Link) -> None:
        link.connect()
        link.board.postings()

    def test_a_poster_posts_and_starts_again_after_it_was_closed(self) -> None:
        board = self.fixture.board()
        poster = Poster(ExternalBoard(
            self.fixture.server.url, namespace=self.fixture.namespace, timeout=5.0, look=0.01
        ))  # fmt: skip
        for expected in (1, 2):
            poster.post(uuidutils.generate_uuid())
            wait_until(lambda expected=expected: len(board.postings()) == expected, 'it is posted')
            poster.close()

    def test_what_cannot_be_posted_is_dropped(self) -> None:
        self.fixture.server.stop()
        poster = Poster(_board(self.fixture.server.url))
        self.addCleanup(poster.close)
        for _ in range(5000):
            poster.post(uuidutils.generate_uuid())
        wait_until(poster._waiting.empty, 'nothing is kept for later')


class RestTestCase(testtools.TestCase):
    def test_waking_ends_one_pause_and_stopping_every_one(self) -> None:
        rest = Rest(60.0)
        rest.wake()
        rest.wait()
        self.assertFalse(rest.is_stopped())
        rest.interrupt()
        rest.wait()
        self.assertTrue(rest.is_stopped())
