"""The Python clients of OpenStack, unmodified, against a running imagepipe."""

import io
from typing import ClassVar

import glanceclient
import openstack
from glanceclient import exc as glance_errors
from openstack import exceptions as sdk_errors

from imagepipe.tests.fixtures.cloud import SharedCloudTest
from imagepipe.tests.fixtures.workers import wait_until

CAP = 1 << 20
NOWHERE = '6f4f6d0e-3f0e-4c5b-9d5e-2a6f4b7f3c11'
#: The head of a qcow2 image of version 3, as much of it as is looked at.
QCOW2 = b'QFI\xfb\0\0\0\3' + bytes(4088)
RAW = {'disk_format': 'raw', 'container_format': 'bare'}
DATA = bytes(range(256)) * 100


class SdkTest(SharedCloudTest):
    """openstacksdk."""

    overrides: ClassVar = {'image_size_cap': CAP}

    def setUp(self):
        super().setUp()
        connection = openstack.connect(
            load_yaml_config=False, load_envvars=False, auth_type='none', endpoint=self.cloud.url
        )
        self.addCleanup(connection.close)
        self.images = connection.image

    def queued(self, **attributes):
        return self.images.create_image('image', allow_duplicates=True, **RAW, **attributes)

    def wait_status(self, image, status):
        wait_until(lambda: self.images.get_image(image.id).status == status, f'the image is {status}')

    def test_upload_show_change_download_delete(self):
        image = self.images.create_image('server', data=DATA, validate_checksum=True, wait=True, **RAW)
        found = self.images.get_image(image.id)
        self.assertEqual(('active', len(DATA), 'raw'), (found.status, found.size, found.disk_format))
        self.images.update_image(image.id, name='renamed by the SDK', hw_disk_bus='scsi', tags=['one', 'two'])
        found = self.images.find_image('renamed by the SDK')
        self.assertEqual(('scsi', ['one', 'two']), (found.hw_disk_bus, sorted(found.tags)))
        self.assertEqual([image.id], [each.id for each in self.images.images(name='renamed by the SDK')])
        self.assertEqual(DATA, self.images.download_image(image.id).content)
        self.images.delete_image(image.id, ignore_missing=False)
        self.assertRaises(sdk_errors.NotFoundException, self.images.get_image, image.id)

    def test_staged_data_are_imported(self):
        image = self.queued()
        self.images.stage_image(image, data=DATA)
        self.images.import_image(image, method='glance-direct', stores=list(self.images.stores()))
        self.wait_status(image, 'active')
        self.assertEqual(DATA, self.images.download_image(image.id).content)
        stores = self.images.get_image(image.id).properties['stores'].split(',')
        self.assertEqual({'fast', 'cheap'}, set(stores))
        wait_until(lambda: self._tasks(image) == [('api_image_import', 'success')], 'the task succeeds')

    def _tasks(self, image):
        return [(task.type, task.status) for task in self.images.image_tasks(image.id)]

    def test_create_by_import(self):
        image = self.images.create_image('imported', data=DATA, use_import=True, wait=True, **RAW)
        self.wait_status(image, 'active')

    def test_a_url_is_imported(self):
        self.cloud.source.serve('/image', DATA)
        image = self.queued()
        response = self.images.import_image(
            image, method='web-download', uri=self.cloud.source.url('/image'), all_stores=True
        )
        self.assertEqual(202, response.status_code)
        self.wait_status(image, 'active')
        self.assertEqual(DATA, self.images.download_image(image.id).content)

    def test_what_is_there(self):
        self.assertEqual(
            [('fast', True), ('cheap', None)],
            [(store.id, store.is_default) for store in self.images.stores()],
        )
        methods = self.images.get_import_info().import_methods['value']
        self.assertEqual(['glance-direct', 'web-download'], methods)

    def refused(self, error, sentence, call, *args, **kwargs):
        self.assertIn(sentence, str(self.assertRaises(error, call, *args, **kwargs)))

    def test_a_body_that_is_not_valid_is_told(self):
        self.refused(
            sdk_errors.BadRequestException,
            "'punched-cards' is not one of",
            self.images.create_image,
            'image',
            disk_format='punched-cards',
            container_format='bare',
        )

    def test_a_protected_image_is_told(self):
        image = self.queued(is_protected=True)
        self.refused(
            sdk_errors.ForbiddenException,
            f'Image {image.id} is protected and cannot be deleted.',
            self.images.delete_image,
            image.id,
        )

    def test_a_missing_image_is_told(self):
        self.refused(
            sdk_errors.NotFoundException,
            f'Image {NOWHERE} could not be found.',
            self.images.get_image,
            NOWHERE,
        )

    def test_a_conflict_is_told(self):
        image = self.queued()
        self.refused(
            sdk_errors.ConflictException,
            f'Image ID {image.id} already exists.',
            self.images.create_image,
            'again',
            id=image.id,
            allow_duplicates=True,
        )

    def test_data_over_the_cap_are_told(self):
        self.refused(
            sdk_errors.HttpException,
            f'{CAP} bytes',
            self.images.create_image,
            'large',
            data=bytes(CAP + 1),
            **RAW,
        )

    def test_a_lie_about_the_format_is_told(self):
        self.refused(
            sdk_errors.HttpException,
            "The image is declared as 'raw' but its content is 'qcow2'.",
            self.images.create_image,
            'liar',
            data=QCOW2,
            **RAW,
        )

    def test_a_refused_import_is_told(self):
        """The SDK hands the response over, whatever it says."""
        response = self.images.import_image(self.queued(), method='glance-direct')
        self.assertEqual(409, response.status_code)
        self.assertIn("import method glance-direct needs 'uploading'", response.text)


