"""imagepipe-standalone as somebody uses it who has just got it: real processes, real images."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request

import fixtures
import testtools

from imagepipe.cmd import home as homes
from imagepipe.tests.fixtures import commands, images
from imagepipe.tests.fixtures.http_server import Fault, HttpServer
from imagepipe.tests.fixtures.tools import need
from imagepipe.tests.fixtures.workers import wait_until

#: A name that no shell, URL or configuration file takes for anything else.
ODD = 'da ta$1%s'


class Standalone(fixtures.Fixture):
    """A data directory, and imagepipe-standalone called with it; nothing runs from it at the end."""

    def __init__(self, test: testtools.TestCase, name: str = 'data') -> None:
        super().__init__()
        self._test = test
        self._name = name

    def _setUp(self) -> None:
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.home = homes.Home(self.root / self._name)
        self.addCleanup(self._end)

    def call(self, *words: object, expect: int = 0, env: dict[str, str] | None = None) -> str:
        """What the command printed, errors too."""
        argv = [sys.executable, '-m', 'imagepipe.cmd.standalone', '--data', self.home.path, *words]
        ended = subprocess.run(
            [str(word) for word in argv], env=self._environment | (env or {}), cwd=self.root,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180,
            check=False,
        )  # fmt: skip
        said = ended.stdout.decode()
        self._test.assertEqual(expect, ended.returncode, f'{said}\n{self.logs()}')
        self._test.assertNotIn('Traceback', said)
        return said

    def unheard(self, *words: object) -> subprocess.CompletedProcess:
        """The command in a pipe that nobody reads any more."""
        reading, writing = os.pipe()
        os.close(reading)
        argv = [sys.executable, '-m', 'imagepipe.cmd.standalone', '--data', self.home.path, *words]
        try:
            return subprocess.run(
                [str(word) for word in argv], env=self._environment, cwd=self.root, stdin=subprocess.DEVNULL,
                stdout=writing, stderr=subprocess.PIPE, timeout=180, check=False,
            )  # fmt: skip
        finally:
            os.close(writing)

    def start(self, *words: object) -> subprocess.Popen:
        """The command as a child of this process, which prints into `printed`."""
        self.printed = self.root / 'printed'
        with self.printed.open('wb') as output:
            argv = [sys.executable, '-m', 'imagepipe.cmd.standalone', '--data', self.home.path, *words]
            process = subprocess.Popen(
                [str(word) for word in argv], env=self._environment, cwd=self.root, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.addCleanup(self._kill, process)
        return process

    def foreground(self, *words: object) -> subprocess.Popen:
        """The service as a child of this process."""
        process = self.start(*words)
        wait_until(
            lambda: process.poll() is not None or 'ready at' in self.printed.read_text(), 'it is ready'
        )
        return process

    @property
    def url(self) -> str:
        return self.home.running().url

    def get(self, path: str) -> bytes:
        """The body of an answer of the API."""
        with urllib.request.urlopen(f'{self.url}{path}', timeout=60) as answer:
            return answer.read()

    def images(self) -> list[dict]:
        return json.loads(self.get('/v2/images'))['images']

    def processes(self) -> list[int]:
        """Every process that has the data directory as its own."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir('/proc'))) if self._is_ours(pid)]

    def files(self, *parts: str) -> list[str]:
        """The files below a part of the data directory."""
        below = self.home.path.joinpath(*parts)
        return sorted(str(path.relative_to(below)) for path in below.rglob('*') if path.is_file())

    def logs(self) -> str:
        """All logs, for a failure."""
        return '\n'.join(f'{path}\n{path.read_text()[-4000:]}' for path in self.home.logs.glob('*.log'))

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {'PYTHONPATH': str(commands.PROJECT), 'XDG_DATA_HOME': str(self.root / 'share')}

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return os.readlink(f'/proc/{pid}/cwd') == str(self.home.path) and state(pid) != 'Z'
        return False

    def _kill(self, process: subprocess.Popen) -> None:
        if process.poll() is None:
            process.kill()
        process.wait()

    def _end(self) -> None:
        with contextlib.suppress(Exception):
            self.call('stop')
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Case(testtools.TestCase):
    def standalone(self, name='data'):
        need(self, 'qemu-img')
        return self.useFixture(Standalone(self, name))

    def imported(self, service, said):
        """The image that the quickstart has shown; what is stored is what is shown."""
        image_id = re.search(r'^  id +(\S+)$', said, re.MULTILINE).group(1)
        image = json.loads(service.get(f'/v2/images/{image_id}'))
        self.assertEqual('active', image['status'])
        body = service.get(f'/v2/images/{image_id}/file')
        self.assertEqual(image['checksum'], hashlib.md5(body).hexdigest())
        self.assertEqual(image['os_hash_value'], hashlib.sha512(body).hexdigest())
        for shown in (image['checksum'], image['os_hash_value'], f'({image["size"]} bytes)'):
            self.assertIn(shown, said)
        self.assertEqual([], service.files('staging'))
        return image, body

    def stored(self, service, store, said):
        """The bytes of the image in a store: those that its row of the table names."""
        digest = re.search(rf'^  {store} +ok +\S+ .* ([0-9a-f]{{32}})$', said, re.MULTILINE).group(1)
        paths = [service.home.path / 'stores' / store / name for name in service.files('stores', store)]
        return next(path for path in paths if hashlib.md5(path.read_bytes()).hexdigest() == digest)


