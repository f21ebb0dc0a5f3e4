"""The data path under each WSGI server, with clients that keep the rules and clients that do not."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import testscenarios
import testtools

from imagepipe.operations import transfers
from imagepipe.tests.fixtures.raw_http import CHUNKED, OCTETS, Client, RawRequest, chunk, pieces
from imagepipe.tests.fixtures.servers import PROCESSES, SERVERS, ServerFixture, make_server
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.together import together

MIB = 1 << 20


class ServerCase(testscenarios.WithScenarios, testtools.TestCase):
    """One server over one imagepipe; what an upload leaves is seen on the file system."""

    scenarios = SERVERS
    overrides: dict[str, object] = {}

    def setUp(self) -> None:
        super().setUp()
        self.parts, self.server = self.started()
        self.client = Client(self.server.port)
        self.before = self.files()

    def started(self) -> tuple[ServicesFixture, ServerFixture]:
        """The server of this class and scenario: starting one takes longer than a story."""
        if self.server_kind not in self.running:
            parts = ServicesFixture(self, overrides=self.settings())
            parts.setUp()
            type(self).addClassCleanup(parts.cleanUp)
            server = make_server(self, parts)
            server.setUp()
            type(self).addClassCleanup(server.cleanUp)
            self.running[self.server_kind] = parts, server
        return self.running[self.server_kind]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.running: dict[str, tuple[ServicesFixture, ServerFixture]] = {}

    def settings(self) -> dict[str, object]:
        return {'api.workers': PROCESSES, 'transfers.client_timeout': 20, **self.overrides}

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
        pause = threading.Event()
        for _ in range(int(seconds / 0.02)):
            if condition():
                return
            pause.wait(0.02)
        self.fail(f'{what} not within {seconds} s\n{self.server.log.read_text()[-3000:]}')

    def until_status(self, image_id: str, status: str) -> None:
        self.until(lambda: self.client.show(image_id)['status'] == status, f'status {status}')

    def files(self) -> list[str]:
        """Every file in stores and staging."""
        roots = [pathlib.Path(self.parts.path(name)) for name in ('stores', 'staging')]
        return sorted(str(path) for root in roots for path in root.rglob('*') if path.is_file())

    def assert_as_before(self, image_id: str) -> None:
        """The image is queued, as if nothing had been uploaded."""
        self.until_status(image_id, 'queued')
        image = self.client.show(image_id)
        nothing = dict.fromkeys(('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value'))
        self.assertEqual(nothing, {name: image[name] for name in nothing})
        self.until(lambda: self.files() == self.before, 'nothing left')
        self.until(lambda: self.rows(image_id) == [], 'the transfer forgotten')

    def rows(self, image_id: str) -> list[object]:
        return self.parts.services.db.read(lambda tx: tx.transfers.of_image(image_id))

    def assert_code(self, status: int, code: str, response: object) -> None:
        self.assertEqual(status, response.status, response.content)
        self.assertEqual(code, json.loads(response.content)['error']['error_code'])

    def assert_stored(self, image_id: str, data: bytes) -> None:
        image = self.client.show(image_id)
        self.assertEqual(
            ('active', len(data), hashlib.md5(data).hexdigest(), hashlib.sha512(data).hexdigest()),
            (image['status'], image['size'], image['checksum'], image['os_hash_value']),
        )
        answer = self.client.download(image_id)
        self.assertEqual((200, str(len(data))), (answer.status, answer.headers['Content-Length']))
        self.assertEqual(image['checksum'], answer.headers['Content-MD5'])
        self.assertEqual(data, answer.content)

    def begin(self, image_id: str, headers: dict[str, str]) -> RawRequest:
        request = RawRequest(self.server.port, 'PUT', f'/v2/images/{image_id}/file', OCTETS | headers)
        self.addCleanup(request.close)
        return request


class WholeDataTest(ServerCase):
    def test_data_comes_back_byte_by_byte_however_it_was_sent(self) -> None:
        data = os.urandom(5 * MIB + 12345)
        for name, body in (
            ('with a length', data),
            ('in chunks of 1 MiB', pieces(data, MIB)),
            ('in chunks of 3 MB and a bit', pieces(data, 3_000_001)),
            ('in many small chunks', pieces(data, 7001)),
        ):
            image_id = self.client.create(name=name)
            answer = self.client.upload(image_id, body)
            self.assertEqual(204, answer.status, answer.content)
            self.assert_stored(image_id, data)

    def test_no_data_is_an_image_of_size_0(self) -> None:
        for body in (b'', iter(())):
            image_id = self.client.create()
            self.assertEqual(204, self.client.upload(image_id, body).status)
            self.assert_stored(image_id, b'')

    def test_ranges_are_exact(self) -> None:
        data = os.urandom(3 * MIB + 17)
        size = len(data)
        image_id = self.client.create()
        self.assertEqual(204, self.client.upload(image_id, data).status)
        for text, start, stop in (
            ('bytes=0-0', 0, 1),
            (f'bytes=0-{MIB - 1}', 0, MIB),
            (f'bytes={MIB - 1}-{2 * MIB + 1}', MIB - 1, 2 * MIB + 2),
            (f'bytes={size - 3}-', size - 3, size),
            ('bytes=-1000', size - 1000, size),
            (f'bytes=5-{size + 100}', 5, size),
            ('bytes=0-', 0, size),
        ):
            answer = self.client.download(image_id, text)
            self.assertEqual(
                (206, f'bytes {start}-{stop - 1}/{size}'), (answer.status, answer.headers['Content-Range'])
            )
            self.assertEqual(str(stop - start), answer.headers['Content-Length'])
            self.assertEqual(data[start:stop], answer.content, text)

    def test_ranges_that_cannot_be_served(self) -> None:
        image_id = self.client.create()
        self.client.upload(image_id, b'0123456789')
        answer = self.client.download(image_id, 'bytes=10-')
        self.assert_code(416, 'imagepipe.data.range', answer)
        self.assertEqual('bytes */10', answer.headers['Content-Range'])
        self.assert_code(
            400, 'imagepipe.data.several_ranges', self.client.download(image_id, 'bytes=0-1,3-4')
        )

    def test_an_image_without_data_is_204(self) -> None:
        answer = self.client.download(self.client.create())
        self.assertEqual((204, b''), (answer.status, answer.content))

    def test_each_process_serves_what_another_took_in(self) -> None:
        data = os.urandom(MIB)
        image_id = self.client.create()
        self.assertEqual(204, self.client.upload(image_id, data).status)
        served = re.compile(f'([0-9]+) INFO imagepipe.api.app .*GET /v2/images/{image_id}/file 200')

        def both() -> bool:
            downloads = together(*[(self.client.download, image_id)] * 4)
            self.assertEqual([data] * 4, [answer.content for answer in downloads])
            return len(set(served.findall(self.server.log.read_text()))) == PROCESSES

        self.until(both, f'{PROCESSES} processes have served')

    def test_a_connection_serves_one_request_after_the_other(self) -> None:
        data = os.urandom(MIB)
        first, second = self.client.create(), self.client.create()
        request = self.begin(first, {'Content-Length': str(len(data))})
        request.send(data)
        self.assertEqual(204, request.response().status)
        self.assertEqual(204, self.client.upload(second, data).status)
        self.assert_stored(second, data)


class BrokenOffTest(ServerCase):
    """The client goes away in the middle; nothing of that may ever look complete."""

    def test_with_a_length(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, {'Content-Length': str(5 * MIB)})
        request.send(b'x' * (3 * MIB))
        self.until_status(image_id, 'saving')
        request.close()
        self.assert_as_before(image_id)

    def test_with_a_length_while_it_still_listens(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, {'Content-Length': str(5 * MIB)})
        request.send(b'x' * (3 * MIB))
        self.until_status(image_id, 'saving')
        request.no_more()
        self.assert_as_before(image_id)

    def test_in_the_middle_of_a_chunk(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, CHUNKED)
        request.send(chunk(b'x' * MIB) + b'100000\r\n' + b'x' * 1000)
        self.until_status(image_id, 'saving')
        request.close()
        self.assert_as_before(image_id)

    def test_between_two_chunks(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, CHUNKED)
        request.send(chunk(b'x' * MIB))
        self.until_status(image_id, 'saving')
        request.close()
        self.assert_as_before(image_id)

    def test_in_the_last_chunk_of_all(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, CHUNKED)
        request.send(chunk(b'x' * MIB) + b'0')
        self.until_status(image_id, 'saving')
        request.close()
        self.assert_as_before(image_id)

    def test_while_staging(self) -> None:
        image_id = self.client.create()
        request = RawRequest(self.server.port, 'PUT', f'/v2/images/{image_id}/stage', OCTETS | CHUNKED)
        request.send(chunk(b'x' * MIB))
        self.until_status(image_id, 'uploading')
        request.close()
        self.assert_as_before(image_id)

    def test_the_image_takes_another_upload_afterwards(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, CHUNKED)
        request.send(chunk(b'x' * MIB))
        self.until_status(image_id, 'saving')
        request.close()
        self.assert_as_before(image_id)
        data = os.urandom(MIB + 1)
        self.assertEqual(204, self.client.upload(image_id, data).status)
        self.assert_stored(image_id, data)


class SilentClientTest(ServerCase):
    overrides = {'transfers.client_timeout': 2}

    def test_a_client_that_falls_silent_is_given_up(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, {'Content-Length': '100'})
        request.send(b'x')
        self.until_status(image_id, 'saving')
        self.assert_as_before(image_id)


class WrongLengthTest(ServerCase):
    def test_other_than_announced(self) -> None:
        for found, announced in ((10, 11), (10, 9), (2 * MIB, 3 * MIB), (3 * MIB, 2 * MIB)):
            image_id = self.client.create()
            body = pieces(b'x' * found, MIB)
            answer = self.client.upload(image_id, body, {'x-openstack-image-size': str(announced)})
            self.assert_code(400, 'imagepipe.data.size_mismatch', answer)
            self.assert_as_before(image_id)

    def test_a_request_that_contradicts_itself(self) -> None:
        image_id = self.client.create()
        answer = self.client.upload(image_id, b'x' * 10, {'x-openstack-image-size': '11'})
        self.assert_code(400, 'imagepipe.data.size_mismatch', answer)
        self.assert_as_before(image_id)

    def test_bytes_after_the_length_are_no_data(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, {'Content-Length': '10', 'Connection': 'close'})
        request.send(b'0123456789' + b'and more')
        self.assertEqual(204, request.response().status)
        self.assert_stored(image_id, b'0123456789')


class EarlyRefusalTest(ServerCase):
    """A large upload that is refused before it is read: the client reads the status, no reset."""

    overrides = {'image_size_cap': 100 * MIB}
    size = 40 * MIB

    def body(self) -> Iterator[bytes]:
        return (b'\0' * MIB for _ in range(self.size // MIB))

    def both_ways(self) -> list[dict[str, str]]:
        return [{'Content-Length': str(self.size)}, CHUNKED]

    def refused(self, image_id: str, headers: dict[str, str]) -> object:
        return self.client.call('PUT', f'/v2/images/{image_id}/file', self.body(), headers)

    def test_409(self) -> None:
        image_id = self.client.create()
        self.client.upload(image_id, b'here already')
        for headers in self.both_ways():
            answer = self.refused(image_id, OCTETS | headers)
            self.assert_code(409, 'imagepipe.image.invalid_transition', answer)
        self.assert_stored(image_id, b'here already')

    def test_415_of_the_content_type(self) -> None:
        image_id = self.client.create()
        for headers in self.both_ways():
            answer = self.refused(image_id, {'Content-Type': 'text/plain', **headers})
            self.assert_code(415, 'imagepipe.request.media_type', answer)
        self.assert_as_before(image_id)

    def test_413_of_the_announced_size(self) -> None:
        image_id = self.client.create()
        headers = OCTETS | CHUNKED | {'x-openstack-image-size': str(101 * MIB)}
        answer = self.refused(image_id, headers)
        self.assert_code(413, 'imagepipe.data.size_cap_exceeded', answer)
        self.assert_as_before(image_id)

    def test_404(self) -> None:
        for headers in self.both_ways():
            answer = self.refused('11111111-2222-4333-8444-555555555555', OCTETS | headers)
            self.assert_code(404, 'imagepipe.image.not_found', answer)


class EarlyAnswerTest(ServerCase):
    """mod_wsgi's daemons are asked for their answer when Apache has handed the whole body over to them."""

    scenarios = [(name, values) for name, values in SERVERS if name != 'mod_wsgi-daemon']
    size = 40 * MIB

    def test_the_answer_comes_before_the_client_has_sent_its_data(self) -> None:
        image_id = self.client.create()
        self.client.upload(image_id, b'here already')
        request = self.begin(image_id, {'Content-Length': str(self.size)})
        request.send(b'x' * 100)
        self.assertEqual(409, request.response().status)

    def test_a_client_that_asks_first_is_refused_before_it_sends(self) -> None:
        image_id = self.client.create()
        self.client.upload(image_id, b'here already')
        request = self.begin(image_id, {'Content-Length': str(self.size), 'Expect': '100-continue'})
        self.assertEqual(409, request.response().status)


