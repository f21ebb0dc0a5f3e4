"""Fetching from a server that behaves, and from one that does not."""

import os
import socket
import ssl
import threading

import fixtures

from imagepipe import errors
from imagepipe.sources.fetcher import Fetcher
from imagepipe.sources.limits import Limits
from imagepipe.sources.reasons import Reason
from imagepipe.sources.rules import UrlRules
from imagepipe.tests.fixtures.fetching import FetcherTestCase, Names, some_bytes
from imagepipe.tests.fixtures.http_server import Fault, HttpServer

DATA = some_bytes(300_000)
NAMES = ('images.example', 'other.example')


class FetchTest(FetcherTestCase):
    def test_data_arrives_as_it_is(self):
        self.server.serve('/image', DATA)
        download = self.open(self.server.url('/image'))
        self.assertEqual((len(DATA), 0), (download.total, download.offset))
        self.assertEqual(DATA[:1000], download.read(1000))
        self.assertEqual(1000, download.offset)
        self.assertEqual(DATA[1000:], download.read())
        self.assertEqual((b'', b'', len(DATA)), (download.read(), download.read(10), download.offset))

    def test_a_read_is_full_unless_the_data_ends(self):
        self.server.serve('/image', DATA, fault=Fault(drip=(7000, 0)))
        download = self.open(self.server.url('/image'))
        self.assertEqual([200_000, 100_000, 0], [len(download.read(200_000)) for _ in range(3)])

    def test_the_request_asks_for_the_plain_data_and_tells_nothing(self):
        self.useFixture(fixtures.EnvironmentVariable('NETRC', '/dev/null'))
        self.server.serve('/image', DATA)
        self.fetch(self.server.url('/image?signature=x'))
        (request,) = self.server.requests
        self.assertEqual('/image?signature=x', request.path)
        expected = {
            'host': f'127.0.0.1:{self.server.port}',
            'user-agent': 'imagepipe',
            'accept': '*/*',
            'accept-encoding': 'identity',
            'connection': 'close',
        }
        self.assertEqual(expected, dict(request.headers))

    def test_empty_data(self):
        self.server.serve('/image', b'')
        download = self.open(self.server.url('/image'))
        self.assertEqual((0, b''), (download.total, download.read()))

    def test_chunked_data(self):
        self.server.serve('/image', DATA, fault=Fault(chunked=True))
        download = self.open(self.server.url('/image'))
        self.assertIsNone(download.total)
        self.assertEqual(DATA, download.read())

    def test_data_that_ends_with_its_connection(self):
        self.server.serve('/image', DATA, fault=Fault(unframed=True))
        self.assertEqual(DATA, self.fetch(self.server.url('/image')))

    def test_a_server_without_head_ranges_and_a_sensible_type_will_do(self):
        fault = Fault(head_forbidden=True, ranges=False, content_type='text/x-nonsense')
        self.server.serve('/image', DATA, fault=fault)
        self.assertEqual(DATA, self.fetch(self.server.url('/image')))
        self.assertEqual(['GET'], [request.method for request in self.server.requests])

    def test_a_web_page_is_no_image(self):
        page = b'<html>Your link has expired.</html>'
        self.server.serve('/image', page, fault=Fault(content_type='text/html; charset=utf-8'))
        refused = self.assertRaises(errors.SourceUnusable, self.open, self.server.url('/image'))
        self.assertIn('web page', str(refused))

    def test_the_operator_may_take_any_type(self):
        page = b'<html>An image, for all we know.</html>'
        self.server.serve('/image', page, fault=Fault(content_type='text/html; charset=utf-8'))
        fetcher = self.fetcher(refused_content_types=())
        download = self.open(self.server.url('/image'), fetcher=fetcher)
        self.assertEqual(('text/html', page), (download.content_type, download.read()))

    def test_bytes_past_the_announced_length_are_not_read(self):
        self.server.serve('/image', DATA, fault=Fault(long_by=5000))
        self.assertEqual(DATA, self.fetch(self.server.url('/image')))

    def test_an_announced_length_above_the_cap_is_refused_at_once(self):
        self.server.serve('/image', DATA)
        url = self.server.url('/image')
        self.assertRaises(errors.SizeCapExceeded, self.open, url, limit=len(DATA) - 1)
        self.assertEqual(DATA, self.fetch(url, limit=len(DATA)))

    def test_chunks_without_end_come_in_bounded_pieces(self):
        self.server.serve('/image', DATA, fault=Fault(endless=True))
        download = self.open(self.server.url('/image'))
        self.assertEqual([1 << 20] * 5, [len(download.read(1 << 20)) for _ in range(5)])

    def test_two_fetches_at_once_do_not_mix(self):
        fetcher = self.fetcher()
        found: dict[int, bytes] = {}
        sizes = (100_000, 200_001, 300_002)
        for size in sizes:
            self.server.serve(f'/{size}', some_bytes(size), fault=Fault(drip=(9000, 0)))

        def fetch(size: int) -> None:
            found[size] = self.fetch(self.server.url(f'/{size}'), fetcher=fetcher)

        threads = [threading.Thread(target=fetch, args=(size,)) for size in sizes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({size: some_bytes(size) for size in sizes}, found)

    def test_proxies_of_the_environment_are_not_used(self):
        proxy = self.useFixture(HttpServer())
        for name in ('http_proxy', 'HTTP_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'):
            self.useFixture(fixtures.EnvironmentVariable(name, proxy.url('')))
        self.useFixture(fixtures.EnvironmentVariable('no_proxy'))
        self.server.serve('/image', DATA)
        self.assertEqual(DATA, self.fetch(self.server.url('/image')))
        self.assertEqual(0, proxy.connections())

    def test_netrc_is_not_read(self):
        path = os.path.join(self.useFixture(fixtures.TempHomeDir()).path, '.netrc')
        with open(path, 'w', opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write('machine 127.0.0.1 login user password secret\n')
        self.server.serve('/image', DATA)
        self.fetch(self.server.url('/image'))
        self.assertNotIn('authorization', self.server.requests[0].headers)

    def test_cookies_are_not_kept(self):
        fetcher = self.fetcher()
        self.server.serve('/image', DATA, fault=Fault(headers=(('Set-Cookie', 'a=b'),)))
        for _ in range(2):
            self.fetch(self.server.url('/image'), fetcher=fetcher)
        self.assertNotIn('cookie', self.server.requests[1].headers)


class StatusTest(FetcherTestCase):
    def failure(self, fault: Fault) -> errors.ImagepipeError:
        self.server.serve('/image', DATA, fault=fault)
        return self.assertRaises(errors.ImagepipeError, self.open, self.server.url('/image'))

    def test_statuses_that_are_final(self):
        for status in (201, 204, 300, 304, 400, 401, 403, 404, 405, 407, 410, 416, 451):
            error = self.failure(Fault(status=status))
            self.assertIsInstance(error, errors.SourceNotFound)
            self.assertFalse(error.transient)
            self.assertEqual({'status': status}, error.facts)

    def test_statuses_that_may_pass(self):
        for status in (408, 425, 429, 500, 502, 503, 504, 507):
            error = self.failure(Fault(status=status))
            self.assertIsInstance(error, errors.SourceUnavailable)
            self.assertTrue(error.transient)
            self.assertIsNone(error.facts['retry_after'])

    def test_retry_after_is_told_within_bounds(self):
        self.assertEqual(7, self.failure(Fault(status=503, retry_after='7')).facts['retry_after'])
        self.assertEqual(120, self.failure(Fault(status=429, retry_after='99999999')).facts['retry_after'])
        never = 'Fri, 01 Jan 2199 00:00:00 GMT'
        self.assertEqual(120, self.failure(Fault(status=503, retry_after=never)).facts['retry_after'])
        past = 'Fri, 01 Jan 1999 00:00:00 GMT'
        self.assertEqual(0, self.failure(Fault(status=503, retry_after=past)).facts['retry_after'])
        for nonsense in ('-5', 'soon', '1e9', '0x10', '9' * 40, 'Fri, 99 Jan'):
            self.assertIsNone(self.failure(Fault(status=503, retry_after=nonsense)).facts['retry_after'])

    def test_a_flaky_server_is_worth_another_attempt(self):
        self.server.serve('/image', DATA, fault=Fault(flaky=(3, 4)))
        for _ in range(3):
            self.assertRaises(errors.SourceUnavailable, self.open, self.server.url('/image'))
        self.assertEqual(DATA, self.fetch(self.server.url('/image')))

    def test_nothing_of_an_answer_is_echoed(self):
        for status in (401, 404, 503):
            error = self.failure(Fault(status=status))
            self.assertNotIn('banner', error.message)
            self.assertNotIn('127.0.0.1', error.message)

    def test_a_content_encoding_is_refused(self):
        for coding in ('gzip', 'br', 'deflate', 'identity, gzip', 'x'):
            error = self.failure(Fault(content_encoding=coding))
            self.assertEqual(
                (errors.SourceUnusable, Reason.ENCODED), (type(error), error.facts['reason']), coding
            )
        self.server.serve('/image', DATA, fault=Fault(content_encoding='identity'))
        self.assertEqual(DATA, self.fetch(self.server.url('/image')))

    def test_a_part_that_was_not_asked_for_is_refused(self):
        head = b'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\nabcd'
        self.assertEqual(Reason.PARTIAL, self.failure(Fault(raw=head)).facts['reason'])

    def test_headers_without_end_are_refused(self):
        for fault in (
            Fault(huge_headers=200_000),
            Fault(raw=b'X-More: and more\r\n', endless=True),
            Fault(raw=b'HTTP/1.1 100 Continue\r\n\r\n', endless=True),
            Fault(raw=b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 100_000 + b'\r\n\r\n'),
            Fault(raw=b'x', endless=True),
        ):
            self.assertIsInstance(self.failure(fault), errors.SourceUnusable)

    def test_answers_that_are_not_http_are_refused_without_an_echo(self):
        for answer in (
            b'SSH-2.0-OpenSSH_9.2p1 secret\r\n',
            b'220 mail.internal.example ESMTP secret\r\n',
            b'HTTP/2.0 200 OK\r\n\r\n',
            b'HTTP/1.1 abc secret\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde',
            b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n',
        ):
            error = self.failure(Fault(raw=answer))
            self.assertEqual(
                (errors.SourceUnusable, Reason.NOT_HTTP), (type(error), error.facts['reason']), answer
            )
            self.assertNotIn('secret', error.message)

    def test_no_answer_at_all(self):
        for answer in (b'', b'HTTP/1.1 200 OK\r\nContent-'):
            self.assertIsInstance(self.failure(Fault(raw=answer)), errors.ImagepipeError)
        self.assertEqual(Reason.BROKEN, self.failure(Fault(raw=b'')).facts['reason'])

    def test_nobody_listens(self):
        with socket.socket() as unused:
            unused.bind(('127.0.0.1', 0))
            url = f'http://127.0.0.1:{unused.getsockname()[1]}/'
            error = self.assertRaises(errors.SourceUnavailable, self.open, url)
        self.assertEqual('The source could not be read: no connection could be made', error.message)


class TlsTest(FetcherTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.secure = self.useFixture(HttpServer(tls=True, names=NAMES))
        self.secure.serve('/image', DATA)
        self.names = Names(**{'images.example': ['127.0.0.1'], 'third.example': ['127.0.0.1']})

    def test_the_name_is_verified_and_the_checked_address_connected_to(self):
        fetcher = self.fetcher(resolver=self.names, ca_file=self.secure.ca_file)
        url = self.secure.url('/image', host='images.example')
        self.assertEqual(DATA, self.fetch(url, fetcher=fetcher))
        self.assertEqual(['images.example.'], self.names.asked)
        self.assertEqual(f'images.example:{self.secure.port}', self.secure.requests[0].headers['host'])

    def test_an_address_is_verified_too(self):
        fetcher = self.fetcher(ca_file=self.secure.ca_file)
        self.assertEqual(DATA, self.fetch(self.secure.url('/image'), fetcher=fetcher))

    def test_the_name_is_sent_as_server_name(self):
        asked: list[str | None] = []

        def note(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            asked.append(name)

        self.secure.tls.sni_callback = note
        fetcher = self.fetcher(resolver=self.names, ca_file=self.secure.ca_file)
        self.fetch(self.secure.url('/image', host='images.example'), fetcher=fetcher)
        self.assertEqual(['images.example'], asked)

    def test_a_certificate_for_another_name_is_refused(self):
        fetcher = self.fetcher(resolver=self.names, ca_file=self.secure.ca_file)
        url = self.secure.url('/image', host='third.example')
        error = self.assertRaises(errors.SourceUnusable, self.open, url, fetcher=fetcher)
        self.assertEqual(Reason.CERTIFICATE, error.facts['reason'])
        self.assertEqual([], self.secure.requests)

    def test_a_certificate_of_an_unknown_authority_is_refused(self):
        url = self.secure.url('/image', host='images.example')
        error = self.assertRaises(
            errors.SourceUnusable, self.open, url, fetcher=self.fetcher(resolver=self.names)
        )
        self.assertEqual(Reason.CERTIFICATE, error.facts['reason'])

    def test_a_server_that_speaks_no_tls(self):
        self.server.serve('/image', DATA)
        url = self.server.url('/image').replace('http:', 'https:')
        error = self.assertRaises(errors.SourceUnavailable, self.open, url)
        self.assertEqual(Reason.NO_TLS, error.facts['reason'])

    def test_a_broken_connection_is_continued(self):
        self.secure.serve('/image', DATA, fault=Fault(cut_after=100_000))
        fetcher = self.fetcher(ca_file=self.secure.ca_file)
        self.assertEqual(DATA, self.fetch(self.secure.url('/image'), fetcher=fetcher))
        self.assertEqual([None, 'bytes=100000-'], [request.range for request in self.secure.requests])

    def test_an_end_that_tls_did_not_announce_is_no_end(self):
        self.secure.serve('/image', DATA, fault=Fault(unframed=True, cut_after=100_000, etag=''))
        fetcher = self.fetcher(ca_file=self.secure.ca_file, max_reconnects=0)
        download = self.open(self.secure.url('/image'), fetcher=fetcher)
        self.assertRaises(errors.SourceUnavailable, download.read)

    def test_a_bundle_that_cannot_be_read_is_a_fault_of_the_configuration(self):
        for path in ('/nonexistent/ca.pem', __file__):
            self.assertRaises(
                errors.ConfigurationInvalid, Fetcher, rules=UrlRules(), limits=Limits(ca_file=path)
            )