class QuickstartTest(Case):
    def test_twice_without_an_image(self) -> None:
        need(self, 'mkfs.ext4', 'debugfs')
        service = self.standalone(ODD)
        first = service.call('quickstart', '--port', 0)
        for words in ('imagepipe runs now at', 'No Keystone', 'made just now', 'Image sample is active.',
                      f'OS_AUTH_TYPE=none OS_ENDPOINT={service.url} {commands.BIN}/openstack image import ',
                      f'{commands.BIN}/pip install python-openstackclient', 'stop --data',
                      str(service.home.logs)):  # fmt: skip
            self.assertIn(words, first)
        self.assert_steps_are_shown(first)
        image, body = self.imported(service, first)
        self.assertEqual(('qcow2', 'qcow2'), (image['disk_format'], images_format(body)))
        raw = self.stored(service, 'fast', first)
        self.assertEqual((96 << 20, image['virtual_size']), (image['virtual_size'], raw.stat().st_size))
        self.assertIn("This disk was made by imagepipe's quickstart.", read_me(self, raw, service.root))

        pid = service.home.running().pid
        second = service.call('quickstart')
        self.assertIn('imagepipe runs already at', second)
        self.assertIn('made by an earlier run', second)
        again, _ = self.imported(service, second)
        self.assertNotEqual(image['id'], again['id'])
        self.assertEqual(image['checksum'], again['checksum'])
        self.assertEqual((2, pid), (len(service.images()), service.home.running().pid))

        (stop,) = re.findall(r'^  Stop +(.+)$', second, re.MULTILINE)
        _, *words = shlex.split(stop)
        self.assertIn('imagepipe has stopped.', service.call(*words))
        self.assertEqual([], service.processes())
        service.call('status', expect=3)
        self.assertIn('made by an earlier run', service.call('quickstart', '--port', 0))
        self.assertEqual(3, len(service.images()))

    def assert_steps_are_shown(self, said):
        steps = re.findall(r'^(\S+): done', said, re.MULTILINE)
        self.assertEqual(
            ['upload', 'stage', 'introspect', 'decompress', 'verify:qcow2', 'convert:raw', 'verify:raw'],
            steps[:7],
        )
        self.assertEqual({'store:cheap', 'store:fast', 'activate', 'notify', 'discard'}, set(steps[7:]))
        self.assertRegex(said, r'\nstage: done, [\d.]+ MiB, [\d.]+ s, [\d.]+ [MG]iB/s\n')

    def test_paths(self) -> None:
        images.needs(self, 'qcow2')
        service = self.standalone()
        for kind, format_ in {'vmdk': 'vmdk', 'raw': 'raw', 'qcow2.gz': 'qcow2', 'raw.xz': 'raw'}.items():
            path = images.make(service.root, kind)
            said = service.call('quickstart', '--port', 0, '--name', f'My {kind}', path)
            self.assertIn(f'found to be {format_}', said)
            self.assertIn(f'Image My {kind} is active.', said)
            image, _ = self.imported(service, said)
            self.assertEqual(format_, image['disk_format'])
            self.stored(service, 'cheap', said)
            raw = self.stored(service, 'fast', said)
            self.assertEqual(images.built('raw').stat().st_size, raw.stat().st_size)

    def test_paths_that_are_no_images(self) -> None:
        service = self.standalone()
        empty = service.root / 'empty'
        empty.touch()
        for path, sentence in {
            'no/such.img': 'There is no file no/such.img.', str(empty): 'is empty.',
            str(service.root): 'is no file.', 'ftp://me:secret@127.0.0.1/x': ' ftp://127.0.0.1/x is no URL ',
        }.items():  # fmt: skip
            said = service.call('quickstart', path, expect=1)
            self.assertEqual(1, said.count('\n'))
            self.assertIn(sentence, said)
        self.assertFalse(service.home.path.exists())

    def test_an_image_that_is_not_what_it_is_said_to_be(self) -> None:
        images.needs(self, 'qcow2')
        service = self.standalone()
        path = images.make(service.root, 'qcow2')
        said = service.call('quickstart', '--port', 0, '--disk-format', 'raw', path, expect=1)
        self.assertIn(
            "The import has failed: The image is declared as 'raw' but its content is 'qcow2'.", said
        )
        self.assertRegex(said, r'Code +imagepipe\.format\.mismatch\n')
        self.assertRegex(said, r'Step +introspect\n')
        self.assertRegex(said, r'Request +req-[0-9a-f-]{36}\n')
        self.assertIn(f'--disk-format qcow2 {path}', said)
        self.assertEqual([], service.images())
        self.assertEqual([], service.files('staging') + service.files('stores'))
        self.imported(service, service.call('quickstart', path))

    def test_urls(self) -> None:
        images.needs(self, 'qcow2')
        service = self.standalone()
        source = self.useFixture(HttpServer())
        source.serve('/disk.qcow2', images.content('qcow2'))
        url = source.url('/disk.qcow2')
        said = service.call('quickstart', '--port', 0, url, expect=1)
        self.assertRegex(said, r'Code +imagepipe\.source\.refused\n')
        self.assertIn(str(service.home.local), said)
        self.assertEqual([], service.images())
        service.call('stop')
        service.home.local.write_text(
            f'[import_filtering_opts]\nallowed_hosts = 127.0.0.1\nallowed_ports = {source.port}\n'
        )
        said = service.call('quickstart', '--port', 0, url)
        self.assertIn('Image disk.qcow2 is active.', said)
        self.assertNotIn('upload:', said)
        self.imported(service, said)

    def test_whoever_stops_watching_stops_nothing(self) -> None:
        service = self.standalone()
        source = self.useFixture(HttpServer())
        source.serve('/disk.qcow2', bytes(100_000), fault=Fault(stall_after=50_000))
        service.home.make()
        service.home.local.write_text(
            f'[import_filtering_opts]\nallowed_hosts = 127.0.0.1\nallowed_ports = {source.port}\n'
        )
        process = service.start('quickstart', '--port', 0, source.url('/disk.qcow2'))
        self.assertTrue(source.stalled.wait(60))
        process.send_signal(signal.SIGINT)
        self.assertEqual(130, process.wait(60))
        said = service.printed.read_text()
        self.assertIn(f'The import goes on at {service.url} without being watched.', said)
        self.assertIn('Imports at work  1', service.call('status'))
        for words in re.findall(r'^  (?:Watch|Cancel) +\S*imagepipe-manage (.*)$', said, re.MULTILINE):
            last = commands.run(self, sys.executable, '-m', 'imagepipe.cmd.manage', *shlex.split(words))
        self.assertIn('is reverting', last)
        wait_until(lambda: 'Imports at work  0' in service.call('status'), 'the import is cancelled')
        self.assertEqual([], service.files('staging') + service.files('stores'))

    def test_without_the_tools_for_a_disk(self) -> None:
        service = self.standalone()
        said = service.call('quickstart', env={'PATH': '/nowhere'}, expect=1)
        self.assertIn('apt-get install qemu-utils', said)
        self.assertIsNone(service.home.running())