class ContinueTest(ServerCase):
    """uWSGI leaves `100 Continue` to its front end: there, clients go on by themselves after a second."""

    scenarios = [(name, values) for name, values in SERVERS if not name.startswith('uwsgi')]

    def test_a_client_that_asks_first_is_told_to_go_on(self) -> None:
        image_id = self.client.create()
        request = self.begin(image_id, {'Content-Length': '10', 'Expect': '100-continue'})
        self.assertEqual([b'HTTP/1.1', b'100'], request.interim().split()[:2])
        request.send(b'0123456789')
        self.assertEqual(204, request.response().status)
        self.assert_stored(image_id, b'0123456789')


class RefusedWhileReadTest(ServerCase):
    """A refusal that only the data brings, with much more data to come."""

    overrides = {'image_size_cap': 4 * MIB}

    def test_413_beyond_the_cap(self) -> None:
        image_id = self.client.create()
        body = (os.urandom(MIB) for _ in range(30))
        self.assert_code(413, 'imagepipe.data.size_cap_exceeded', self.client.upload(image_id, body))
        self.assert_as_before(image_id)

    def test_415_of_the_content(self) -> None:
        image_id = self.client.create(disk_format='qcow2')
        self.assert_code(
            415, 'imagepipe.format.mismatch', self.client.upload(image_id, pieces(b'x' * MIB, 100))
        )
        self.assert_as_before(image_id)


