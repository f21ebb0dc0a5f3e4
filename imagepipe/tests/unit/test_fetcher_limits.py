"""How long and how slowly a source may answer, and how soon a cancelled import lets go of it."""

import socket
import threading
import time

from imagepipe import errors
from imagepipe.sources import pace
from imagepipe.sources.reasons import Reason
from imagepipe.sources.watch import SLICE, Watch
from imagepipe.sources.wire import Wire
from imagepipe.tests.fixtures.fetching import FetcherTestCase, some_bytes
from imagepipe.tests.fixtures.http_server import Fault

DATA = some_bytes(300_000)
#: No limit of a fetcher here is near it; who waits so long missed the signal.
LONG = 30


class Deaf:
    """Takes connections and says nothing."""

    def __init__(self, test: FetcherTestCase) -> None:
        self._listener = socket.create_server(('127.0.0.1', 0), backlog=16)
        test.addCleanup(self._listener.close)
        self.port = self._listener.getsockname()[1]
        self.url = f'http://127.0.0.1:{self.port}/image'


class TimeTest(FetcherTestCase):
    def serve(self, **fault) -> str:
        self.server.serve('/image', DATA, fault=Fault(**fault))
        return self.server.url('/image')

    def test_silence_before_the_answer(self):
        url = self.serve(stall_after=0)
        error = self.assertRaises(
            errors.ImagepipeError, self.open, url, fetcher=self.fetcher(read_timeout=0.2)
        )
        self.assertTrue(error.transient)
        self.assertIn(error.facts['reason'], (Reason.IDLE, Reason.NO_ANSWER))

    def test_silence_where_nothing_can_be_continued(self):
        url = self.serve(stall_after=1000, etag='', last_modified='')
        download = self.open(url, fetcher=self.fetcher(read_timeout=0.2))
        self.assertEqual(DATA[:1000], download.read(1000))
        error = self.assertRaises(errors.SourceStalled, download.read)
        self.assertEqual((Reason.IDLE, True), (error.facts['reason'], error.transient))
        self.assertEqual(1, len(self.server.requests))

    def test_silence_is_answered_by_a_new_connection(self):
        url = self.serve(stall_after=1000, stalls=2)
        self.assertEqual(DATA, self.fetch(url, fetcher=self.fetcher(read_timeout=0.2)))
        self.assertEqual(
            [None, 'bytes=1000-', 'bytes=2000-'], [request.range for request in self.server.requests]
        )

    def test_silence_again_and_again(self):
        url = self.serve(stall_after=1000)
        download = self.open(url, fetcher=self.fetcher(read_timeout=0.1, max_reconnects=2))
        self.assertRaises(errors.SourceStalled, download.read)
        self.assertEqual((3, 3000), (len(self.server.requests), download.offset))

    def test_a_drip_below_the_lowest_rate_is_given_up_and_not_continued(self):
        url = self.serve(drip=(10, 0.02))
        download = self.open(url, fetcher=self.fetcher(min_rate=100_000, min_rate_window=0.2))
        error = self.assertRaises(errors.SourceStalled, download.read)
        self.assertEqual(Reason.TOO_SLOW, error.facts['reason'])
        self.assertEqual(1, len(self.server.requests))

    def test_a_source_above_the_lowest_rate_is_kept(self):
        guard = pace.Pace(min_rate=100, window=1)
        for _ in range(3):
            guard.delivered(150)
            guard.waited(0.7)
            guard.waited(0.7)
        guard.delivered(99)
        self.assertRaises(errors.SourceStalled, guard.waited, 1)

    def test_framing_without_data_is_below_the_lowest_rate(self):
        head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        for endless in (b'0;' + b'x' * 60_000, b'0\r\n' + b'X-Trailer: x\r\n' * 5000):
            guard = pace.Pace(min_rate=1, window=0.01)
            guard.received(len(head + endless))
            self.assertRaises(errors.SourceStalled, guard.waited, 0.02)

    def test_trailers_without_end_are_given_up_however_fast_they_come(self):
        self.server.serve('/image', DATA, fault=Fault(endless_trailers=True))
        download = self.open(self.server.url('/image'))
        self.assertEqual(DATA, download.read(len(DATA)))
        error = self.assertRaises(errors.SourceUnusable, download.read)
        self.assertEqual((Reason.HEADERS, False), (error.facts['reason'], error.transient))

    def test_framing_is_bounded_for_each_piece_and_not_for_all(self):
        guard = pace.Pace(min_rate=0, window=1)
        for _ in range(3):
            guard.asked(5 * pace.FRAMING)
            guard.received(6 * pace.FRAMING)
        self.assertRaises(errors.SourceUnusable, guard.received, 1)

    def test_a_slow_reader_does_not_make_a_slow_source(self):
        self.server.serve('/image', DATA)
        fetcher = self.fetcher(min_rate=10_000_000, min_rate_window=0.05)
        download = self.open(self.server.url('/image'), fetcher=fetcher)
        found = b''
        for _ in range(6):
            found += download.read(50_000)
            threading.Event().wait(0.05)  # this is the slow reader
        self.assertEqual(DATA, found)

    def test_headers_that_drip_are_given_up(self):
        guard = pace.HeadGuard(most_bytes=1000, seconds=0.05)
        guard.received(1)
        threading.Event().wait(0.06)  # the time the headers have
        error = self.assertRaises(errors.SourceUnavailable, guard.received, 1)
        self.assertEqual(Reason.NO_ANSWER, error.facts['reason'])

    def test_the_whole_fetch_has_a_limit_however_busy_it_is(self):
        self.server.serve('/image', DATA, fault=Fault(endless=True))
        download = self.open(self.server.url('/image'), fetcher=self.fetcher(total_timeout=0.5))

        def read_all() -> None:
            while download.read(100_000):
                pass

        error = self.assertRaises(errors.SourceTimeout, read_all)
        self.assertEqual(({'limit': 0.5}, False), (error.facts, error.transient))

    def test_the_limit_holds_over_reconnections(self):
        url = self.serve(stall_after=1000, stalls=1000000)
        fetcher = self.fetcher(total_timeout=0.5, read_timeout=0.2, max_reconnects=1000)
        download = self.open(url, fetcher=fetcher)
        self.assertRaises(errors.SourceTimeout, download.read)

    def test_the_limit_holds_in_silence(self):
        url = self.serve(stall_after=1000)
        download = self.open(url, fetcher=self.fetcher(total_timeout=0.3, read_timeout=LONG))
        self.assertRaises(errors.SourceTimeout, download.read)

    def test_a_handshake_that_is_not_answered(self):
        url = Deaf(self).url.replace('http:', 'https:')
        fetcher = self.fetcher(connect_timeout=0.2)
        error = self.assertRaises(errors.SourceUnavailable, self.open, url, fetcher=fetcher)
        self.assertEqual(Reason.NO_TLS, error.facts['reason'])

    def test_a_resolver_that_does_not_answer(self):
        answer = threading.Event()
        self.addCleanup(answer.set)

        def resolver(*arguments, **keywords):
            answer.wait()
            return []

        fetcher = self.fetcher(resolver=resolver, connect_timeout=0.2)
        url = 'http://images.example/'
        self.assertRaises(errors.SourceRefused, fetcher.check, url)
        error = self.assertRaises(errors.SourceUnavailable, self.open, url, fetcher=fetcher)
        self.assertEqual(Reason.NO_NAME, error.facts['reason'])


