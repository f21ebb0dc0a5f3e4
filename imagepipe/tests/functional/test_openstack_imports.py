"""The commands `openstack image import ...` that imagepipe adds, in the real client, without Keystone.

With Keystone and its catalog the rows of fixtures/openstack_commands.py run them.
"""

import contextlib
import io
import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import uuid
from typing import ClassVar

import fixtures
from openstack import connection
from osc_lib import exceptions

from imagepipe.osc.calls import Imports
from imagepipe.osc.watching import watch
from imagepipe.tests.fixtures import commands, shells
from imagepipe.tests.fixtures.cloud import SharedCloudTest
from imagepipe.tests.fixtures.fetching import some_bytes
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.workers import wait_until

MIB = 1 << 20
DATA = some_bytes(3 * MIB)
STALLED = Fault(stall_after=MIB)
ENDING = 60


class OpenStackCase(SharedCloudTest):
    """`openstack()` runs a command to its end, `begin()` starts one."""

    shells: ClassVar[shells.Shells]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shells = shells.Shells()
        cls.addClassCleanup(cls.shells.cleanUp)
        cls.shells.setUp()

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.name = f'image-{uuid.uuid4().hex[:12]}'
        self.addCleanup(self.cloud.source.release.clear)

    def environment(self, url=None):
        home = str(self.directory)
        return {'OS_AUTH_TYPE': 'none', 'OS_ENDPOINT': url or self.cloud.url, 'HOME': home}

    def openstack(self, command, *, url=None):
        env = self.environment(url)
        done = self.shells.run('openstack', command.split(), env=env, cwd=self.directory)
        self.assertNotIn('Traceback', done.printed)
        return done

    def told(self, command):
        """What a command says that succeeds."""
        done = self.openstack(command)
        self.assertEqual(0, done.status, done.printed)
        return done.printed

    def refused(self, command, *, url=None):
        """The one sentence of a command that fails."""
        done = self.openstack(command, url=url)
        self.assertEqual(1, done.status, done.printed)
        (sentence,) = done.printed.splitlines()
        return sentence

    def begin(self, command, **streams):
        process = subprocess.Popen(
            [commands.BIN / 'openstack', *command.split()],
            **{'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **streams},
            text=True,
            cwd=self.directory,
            env=shells.environment(self.environment()),
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def image(self):
        return self.cloud.image(name=self.name)

    def fetch(self, image_id, fault=None, **how):
        """An import by web-download of DATA, and whatever is wrong with it."""
        path = f'/{uuid.uuid4().hex}'
        self.cloud.source.serve(path, DATA, fault=fault)
        return self.cloud.start(image_id, uri=self.cloud.source.url(path), **how)

    def import_(self, import_id):
        return self.cloud.call('GET', f'/v2/imports/{import_id}').json()

    def stalled(self):
        """An image, and an import of it that is in the middle of its data and stays there."""
        image_id = self.image()
        import_id = self.fetch(image_id, STALLED)
        wait_until(lambda: self.import_(import_id)['steps'][0]['bytes_done'], 'bytes are seen')
        return image_id, import_id

    def failed(self, image_id=None):
        import_id = self.fetch(image_id or self.image(), Fault(status=404))
        self.cloud.wait(import_id)
        return import_id

    def succeeded(self, image_id):
        import_id = self.fetch(image_id)
        self.cloud.wait(import_id)
        return import_id


class ProgressTest(OpenStackCase):
    def test_every_command_shows_how_far_a_running_import_is(self):
        image_id, import_id = self.stalled()
        (row,) = json.loads(self.told(f'image import list --image {self.name} -f json'))
        self.assertEqual([import_id, image_id, 'running'], [row[key] for key in ('ID', 'Image', 'State')])
        place = r'stage [1-9]\d?%'
        self.assertRegex(row['Progress'], f'^{place}$')
        self.assertRegex(
            self.told('image import list --state running'), f'{import_id} .* running .* {place} '
        )
        shown = json.loads(self.told(f'image import show {self.name} -f json'))
        self.assertEqual(set(self.import_(import_id)) - {'self'}, set(shown))
        self.assertTrue(0 < shown['steps'][0]['bytes_done'] <= MIB)
        step = r'stage +running +1 +\S+ \S+ of 3.0 MiB'
        self.assertRegex(self.told(f'image import show {import_id}'), step)
        self.assertRegex(self.manage('list'), f'{import_id} .* running +{place} ')
        self.assertRegex(self.manage('show', import_id), step)

    def manage(self, *words):
        config = ('--config-file', self.cloud.parts.config_file())
        return commands.run(self, sys.executable, '-m', 'imagepipe.cmd.manage', *config, 'imports', *words)

    def test_it_is_watched_to_its_end(self):
        image_id, import_id = self.stalled()
        watching = self.begin(f'image import watch {self.name}')
        self.assertRegex(watching.stdout.readline(), r'^stage: running, \d+ %, .* of 3.0 MiB')
        self.cloud.source.release.set()
        out, err = watching.communicate(timeout=ENDING)
        self.assertEqual((0, ''), (watching.returncode, err))
        *steps, last = out.splitlines()
        self.assertEqual(f'Import {import_id} has succeeded: image {image_id} is active in fast.', last)
        self.assertRegex('\n'.join(steps), r'(?m)^stage: done, 3.0 MiB')
        self.assertIn('activate: done', out)

    def test_a_terminal_is_redrawn(self):
        _, import_id = self.stalled()
        ours, terminal = pty.openpty()
        watching = self.begin(f'image import watch {import_id}', stdout=terminal)
        os.close(terminal)
        with os.fdopen(ours, 'rb', buffering=0) as screen:
            drawn = b''
            while drawn.count(b'\r  ') < 2 * len(self.import_(import_id)['steps']):
                drawn += screen.read(4096)
            self.cloud.source.release.set()
            with contextlib.suppress(OSError):  # the other end is closed
                while piece := screen.read(4096):
                    drawn += piece
        self.assertEqual(0, watching.wait(ENDING))
        self.assertIn(b'\x1b[?25l', drawn)
        self.assertRegex(drawn.decode(), r'\x1b\[\d+A\r')
        self.assertIn(b'\x1b[?25h', drawn)


class Recorded:
    """A client's images; `paths` are those that it was asked for."""

    def __init__(self, images):
        self._images = images
        self.paths = []
        self.find_image = images.find_image

    def request(self, path, *words, **named):
        self.paths.append(path)
        return self._images.request(path, *words, **named)


class EndsTest(OpenStackCase):
    def test_a_failed_import_is_told_on_stderr(self):
        import_id = self.failed()
        watching = self.begin(f'image import watch {self.name}')
        out, err = watching.communicate(timeout=ENDING)
        self.assertEqual(
            (1, f'Import {import_id} has failed: The source answered 404 instead of the image. '
                '(imagepipe.source.not_found)\n'),
            (watching.returncode, err),
        )  # fmt: skip
        self.assertIn('stage: failed, undone, imagepipe.source.not_found\n', out)
        shown = self.told(f'image import show {self.name}')
        self.assertIn('The source answered 404 instead of the image.', shown)
        self.assertIn('imagepipe.source.not_found, in step stage', shown)
        (row,) = json.loads(self.told(f'image import list --image {self.name} --state failed -f json'))
        self.assertEqual(('stage', 'imagepipe.source.not_found'), (row['Progress'], row['Error']))

    def test_whoever_stops_watching_leaves_the_import_alone(self):
        _, import_id = self.stalled()
        watching = self.begin(f'image import watch {self.name}')
        self.assertTrue(watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=ENDING)
        self.assertEqual(130, watching.returncode)
        self.assertIn(f'Import {import_id} goes on without being watched.\n', err)
        self.assertIn(f'  openstack image import cancel {import_id}\n', err)
        self.assertNotIn('Traceback', err)
        self.assertEqual('running', self.import_(import_id)['state'])

    def test_cancelled_by_the_name_of_the_image(self):
        _, import_id = self.stalled()
        found = json.loads(self.told(f'image import cancel {self.name} -f json'))
        self.assertEqual((import_id, 'reverting'), (found['id'], found['state']))
        done = self.openstack(f'image import watch {import_id}')
        self.assertEqual(1, done.status)
        self.assertIn(f'Import {import_id} was cancelled: ', done.printed)
        self.assertIn('(imagepipe.import.cancelled)', done.printed)
        self.assertIn('imagepipe.import.not_cancellable', self.refused(f'image import cancel {import_id}'))

    def test_of_several_imports_the_newest_is_meant(self):
        image_id = self.image()
        first, second = self.failed(image_id), self.succeeded(image_id)
        for given in (image_id, self.name, second):
            self.assertEqual(second, json.loads(self.told(f'image import show {given} -f json'))['id'])
        self.assertEqual(first, json.loads(self.told(f'image import show {first} -f json'))['id'])
        rows = json.loads(self.told(f'image import list --image {image_id} -f json'))
        self.assertEqual([second, first], [row['ID'] for row in rows])
        client = connection.Connection(auth_type='none', endpoint=self.cloud.url)
        self.addCleanup(client.close)
        images = Recorded(client.image)
        self.assertEqual(second, Imports(images).find(image_id)['id'])
        self.assertEqual(f'/images/{image_id}/imports?limit=1', images.paths[-1])
        for command in ('--limit 1', f'--marker {second}'):
            self.assertEqual(
                1, len(json.loads(self.told(f'image import list --image {image_id} {command} -f json')))
            )

    def test_the_imports_of_an_image_that_is_gone(self):
        image_id = self.image()
        import_id = self.succeeded(image_id)
        self.assertEqual(204, self.cloud.call('DELETE', f'/v2/images/{image_id}').status_code)
        self.assertEqual(import_id, json.loads(self.told(f'image import show {image_id} -f json'))['id'])
        (row,) = json.loads(self.told(f'image import list --image {image_id} --long -f json'))
        self.assertEqual((import_id, 'succeeded'), (row['ID'], row['State']))

    def test_a_store_that_did_not_take_it_is_named(self):
        """Where the import may do without it."""
        image_id = self.image()
        directory = pathlib.Path(self.cloud.parts.path('stores', 'cheap'))
        away = directory.rename(directory.with_name('cheap-away'))
        directory.write_text('no directory')
        self.addCleanup(away.rename, directory)
        self.addCleanup(directory.unlink)
        import_id = self.fetch(image_id, stores=['fast', 'cheap'], all_stores_must_succeed=False)
        told = self.told(f'image import watch {import_id}')
        self.assertIn(f'image {image_id} is active in fast.\nNot in cheap: ', told)


class RetryTest(OpenStackCase):
    def test_a_failed_import_is_asked_for_again(self):
        self.cloud.source.serve('/retried', DATA, fault=Fault(status=404))
        image_id = self.image()
        first = self.cloud.start(image_id, uri=self.cloud.source.url('/retried'))
        self.cloud.wait(first)
        self.cloud.source.serve('/retried', DATA)
        found = json.loads(self.told(f'image import retry {self.name} -f json'))
        self.assertEqual((first, image_id), (found['retry_of'], found['image_id']))
        self.assertIn(f'image {image_id} is active', self.told(f'image import watch {self.name}'))
        self.assertIn('imagepipe.import.not_retryable', self.refused(f'image import retry {self.name}'))


class RefusalsTest(OpenStackCase):
    def test_each_is_one_sentence(self):
        image_id = self.image()
        for command, sentence in (
            ('show nothing', 'There is no import, and no image with one, called nothing.'),
            (f'watch {image_id}', f'Image {image_id} has no import. If one was asked for, it was refused;'),
            ('list --image nothing', 'There is no image called nothing.'),
            ('list --state odd', '(imagepipe.request.invalid_query)'),
            (f'list --marker {image_id}', '(imagepipe.request.invalid_marker)'),
            (f'list --image {image_id} --project nobody', ''),
        ):
            done = self.openstack(f'image import {command}')
            self.assertEqual((1 if sentence else 0), done.status, done.printed)
            self.assertIn(sentence, done.printed)
            self.assertEqual(1, len(done.printed.splitlines()), done.printed)

    def test_a_service_that_is_not_there(self):
        self.assertIn('http://127.0.0.1:1', self.refused('image import list', url='http://127.0.0.1:1'))

    def test_a_service_that_is_no_imagepipe(self):
        url = self.cloud.source.url('')
        v2 = {'id': 'v2.16', 'status': 'CURRENT', 'links': [{'rel': 'self', 'href': f'{url}/v2/'}]}
        self.cloud.source.serve('/', json.dumps({'versions': [v2]}).encode())
        self.assertIn('it is no imagepipe', self.refused('image import list', url=url))


class OthersTest(OpenStackCase):
    """What the client has of its own."""

    def test_its_import_works_beside_ours(self):
        self.cloud.source.serve('/disk', DATA)
        image_id = self.image()
        uri = self.cloud.source.url('/disk')
        self.assertIn(self.name, self.told(f'image import --method web-download --uri {uri} {self.name}'))
        self.assertIn('has succeeded', self.told(f'image import watch {self.name}'))
        self.assertEqual('active', self.cloud.call('GET', f'/v2/images/{image_id}').json()['status'])
        self.assertIn('web-download', self.told('image import info'))

    def test_an_image_may_have_the_name_of_a_command(self):
        image_id = self.cloud.image(name='list')
        self.addCleanup(self.cloud.call, 'DELETE', f'/v2/images/{image_id}')
        self.cloud.source.serve('/disk', DATA)
        uri = self.cloud.source.url('/disk')
        self.told(f'image import --method web-download --uri {uri} list')
        self.assertIn(image_id, self.told('image import watch list'))


class AwayTest(OpenStackCase):
    def test_a_restart_does_not_end_the_watching(self):
        image_id, import_id = self.stalled()
        watching = self.begin(f'image import watch {import_id}')
        self.assertTrue(watching.stdout.readline())
        self.cloud.server.kill()
        self.cloud.server.start()
        self.cloud.source.release.set()
        out, err = watching.communicate(timeout=ENDING)
        self.assertEqual((0, ''), (watching.returncode, err))
        self.assertIn(f'image {image_id} is active', out)

    def test_a_service_that_stays_away_does(self):
        _, import_id = self.stalled()
        client = connection.Connection(auth_type='none', endpoint=self.cloud.url)
        self.addCleanup(client.close)
        imports = Imports(client.image)
        record = imports.get(import_id)
        self.cloud.server.kill()
        self.addCleanup(self.cloud.server.start)
        out = io.StringIO()
        away = self.assertRaises(exceptions.CommandError, watch, imports, record, out, out, patience=0.0)
        self.assertIn('does not answer', str(away))
        self.assertIn(f'Import {import_id} goes on without being watched', str(away))