class TruncatedObjectTest(ServerCase):
    """What a store lost is never sent as if it were all: the client sees a broken transfer."""

    def test_a_short_file_breaks_the_connection(self) -> None:
        data = os.urandom(2 * MIB)
        image_id = self.client.create()
        self.assertEqual(204, self.client.upload(image_id, data).status)
        (path,) = set(self.files()) - set(self.before)
        os.truncate(path, MIB)
        request = RawRequest(self.server.port, 'GET', f'/v2/images/{image_id}/file', {'Connection': 'close'})
        self.addCleanup(request.close)
        error = self.assertRaises(Exception, request.response)  # noqa: B017  whatever http.client makes of it
        self.assertIn(type(error).__name__, ('IncompleteRead', 'RemoteDisconnected', 'ConnectionResetError'))


class KilledServerTest(ServerCase):
    """The host of an API process dies in the middle of an upload."""

    scenarios = [(name, values) for name, values in SERVERS if name == 'gunicorn']
    overrides = {'transfers.lease_seconds': 3}

    def started(self) -> tuple[ServicesFixture, ServerFixture]:
        parts = self.useFixture(ServicesFixture(self, overrides=self.settings()))
        return parts, self.useFixture(make_server(self, parts))

    def swept(self, path: str, status: str) -> None:
        image_id = self.client.create()
        request = RawRequest(self.server.port, 'PUT', f'/v2/images/{image_id}/{path}', OCTETS | CHUNKED)
        self.addCleanup(request.close)
        request.send(chunk(b'x' * (2 * MIB)))
        self.until_status(image_id, status)
        self.until(lambda: self.files() != [], 'bytes on disk')
        self.server.kill()
        services = self.parts.services
        self.until(lambda: transfers.sweep(services) > 0, 'an expired lease')
        image = services.db.read(lambda tx: tx.images.find(image_id))
        self.assertEqual(('queued', None), (image.status.value, image.size))
        self.assertEqual([], self.files())
        self.assertEqual([], services.db.read(lambda tx: tx.transfers.of_image(image_id)))
        for scope in ('project:', 'staging'):
            self.assertEqual(0, services.db.read(lambda tx, scope=scope: tx.usages.used(scope, 'bytes')))

    def test_nothing_of_an_upload_stays(self) -> None:
        self.swept('file', 'saving')

    def test_nothing_of_a_staging_stays(self) -> None:
        self.swept('stage', 'uploading')


