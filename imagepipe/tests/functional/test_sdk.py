"""openstacksdk, unmodified, does everything it can with the image service, with a real Keystone."""

import ast
import hashlib
import inspect
import pathlib
from typing import ClassVar

import testscenarios
import testtools
from openstack import connection, proxy
from openstack import exceptions as sdk_errors
from openstack.image.v2 import _proxy

from imagepipe.tests.fixtures.caching import NODE
from imagepipe.tests.fixtures.client_clouds import CAP, ClientsCase, databases
from imagepipe.tests.fixtures.command_rows import CPUS, DATA, NOWHERE, QCOW2, SERVER
from imagepipe.tests.fixtures.workers import wait_until

load_tests = testscenarios.load_tests_apply_scenarios

RAW = {'disk_format': 'raw', 'container_format': 'bare'}
DIGEST = {'os_hash_algo': 'sha256', 'os_hash_value': hashlib.sha256(DATA).hexdigest()}


class SdkTest(ClientsCase):
    scenarios = [(kind, {'database_kind': kind}) for kind in databases(0)]
    #: (user, database): connections are made once.
    connections: ClassVar[dict[tuple[str, str], connection.Connection]] = {}

    def setUp(self):
        super().setUp()
        self.images = self.by('alice')

    def by(self, user):
        """The image service, as a user's connection has it."""
        known = (user, self.database_kind)
        if known not in self.connections:
            made = connection.Connection(session=self.clouds.session(user), region_name=self.database_kind)
            self.addClassCleanup(made.close)
            self.connections[known] = made
        return self.connections[known].image

    def queued(self, **attributes):
        return self.images.create_image('image', allow_duplicates=True, **RAW, **attributes)

    def active(self, name='image'):
        return self.images.create_image(name, data=DATA, wait=True, allow_duplicates=True, **RAW)

    def wait_active(self, image):
        return self.images.wait_for_status(image, 'active', interval=0.1, wait=60)

    # Images.

    def test_images(self):
        images = self.images
        image = images.create_image('server', data=DATA, validate_checksum=True, wait=True, **RAW)
        found = images.get_image(image.id)
        self.assertEqual(('active', len(DATA), 'raw'), (found.status, found.size, found.disk_format))
        images.update_image(image.id, name='renamed by the SDK', hw_disk_bus='scsi', tags=['one', 'two'])
        images.update_image_properties(images.get_image(image.id), hw_vif_model='virtio')
        images.add_tag(image.id, 'three')
        images.remove_tag(image.id, 'one')
        found = images.find_image('renamed by the SDK')
        self.assertEqual(
            ('scsi', 'virtio', ['three', 'two']),
            (found.hw_disk_bus, found.hw_vif_model, sorted(found.tags)),
        )
        self.assertEqual([image.id], [each.id for each in images.images(name='renamed by the SDK')])
        self.assertEqual(DATA, images.download_image(image.id).content)
        images.deactivate_image(image.id)
        self.assertEqual('deactivated', images.get_image(image.id).status)
        images.reactivate_image(image.id)
        self.assertEqual('active', images.get_image(image.id).status)
        images.delete_image(image.id, ignore_missing=False)
        images.wait_for_delete(found, interval=0.1)
        self.assertRaises(sdk_errors.NotFoundException, images.get_image, image.id)

    def test_upload_as_it_once_was(self):
        image = self.images.upload_image(name='old', data=DATA, **RAW)
        self.assertEqual('active', self.images.get_image(image.id).status)

    def test_members(self):
        images, image = self.images, self.active()
        theirs = self.clouds.keystone.project('theirs')
        images.add_member(image, member_id=theirs)
        member = images.get_member(theirs, image)
        self.assertEqual((theirs, 'pending'), (member.member_id, member.status))
        self.by('bob').update_member(theirs, image, status='accepted')
        self.assertEqual(['accepted'], [each.status for each in images.members(image)])
        self.assertEqual(theirs, images.find_member(theirs, image).member_id)
        self.assertIn(image.id, [each.id for each in self.by('bob').images(visibility='shared')])
        images.remove_member(theirs, image, ignore_missing=False)
        self.refused(
            sdk_errors.NotFoundException,
            f'Project {theirs} is not a member of image {image.id}.',
            images.get_member,
            theirs,
            image.id,
        )

    # Imports.

    def test_staged_data_are_imported(self):
        image = self.queued()
        self.images.stage_image(image, data=DATA)
        stores = [store for store in self.images.stores() if store.id != 'web']
        self.images.import_image(image, method='glance-direct', stores=stores)
        self.wait_active(image)
        self.assertEqual(DATA, self.images.download_image(image.id).content)
        stores = self.images.get_image(image.id).properties['stores'].split(',')
        self.assertEqual({'fast', 'cheap'}, set(stores))
        wait_until(lambda: self._tasks(image) == [('api_image_import', 'success')], 'the task succeeds')

    def _tasks(self, image):
        return [(task.type, task.status) for task in self.images.image_tasks(image.id)]

    def test_create_by_import(self):
        image = self.images.create_image('imported', data=DATA, use_import=True, wait=True, **RAW)
        self.wait_active(image)

    def test_a_url_is_imported_and_copied(self):
        image = self.queued()
        response = self.images.import_image(image, method='web-download', uri=self.served())
        self.assertEqual(202, response.status_code)
        self.wait_active(image)
        self.assertEqual(DATA, self.images.download_image(image.id).content)
        response = self.by('admin').import_image(image, method='copy-image', stores=[self.store('cheap')])
        self.assertEqual(202, response.status_code)
        self.wait_stores(image, 'cheap', 'fast')

    def store(self, name):
        return next(store for store in self.images.stores() if store.id == name)

    def wait_stores(self, image, *stores):
        def there():
            return tuple(sorted(self.images.get_image(image.id).properties['stores'].split(',')))

        wait_until(lambda: there() == stores, f'the image is in {stores}')

    def served(self):
        """A URL with the data."""
        path = f'/{self.getUniqueString()}'
        self.cloud.source.serve(path, DATA)
        return self.cloud.source.url(path)

    def test_tasks(self):
        images = self.by('admin')
        given = {'import_from': self.served(), 'import_from_format': 'raw', 'image_properties': RAW}
        task = images.create_task(type='import', input=given)
        images.wait_for_task(task, status='success', interval=0.1, wait=60)
        self.assertEqual('success', images.get_task(task).status)
        self.assertIn(task.id, [each.id for each in images.tasks()])
        self.refused(
            sdk_errors.ForbiddenException,
            'You are not authorized to complete tasks_api_access action.',
            lambda: list(self.images.tasks()),
        )

    def test_what_is_there(self):
        self.assertEqual(
            [('fast', True), ('cheap', None), ('web', None)],
            [(store.id, store.is_default) for store in self.images.stores()],
        )
        methods = self.images.get_import_info().import_methods['value']
        self.assertEqual(['glance-direct', 'web-download', 'glance-download', 'copy-image'], methods)

    # Locations and the cache.

    def test_locations(self):
        url, image = self.served(), self.queued()
        self.images.add_image_location(image, url, validation_data=DIGEST)
        found = self.wait_active(image)
        found = self.images.get_image(image.id)
        self.assertEqual(
            ('sha256', DIGEST['os_hash_value'], 'web'),
            (found.hash_algo, found.hash_value, found.properties['stores']),
        )
        (location,) = self.by('admin').image_locations(image)
        self.assertEqual((url, {'store': 'web'}), (location.url, location.metadata))
        self.assertEqual(DATA, self.images.download_image(image.id).content)
        self.refused(
            sdk_errors.ConflictException,
            "Image status is 'active'",
            self.images.add_image_location,
            image,
            self.served(),
        )
        self.refused(
            sdk_errors.ForbiddenException,
            'You are not authorized to complete fetch_image_location action.',
            lambda: list(self.images.image_locations(image)),
        )

    def test_cache(self):
        images, image = self.by('admin'), self.active()
        images.queue_image(image.id)
        wait_until(lambda: image.id in self.cached(), 'the image is cached')
        self.assertEqual([NODE], images.cached_image_nodes(image.id))
        images.clean_cache()
        self.assertEqual(0, images.prune_cache()['total_files_pruned'])
        images.cache_delete_image(image.id)
        images.clear_cache('both')
        self.assertEqual(set(), self.cached())

    def cached(self):
        return {copy.image_id for copy in self.by('admin').get_image_cache().cached_images}

    # What is refused is told.

    def refused(self, error, sentence, call, *args, **kwargs):
        self.assertIn(sentence, str(self.assertRaises(error, call, *args, **kwargs)))

    def test_refusals(self):
        image = self.queued(is_protected=True)
        create, delete = self.images.create_image, self.images.delete_image
        self.refused(
            sdk_errors.BadRequestException,
            "'punched-cards' is not one of",
            create,
            'cards',
            disk_format='punched-cards',
            container_format='bare',
        )
        sentence = f'Image {image.id} is protected and cannot be deleted.'
        self.refused(sdk_errors.ForbiddenException, sentence, delete, image.id)
        sentence = f'Image {NOWHERE} could not be found.'
        self.refused(sdk_errors.NotFoundException, sentence, self.images.get_image, NOWHERE)
        sentence = f'Image ID {image.id} already exists.'
        self.refused(
            sdk_errors.ConflictException, sentence, create, 'again', id=image.id, allow_duplicates=True
        )
        sentence = f'{CAP} bytes'
        self.refused(sdk_errors.HttpException, sentence, create, 'large', data=bytes(CAP + 1), **RAW)
        sentence = "The image is declared as 'raw' but its content is 'qcow2'."
        self.refused(sdk_errors.HttpException, sentence, create, 'liar', data=QCOW2, **RAW)
        # The SDK hands the response over, whatever it says.
        response = self.images.import_image(image, method='glance-direct')
        self.assertEqual(409, response.status_code)
        self.assertIn("import method glance-direct needs 'uploading'", response.text)

    # Metadata definitions.

    def test_namespaces(self):
        images = self.by('admin')
        space = images.create_metadef_namespace(namespace='OS::SDK', visibility='public', display_name='SDK')
        self.assertEqual(
            ('OS::SDK', 'public', False), (space.namespace, space.visibility, space.is_protected)
        )
        images.update_metadef_namespace(space, description='Changed', is_protected=True)
        found = images.get_metadef_namespace('OS::SDK')
        self.assertEqual(('Changed', True), (found.description, found.is_protected))
        self.refused(
            sdk_errors.ForbiddenException,
            "'OS::SDK' is protected",
            images.delete_metadef_namespace,
            found,
            ignore_missing=False,
        )
        images.update_metadef_namespace(found, visibility='public', is_protected=False)
        self.assertIn('OS::SDK', [each.namespace for each in self.images.metadef_namespaces(limit=1)])
        images.create_metadef_resource_type_association('OS::SDK', name=SERVER, prefix='hw:')
        (associated,) = images.metadef_resource_type_associations('OS::SDK')
        self.assertEqual((SERVER, 'hw:'), (associated.name, associated.prefix))
        self.assertIn(SERVER, [each.name for each in images.metadef_resource_types()])
        images.delete_metadef_resource_type_association(associated, 'OS::SDK', ignore_missing=False)

        found.set_tags(images, ['one', 'two'])
        found.set_tags(images, ['three'], append=True)
        images.add_tag_to_metadef_namespace('OS::SDK', 'four')
        images.remove_tag_from_metadef_namespace('OS::SDK', 'one')
        tags = self.cloud.call(
            'GET', '/v2/metadefs/namespaces/OS::SDK/tags', token=self.clouds.tokens['alice']
        )
        self.assertEqual(['four', 'three', 'two'], [tag['name'] for tag in tags.json()['tags']])
        images.remove_tags_from_metadef_namespace('OS::SDK')
        images.delete_metadef_namespace('OS::SDK', ignore_missing=False)
        self.assertRaises(sdk_errors.NotFoundException, images.get_metadef_namespace, 'OS::SDK')

    def test_what_is_in_namespaces(self):
        images = self.by('admin')
        images.create_metadef_namespace(namespace='OS::In', visibility='public')
        images.create_metadef_object('OS::In', name='box', description='A box', properties={'cpus': CPUS})
        box = images.get_metadef_object('box', 'OS::In')
        self.assertEqual(({'cpus': CPUS}, []), (box.properties, box.required))
        images.update_metadef_object('box', 'OS::In', name='crate')
        self.assertEqual(['crate'], [each.name for each in self.images.metadef_objects('OS::In')])

        images.create_metadef_property('OS::In', name='cpus', **CPUS)
        images.update_metadef_property('cpus', 'OS::In', name='cpus', title='Cores', type='integer')
        self.assertEqual('Cores', images.get_metadef_property('cpus', 'OS::In').title)
        self.assertEqual(['cpus'], [each.name for each in self.images.metadef_properties('OS::In')])

        images.delete_metadef_object('crate', 'OS::In', ignore_missing=False)
        images.delete_all_metadef_objects('OS::In')
        images.delete_metadef_property('cpus', 'OS::In', ignore_missing=False)
        images.delete_all_metadef_properties('OS::In')
        images.delete_metadef_namespace('OS::In', ignore_missing=False)

    def test_schemas(self):
        images = self.images
        for schema in (
            images.get_image_schema(), images.get_images_schema(), images.get_member_schema(),
            images.get_members_schema(), images.get_task_schema(), images.get_tasks_schema(),
            images.get_metadef_namespace_schema(), images.get_metadef_namespaces_schema(),
            images.get_metadef_object_schema(), images.get_metadef_objects_schema(),
            images.get_metadef_property_schema(), images.get_metadef_properties_schema(),
            images.get_metadef_tag_schema(), images.get_metadef_tags_schema(),
            images.get_metadef_resource_type_schema(), images.get_metadef_resource_types_schema(),
        ):  # fmt: skip
            self.assertTrue(schema.properties, schema)


class WholeTest(testtools.TestCase):
    def test_every_call_of_the_sdk_is_made(self):
        """Above, somewhere: a call that a new release brings fails here."""
        calls = {name for name in vars(_proxy.Proxy) if not name.startswith('_')}
        calls = {name for name in calls if inspect.isfunction(getattr(_proxy.Proxy, name))}
        calls -= set(dir(proxy.Proxy))
        tree = ast.parse(pathlib.Path(__file__).read_text())
        made = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        self.assertEqual(set(), calls - made)
