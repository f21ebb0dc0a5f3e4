"""The command line clients of OpenStack, unmodified, against a running imagepipe.

A person reads what they print: every refusal must show our sentence.
"""

import json
import os
import pathlib
import pty
import subprocess
from typing import ClassVar

import fixtures

from imagepipe.tests.fixtures import commands
from imagepipe.tests.fixtures.cloud import SharedCloudTest
from imagepipe.tests.fixtures.workers import wait_until

CAP = 1 << 20
NOWHERE = '6f4f6d0e-3f0e-4c5b-9d5e-2a6f4b7f3c11'
#: The head of a qcow2 image of version 3, as much of it as is looked at.
QCOW2 = b'QFI\xfb\0\0\0\3' + bytes(4088)
RAW = ('--disk-format', 'raw', '--container-format', 'bare')
DATA = bytes(range(256)) * 100


class CommandLineTest(SharedCloudTest):
    """Runs commands; files are in a directory of the test."""

    overrides: ClassVar = {'image_size_cap': CAP}

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # Without a terminal the openstack client takes its input for the image's data.
        ours, self.terminal = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, self.terminal)

    def file(self, data, name='image'):
        path = self.directory / name
        path.write_bytes(data)
        return path

    def run_client(self, *command):
        kept = {name: value for name, value in os.environ.items() if not name.startswith('OS_')}
        return subprocess.run(
            [str(word) for word in command],
            check=False,
            stdin=self.terminal,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=kept | {'HOME': str(self.directory), 'COLUMNS': '200'},
            timeout=120,
        )

    def succeed(self, *words):
        done = self.run_client(*self.client, *words)
        self.assertEqual(0, done.returncode, f'{words}\n{done.stdout}\n{done.stderr}')
        return done.stdout

    def refused(self, sentence, *words):
        done = self.run_client(*self.client, *words)
        self.assertNotEqual(0, done.returncode, f'{words}\n{done.stdout}')
        printed = ' '.join((done.stdout + done.stderr).split())
        self.assertIn(sentence, printed)
        self.assertNotIn('Traceback', printed)

    def wait_status(self, image_id, status):
        def is_there():
            found = self.cloud.parts.services.db.read(lambda tx: tx.images.find(image_id))
            return found.status.value == status

        wait_until(is_there, f'the image is {status}')


class OpenStackClientTest(CommandLineTest):
    """python-openstackclient: `openstack image ...`."""

    def setUp(self):
        super().setUp()
        self.client = (
            commands.BIN / 'openstack',
            '--os-auth-type',
            'none',
            '--os-endpoint',
            self.cloud.url,
            'image',
        )

    def json(self, *words):
        return json.loads(self.succeed(*words, '-f', 'json'))

    def create(self, name, *words):
        return self.json('create', *RAW, *words, name)['id']

    def test_upload_show_change_download_delete(self):
        created = self.json('create', *RAW, '--file', self.file(DATA), 'server')
        self.assertEqual(('active', len(DATA)), (created['status'], created['size']))
        image_id = created['id']
        self.succeed('set', '--name', 'renamed', '--property', 'hw_disk_bus=scsi', image_id)
        shown = self.json('show', 'renamed')
        self.assertEqual((image_id, 'scsi'), (shown['id'], shown['properties']['hw_disk_bus']))
        self.succeed('unset', '--property', 'hw_disk_bus', image_id)
        self.assertNotIn('hw_disk_bus', self.json('show', image_id)['properties'])
        self.assertEqual([image_id], [row['ID'] for row in self.json('list', '--name', 'renamed')])
        self.succeed('save', '--file', 'saved', image_id)
        self.assertEqual(DATA, (self.directory / 'saved').read_bytes())
        self.succeed('delete', image_id)
        self.refused('No Image found', 'show', image_id)

    def test_staged_data_are_imported(self):
        image_id = self.create('staged')
        self.succeed('stage', '--file', self.file(DATA), image_id)
        self.succeed('import', '--method', 'glance-direct', '--all-stores', image_id)
        self.wait_status(image_id, 'active')
        self.succeed('save', '--file', 'saved', image_id)
        self.assertEqual(DATA, (self.directory / 'saved').read_bytes())

    def test_a_url_is_imported_to_a_store(self):
        self.cloud.source.serve('/openstack', DATA)
        image_id = self.create('fetched')
        uri = self.cloud.source.url('/openstack')
        self.succeed('import', image_id, '--method', 'web-download', '--uri', uri, '--store', 'cheap')
        self.wait_status(image_id, 'active')
        self.assertEqual('cheap', self.json('show', image_id)['properties']['stores'])

    def test_what_is_there(self):
        self.assertEqual(['fast', 'cheap'], [row['ID'] for row in self.json('stores', 'list')])
        self.assertIn('web-download', str(self.json('import', 'info')))

    def test_400(self):
        image_id = self.create('bad')
        self.refused('-1 is less than the minimum of 0', 'set', '--min-disk', '-1', image_id)

    def test_403(self):
        image_id = self.create('protected', '--protected')
        self.refused(f'Image {image_id} is protected and cannot be deleted.', 'delete', image_id)
        self.refused("Attribute 'os_glance_x' is reserved.", 'set', '--property', 'os_glance_x=1', image_id)

    def test_404(self):
        """The client says it in its own words: it looks for names too."""
        self.refused(f'No Image found for {NOWHERE}', 'show', NOWHERE)

    def test_409(self):
        image_id = self.create('taken')
        self.refused(f'Image ID {image_id} already exists.', 'create', '--id', image_id, *RAW, 'again')

    def test_413(self):
        large = self.file(bytes(CAP + 1))
        self.refused(f'{CAP} bytes', 'create', *RAW, '--file', large, 'large')

    def test_415(self):
        self.refused(
            "The image is declared as 'raw' but its content is 'qcow2'.",
            'create',
            *RAW,
            '--file',
            self.file(QCOW2),
            'liar',
        )