class ImportingTheModuleTest(testtools.TestCase):
    """Servers fork after they have imported the application."""

    def test_opens_no_socket_connection_database_or_thread(self) -> None:
        script = textwrap.dedent("""
            import io, sys, threading
            import oslo_config, webob, sqlalchemy, urllib3  # libraries are not at issue
            seen = []
            def look(event, args):
                if event in ('socket.connect', 'socket.bind', 'sqlite3.connect', '_thread.start_new_thread'):
                    seen.append(event)
                if event == 'socket.__new__' and args[1] in (2, 10):  # a socket of the internet
                    seen.append(event)
                if event == 'open' and 'imagepipe.conf' in str(args[0]):
                    seen.append(f'{event} {args[0]}')
            sys.addaudithook(look)
            from imagepipe.wsgi.api import application
            assert callable(application)
            print(seen, threading.active_count())
            if 'control' in sys.argv:
                application({'REQUEST_METHOD': 'GET', 'PATH_INFO': '/v2/images', 'wsgi.input': io.BytesIO(),
                             'SERVER_NAME': 'x', 'SERVER_PORT': '1', 'wsgi.url_scheme': 'http'},
                            lambda *a: None)
                print(seen)
        """)
        parts = self.useFixture(ServicesFixture(self))
        environ = os.environ | {'OS_IMAGEPIPE_CONFIG_DIR': parts.path('etc')}
        done = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', script, 'control'],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        imported, *used = done.stdout.strip().splitlines() or ['']
        self.assertEqual('[] 1', imported, done.stderr)
        self.assertIn('sqlite3.connect', used[-1], f'the hook does not see what it must: {done.stderr}')
