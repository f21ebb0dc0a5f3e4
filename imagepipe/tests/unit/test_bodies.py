"""The request's body as the service sees it, whatever a server makes of it."""

import io
import sys
import threading
import types
from unittest import mock

import testtools

from imagepipe import errors
from imagepipe.api.bodies import CLOSE, CONTINUE, Bodies, Body


class Input:
    """A server's wsgi.input: gives the pieces, then what the server does at the end."""

    def __init__(self, *pieces: bytes, end: Exception | None = None) -> None:
        self.pieces = list(pieces)
        self.end = end
        self.asked: list[int] = []

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        if not self.pieces:
            if self.end is not None:
                raise self.end
            return b''
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]


class OddServerError(Exception):
    """What gunicorn raises for a malformed body is no OSError."""


def sized(length: int, source: object, **more: object) -> dict[str, object]:
    return {'CONTENT_LENGTH': str(length), 'wsgi.input': source, **more}


def chunked(source: object, **more: object) -> dict[str, object]:
    return {'HTTP_TRANSFER_ENCODING': 'Chunked', 'wsgi.input': source, 'mod_wsgi.version': (4, 9), **more}


def everything(body: Body, size: int = 4) -> bytes:
    return b''.join(iter(lambda: body.read(size), b''))


class BodyTest(testtools.TestCase):
    def test_a_body_of_its_length_is_whole(self) -> None:
        source = Input(b'0123456789', b'next request')
        body = Body(sized(10, source))
        self.assertEqual(b'0123456789', everything(body))
        self.assertFalse(body.unread)
        self.assertEqual([b'next request'], source.pieces)

    def test_a_shorter_body_than_its_length_is_broken_off(self) -> None:
        body = Body(sized(10, Input(b'0123')))
        self.assertEqual(b'0123', body.read(8))
        self.assertEqual({'found': 4}, self.assertRaises(errors.DataTruncated, body.read, 8).facts)
        self.assertRaises(errors.DataTruncated, body.read, 8)

    def test_a_chunked_body_ends_where_the_server_says_so(self) -> None:
        self.assertEqual(b'0123456789', everything(Body(chunked(Input(b'01234', b'56789')))))

    def test_whatever_a_server_raises_the_body_is_broken_off(self) -> None:
        for error in (OSError('gone'), ValueError('chunk'), OddServerError('chunk')):
            body = Body(chunked(Input(b'0123', end=error)))
            self.assertEqual(b'0123', body.read(4))
            self.assertRaises(errors.DataTruncated, body.read, 4)
            self.assertTrue(body.failed)

    def test_no_length_and_no_chunks_is_no_body(self) -> None:
        body = Body({'wsgi.input': Input(b'what follows')})
        self.assertEqual(b'', body.read(10))
        self.assertFalse(body.unread)

    def test_chunks_win_over_a_length(self) -> None:
        self.assertEqual(b'0123', everything(Body(chunked(Input(b'0123'), CONTENT_LENGTH='2'))))

    def test_chunks_under_an_unknown_server_are_refused(self) -> None:
        environ = {'HTTP_TRANSFER_ENCODING': 'chunked', 'wsgi.input': Input(b'01')}
        self.assertEqual(411, self.assertRaises(errors.LengthRequired, Body(environ).read, 1).status)

    def test_a_small_body_can_be_read_by_lines(self) -> None:
        self.assertEqual([b'a\n', b'bc\n', b'd'], list(Body(sized(6, io.BytesIO(b'a\nbc\nd')))))

    def test_a_silent_client_counts_as_gone(self) -> None:
        limits = []
        socket = types.SimpleNamespace(gettimeout=lambda: None, settimeout=limits.append)
        environ = sized(10, Input(b'01', end=TimeoutError()), **{'gunicorn.socket': socket})
        body = Body(environ, timeout=7)
        self.assertEqual(b'01', body.read(10))
        self.assertRaises(errors.DataTruncated, body.read, 10)
        self.assertEqual([7, None, 7, None], limits)


class UwsgiTest(testtools.TestCase):
    """uWSGI's chunked_read gives a chunk of the client, however small the piece that was asked for."""

    def body(self, *chunks: bytes, end: Exception | None = None) -> Body:
        source = Input(*chunks, end=end)
        module = types.SimpleNamespace(chunked_read=lambda timeout: source.read(1 << 30))
        patched = mock.patch.dict(sys.modules, {'uwsgi': module})
        patched.start()
        self.addCleanup(patched.stop)
        return Body(chunked(Input(end=AssertionError('not its input')), **{'uwsgi.version': b'2.0'}))

    def test_no_more_is_given_than_asked_for_and_nothing_is_lost(self) -> None:
        body = self.body(b'0123456789', b'ab')
        self.assertEqual([b'012', b'345', b'678', b'9', b'ab', b''], [body.read(3) for _ in range(6)])

    def test_a_broken_chunk_is_broken_off(self) -> None:
        body = self.body(b'0123', end=OSError('unable to receive chunked part'))
        self.assertEqual(b'0123', body.read(4))
        self.assertRaises(errors.DataTruncated, body.read, 4)


class EarlyAnswerTest(testtools.TestCase):
    """A request that is answered before its body was read."""

    def setUp(self) -> None:
        super().setUp()
        self.closed = threading.Event()
        self.headers: list[tuple[str, str]] = []

    def call(self, environ: dict[str, object], *, read: int = 0, drain_bytes: int = 1 << 20) -> object:
        def application(environ: dict, start_response: object) -> list[bytes]:
            if read:
                environ['wsgi.input'].read(read)
            start_response('409 Conflict', [('X-Its', 'own')])
            return [b'no']

        bodies = Bodies(application, timeout=5, drain_bytes=drain_bytes, drain_seconds=5)
        environ[CLOSE] = self.closed.set
        return bodies(environ, lambda status, headers, *more: self.headers.extend(headers))

    def test_is_sent_before_the_rest_is_read(self) -> None:
        source = Input(b'x' * 5000)
        answer = self.call(sized(5000, source))
        self.assertEqual([b'no'], list(answer))
        self.assertEqual([], source.asked)
        answer.close()
        self.assertEqual([], source.pieces)
        self.assertIn(('Connection', 'close'), self.headers)
        self.assertTrue(self.closed.is_set())

    def test_reads_no_more_than_allowed(self) -> None:
        source = Input(b'x' * 5000)
        self.call(sized(5000, source), drain_bytes=1000).close()
        self.assertEqual(4000, len(source.pieces[0]))

    def test_keeps_the_connection_when_the_body_was_read(self) -> None:
        answer = self.call(sized(5, Input(b'01234')), read=5)
        self.assertEqual([b'no'], answer)
        self.assertEqual([('X-Its', 'own')], self.headers)
        self.assertFalse(self.closed.is_set())

    def test_survives_a_client_that_is_gone(self) -> None:
        self.call(sized(5000, Input(b'x', end=ConnectionResetError()))).close()

    def test_does_not_wait_for_a_client_that_waits_for_us(self) -> None:
        source = Input(b'x' * 10)
        environ = sized(10, source, HTTP_EXPECT='100-continue', **{CONTINUE: self.fail})
        self.call(environ).close()
        self.assertEqual([], source.asked)

    def test_the_client_is_told_to_go_on_when_its_body_is_wanted_once(self) -> None:
        told: list[None] = []
        environ = sized(
            4, Input(b'0123'), HTTP_EXPECT='100-continue', **{CONTINUE: lambda: told.append(None)}
        )
        body = Body(environ)
        self.assertEqual([], told)
        self.assertEqual(b'0123', everything(body, 2))
        self.assertEqual([None], told)