class CancelTest(FetcherTestCase):
    """Every place where a fetch waits; all limits are far away."""

    def cancel_when(self, event: threading.Event) -> None:
        """Cancel from another thread once the event came."""

        def wait() -> None:
            event.wait(LONG)
            self.cancel.set()

        thread = threading.Thread(target=wait)
        thread.start()
        self.addCleanup(thread.join)

    def test_before_anything(self):
        self.cancel.set()
        self.assertRaises(errors.ImportCancelled, self.open, self.server.url('/image'))
        self.assertEqual(0, self.server.connections())

    def test_while_the_name_is_resolved(self):
        asked, answer = threading.Event(), threading.Event()
        self.addCleanup(answer.set)

        def resolver(*arguments, **keywords):
            asked.set()
            answer.wait()
            return []

        self.cancel_when(asked)
        fetcher = self.fetcher(resolver=resolver)
        self.assertRaises(errors.ImportCancelled, self.open, 'http://images.example/', fetcher=fetcher)

    def test_while_the_handshake_is_not_answered(self):
        url = Deaf(self).url.replace('http:', 'https:')
        self.assertRaises(errors.ImportCancelled, self.open, url, cancelled=self.at_the(4))

    def test_while_the_answer_does_not_come(self):
        self.server.serve('/image', DATA, fault=Fault(stall_after=0))
        self.cancel_when(self.server.stalled)
        self.assertRaises(errors.ImportCancelled, self.open, self.server.url('/image'))

    def test_while_what_comes_is_never_waited_for(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        ours.setblocking(False)
        theirs.sendall(b'0\r\n')
        watch = Watch(cancelled=self.cancel.is_set, total=LONG)
        wire = Wire(ours, watch=watch, seconds=LONG, guard=pace.Pace(min_rate=0, window=LONG))
        self.addCleanup(wire.close)
        self.assertEqual(b'0', wire.read(1))
        self.cancel.set()
        self.assertRaises(errors.ImportCancelled, wire.read, 1)

    def test_while_the_data_does_not_come(self):
        self.server.serve('/image', DATA, fault=Fault(stall_after=1000))
        download = self.open(self.server.url('/image'))
        self.cancel_when(self.server.stalled)
        self.assertRaises(errors.ImportCancelled, download.read)

    def test_while_the_data_comes(self):
        self.server.serve('/image', DATA, fault=Fault(endless=True))
        download = self.open(self.server.url('/image'))
        download.read(1000)
        self.cancel.set()
        self.assertRaises(errors.ImportCancelled, download.read, 1000)

    def test_while_it_waits_to_connect_again(self):
        fetcher = self.fetcher(reconnect_delay=LONG, max_reconnect_delay=LONG)
        self.server.serve('/image', DATA, fault=Fault(cut_after=1000))
        download = self.open(self.server.url('/image'), fetcher=fetcher, cancelled=self.at_the(15))
        self.assertRaises(errors.ImportCancelled, download.read)
        self.assertEqual(1, len(self.server.requests))

    def test_what_the_callable_raises_is_raised(self):
        def lost() -> bool:
            raise errors.ClaimLost(import_id='x')

        self.server.serve('/image', DATA)
        self.assertRaises(errors.ClaimLost, self.open, self.server.url('/image'), cancelled=lost)

    def test_no_wait_is_longer_than_a_slice(self):
        asked: list[float] = []

        def cancelled() -> bool:
            asked.append(time.monotonic())
            return len(asked) > 3

        watch = Watch(cancelled=cancelled, total=LONG)
        self.assertRaises(errors.ImportCancelled, watch.pause, LONG)
        self.assertEqual(4, len(asked))
        self.assertLess(SLICE, 0.5)

    def test_the_connection_is_closed(self):
        self.server.serve('/image', DATA, fault=Fault(endless=True))
        download = self.open(self.server.url('/image'))
        download.read(1000)
        connection = download._answer._wire._connection
        self.cancel.set()
        self.assertRaises(errors.ImportCancelled, download.read)
        download.close()
        self.assertEqual(-1, connection.fileno())

    def at_the(self, time_asked: int):
        """A `cancelled` that says yes when it is asked for the nth time."""
        left = iter(range(time_asked - 1))
        return lambda: next(left, None) is None