class ServiceTest(Case):
    def test_in_the_foreground_until_a_signal(self) -> None:
        service = self.standalone()
        process = service.foreground('--port', 0)
        said = service.printed.read_text()
        self.assertIn(f'is ready at {service.url}', said)
        self.assertIn('No Keystone', said)
        self.assertIn(f'URL              {service.url}', service.call('status'))
        self.assertIn('A service runs at', service.call('run', expect=1))
        self.assertIn('runs already at', service.call('start'))
        process.send_signal(signal.SIGINT)
        self.assertEqual(0, process.wait(60))
        self.assertEqual([], service.processes())
        self.assertIn('imagepipe has stopped.', service.printed.read_text())
        self.assertIn('Nothing runs', service.call('status', expect=3))
        self.assertIn('Nothing runs', service.call('stop'))

    def test_whoever_stops_reading_stops_nothing(self) -> None:
        service = self.standalone()
        for words in (('start', '--port', 0), ('status',), ('quickstart', images.built('qcow2'))):
            ended = service.unheard(*words)
            self.assertEqual((0, b''), (ended.returncode, ended.stderr), words)
        self.assertIn('API              answers', service.call('status'))
        self.assertTrue(service.files('stores'))

    def test_a_part_that_dies_ends_the_service_and_is_named(self) -> None:
        for part in ('conductor', 'api'):
            service = self.standalone()
            process = service.foreground('--port', 0)
            # The API's process calls itself otherwise where setproctitle is installed.
            (victim,) = [
                pid
                for pid in children(process.pid)
                if ('cmd.conductor' in command_line(pid)) is (part == 'conductor')
            ]
            os.kill(victim, signal.SIGKILL)
            self.assertEqual(1, process.wait(60))
            said = service.printed.read_text()
            self.assertIn(f'imagepipe-{part} was ended by SIGKILL, so imagepipe stops.', said)
            self.assertIn(str(service.home.log(f'imagepipe-{part}')), said)
            self.assertEqual([], service.processes())
            service.call('status', expect=3)

    def test_nothing_outlives_a_parent_that_is_killed(self) -> None:
        need(self, 'setpriv')
        service = self.standalone()
        process = service.foreground('--port', 0)
        self.assertGreater(len(service.processes()), 3)
        process.kill()
        process.wait()
        wait_until(lambda: not service.processes(), 'its processes end')
        service.call('status', expect=3)

    def test_a_port_that_is_taken(self) -> None:
        service = self.standalone()
        with socket.create_server(('127.0.0.1', 0)) as other:
            port = other.getsockname()[1]
            for words in (['--port', port], ['start', '--port', port], ['quickstart', '--port', port]):
                said = service.call(*words, expect=1)
                self.assertIn(f'Cannot listen on port {port} of 127.0.0.1: address already in use.', said)
                self.assertIn('--port 0', said)
        self.assertEqual([], service.processes())

    def test_only_the_loopback_address_without_keystone(self) -> None:
        service = self.standalone()
        said = service.call('--host', '0.0.0.0', '--port', 0, expect=1)
        self.assertIn('bind_host must be a loopback address', said)
        service.home.local.write_text('[api]\nbind_host = 0.0.0.0\n')
        self.assertIn('bind_host must be a loopback address', service.call('--port', 0, expect=1))

    def test_data_directories_that_cannot_be(self) -> None:
        service = self.standalone()
        service.home.path.write_text('a file')
        for words in ([], ['start'], ['quickstart']):
            self.assertIn('cannot be used', service.call(*words, expect=1))

    def test_options_that_are_wrong(self) -> None:
        service = self.standalone()
        service.home.make()
        service.home.local.write_text('[conductor]\nworkers = many\n')
        for words in (['run'], ['start']):
            said = service.call(*words, '--port', 0, expect=1)
            self.assertIn('workers', said)
            self.assertEqual(1, said.count('\n'))

    def test_secrets_are_for_the_owner_only(self) -> None:
        service = self.standalone()
        service.foreground('--port', 0)
        self.assertEqual(0o700, service.home.path.stat().st_mode & 0o777)
        for name in ('keys', 'imagepipe.conf'):
            self.assertEqual(0o600, (service.home.path / name).stat().st_mode & 0o777)


def children(pid):
    """The processes that a process has started."""
    path = pathlib.Path(f'/proc/{pid}/task/{pid}/children')
    return list(map(int, path.read_text().split()))


def command_line(pid):
    return pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().replace(b'\0', b' ').decode()


def state(pid):
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]


def images_format(body):
    return 'qcow2' if body[:4] == b'QFI\xfb' else 'raw'


def read_me(test, disk, root):
    """README.txt out of the file system of a raw disk."""
    partition = root / 'partition'
    with disk.open('rb') as file:
        file.seek(1 << 20)
        partition.write_bytes(file.read())
    return commands.run(test, 'debugfs', '-R', 'cat /README.txt', partition)