class GlanceclientTest(SharedCloudTest):
    """python-glanceclient, as Nova, Cinder and Horizon use it."""

    overrides: ClassVar = {'image_size_cap': CAP}

    def setUp(self):
        super().setUp()
        self.images = glanceclient.Client('2', endpoint=self.cloud.url, token='unused').images

    def wait_status(self, image_id, status):
        wait_until(lambda: self.images.get(image_id).status == status, f'the image is {status}')

    def download(self, image_id):
        return b''.join(self.images.data(image_id))

    def test_upload_show_change_download_delete(self):
        image = self.images.create(name='server', **RAW)
        self.images.upload(image.id, io.BytesIO(DATA))
        found = self.images.get(image.id)
        self.assertEqual(('active', len(DATA)), (found.status, found.size))
        self.images.update(image.id, name='renamed', hw_disk_bus='scsi')
        self.images.update(image.id, remove_props=['hw_disk_bus'])
        (found,) = self.images.list(filters={'name': 'renamed'})
        self.assertNotIn('hw_disk_bus', found)
        # glanceclient checks the digest while it reads.
        self.assertEqual(DATA, self.download(image.id))
        self.images.delete(image.id)
        self.refused(404, image.id, self.images.get, image.id)

    def test_staged_data_are_imported(self):
        image = self.images.create(**RAW)
        self.images.stage(image.id, io.BytesIO(DATA))
        self.assertEqual('uploading', self.images.get(image.id).status)
        self.images.image_import(image.id, 'glance-direct', stores=['cheap', 'fast'])
        self.wait_status(image.id, 'active')
        self.assertEqual(DATA, self.download(image.id))
        wait_until(lambda: self._tasks(image.id) == ['success'], 'the task succeeds')

    def _tasks(self, image_id):
        return [task['status'] for task in self.images.get_associated_image_tasks(image_id)['tasks']]

    def test_a_url_is_imported(self):
        self.cloud.source.serve('/image', DATA)
        image = self.images.create(**RAW)
        self.images.image_import(image.id, 'web-download', uri=self.cloud.source.url('/image'))
        self.wait_status(image.id, 'active')
        self.assertEqual(DATA, self.download(image.id))

    def test_what_is_there(self):
        self.assertEqual(
            {'stores': [{'id': 'fast', 'default': 'true'}, {'id': 'cheap'}]}, self.images.get_stores_info()
        )
        self.assertEqual(
            ['glance-direct', 'web-download'], self.images.get_import_info()['import-methods']['value']
        )

    def refused(self, status, sentence, call, *args, **kwargs):
        error = self.assertRaises(glance_errors.HTTPException, call, *args, **kwargs)
        self.assertIn(f'HTTP {status} ', str(error))
        self.assertIn(sentence, str(error))

    def test_errors_are_told(self):
        image = self.images.create(protected=True, **RAW)
        self.refused(
            400,
            'does not pass filtering',
            self.images.image_import,
            image.id,
            'web-download',
            uri='http://10.0.0.1/image',
        )
        self.refused(
            403, f'Image {image.id} is protected and cannot be deleted.', self.images.delete, image.id
        )
        self.refused(404, f'Image {NOWHERE} could not be found.', self.images.get, NOWHERE)
        self.refused(409, f'Image ID {image.id} already exists.', self.images.create, id=image.id)
        self.refused(413, f'{CAP} bytes', self.images.upload, image.id, io.BytesIO(bytes(CAP + 1)))
        self.refused(
            415,
            "declared as 'raw' but its content is 'qcow2'",
            self.images.upload,
            image.id,
            io.BytesIO(QCOW2),
        )