class GlanceCommandTest(CommandLineTest):
    """python-glanceclient: `glance ...`."""

    def setUp(self):
        super().setUp()
        self.client = (commands.BIN / 'glance', '--os-image-url', self.cloud.url, '--os-auth-token', 'unused')

    def create(self, *words):
        return self._field(self.succeed('image-create', *RAW, *words), 'id')

    def _field(self, printed, name):
        rows = [line.split('|') for line in printed.splitlines() if line.startswith('|')]
        return next(row[2].strip() for row in rows if row[1].strip() == name)

    def test_create_import_show_download_delete(self):
        image_id = self.create('--name', 'by glance')
        self.succeed('image-stage', '--file', self.file(DATA), image_id)
        self.succeed('image-import', '--import-method', 'glance-direct', '--stores', 'fast,cheap', image_id)
        self.wait_status(image_id, 'active')
        self.succeed('image-update', '--name', 'renamed by glance', '--property', 'a=b', image_id)
        shown = self.succeed('image-show', image_id)
        self.assertEqual(('active', 'b'), (self._field(shown, 'status'), self._field(shown, 'a')))
        self.assertIn('renamed by glance', self.succeed('image-list'))
        self.succeed('image-download', '--file', 'saved', image_id)
        self.assertEqual(DATA, (self.directory / 'saved').read_bytes())
        wait_until(lambda: 'success' in self.succeed('image-tasks', image_id), 'the task succeeds')
        self.assertIn('cheap', self.succeed('stores-info'))
        self.succeed('image-delete', image_id)
        self.refused(f'Image {image_id} could not be found.', 'image-show', image_id)

    def test_errors_are_printed(self):
        image_id = self.create('--protected', 'True')
        self.refused(
            'does not pass filtering',
            'image-import',
            '--import-method',
            'web-download',
            '--uri',
            'http://10.0.0.1/image',
            image_id,
        )
        # Of a refused delete the client says no more than that.
        self.refused(f"You are not permitted to delete the image '{image_id}'.", 'image-delete', image_id)
        self.refused(
            "Attribute 'os_glance_x' is reserved.", 'image-update', '--property', 'os_glance_x=1', image_id
        )
        self.refused(f'Image {NOWHERE} could not be found.', 'image-show', NOWHERE)
        self.refused(f'Image ID {image_id} already exists.', 'image-create', '--id', image_id, *RAW)
        self.refused(f'{CAP} bytes', 'image-upload', '--file', self.file(bytes(CAP + 1)), image_id)
        self.refused(
            "declared as 'raw' but its content is 'qcow2'",
            'image-upload',
            '--file',
            self.file(QCOW2),
            image_id,
        )
