"""python-glanceclient, unmodified, as Nova, Cinder and Horizon use it, with a real Keystone."""

import ast
import inspect
import io
import pathlib

import glanceclient
import testscenarios
import testtools
from glanceclient import exc as glance_errors

from imagepipe.tests.fixtures.caching import NODE
from imagepipe.tests.fixtures.client_clouds import CAP, ClientsCase, databases
from imagepipe.tests.fixtures.command_rows import CPUS, DATA, NOWHERE, QCOW2, SERVER
from imagepipe.tests.fixtures.workers import wait_until

load_tests = testscenarios.load_tests_apply_scenarios

RAW = {'disk_format': 'raw', 'container_format': 'bare'}
#: Of the controllers: what asks no service.
WITHOUT = {'cache.is_supported'}


class GlanceclientTest(ClientsCase):
    scenarios = [(kind, {'database_kind': kind}) for kind in databases(1)]

    def setUp(self):
        super().setUp()
        self.glance = self.by('alice')

    def by(self, user):
        return glanceclient.Client('2', session=self.clouds.session(user), region_name=self.database_kind)

    def active(self):
        image_id = self.glance.images.create(name='glanceclient', **RAW).id
        self.glance.images.upload(image_id, io.BytesIO(DATA))
        return image_id

    def wait_status(self, image_id, status):
        wait_until(lambda: self.glance.images.get(image_id).status == status, f'the image is {status}')

    def download(self, image_id):
        return b''.join(self.glance.images.data(image_id))

    def served(self):
        """A URL with the data."""
        path = f'/{self.getUniqueString()}'
        self.cloud.source.serve(path, DATA)
        return self.cloud.source.url(path)

    def refused(self, status, sentence, call, *args, **kwargs):
        error = self.assertRaises(glance_errors.HTTPException, call, *args, **kwargs)
        self.assertIn(f'HTTP {status} ', str(error))
        self.assertIn(sentence, str(error))

    def test_images(self):
        glance, image_id = self.glance, self.active()
        found = glance.images.get(image_id)
        self.assertEqual(('active', len(DATA)), (found.status, found.size))
        glance.images.update(image_id, name='renamed', hw_disk_bus='scsi')
        glance.images.update(image_id, remove_props=['hw_disk_bus'])
        glance.image_tags.update(image_id, 'one')
        glance.image_tags.update(image_id, 'two')
        glance.image_tags.delete(image_id, 'one')
        (found,) = glance.images.list(filters={'name': 'renamed'})
        self.assertNotIn('hw_disk_bus', found)
        self.assertEqual(['two'], found['tags'])
        # glanceclient checks the digest while it reads.
        self.assertEqual(DATA, self.download(image_id))
        glance.images.deactivate(image_id)
        self.refused(403, 'is deactivated; its data cannot be downloaded', self.download, image_id)
        glance.images.reactivate(image_id)
        glance.images.delete(image_id)
        self.refused(404, image_id, glance.images.get, image_id)

    def test_members(self):
        glance, bob, image_id = self.glance, self.by('bob'), self.active()
        theirs = self.clouds.keystone.project('theirs')
        self.assertEqual('pending', glance.image_members.create(image_id, theirs)['status'])
        self.assertEqual('pending', bob.image_members.get(image_id, theirs)['status'])
        self.assertEqual('accepted', bob.image_members.update(image_id, theirs, 'accepted')['status'])
        self.assertEqual([theirs], [each['member_id'] for each in glance.image_members.list(image_id)])
        shared = bob.images.list(filters={'visibility': 'shared', 'member_status': 'accepted'})
        self.assertIn(image_id, [image.id for image in shared])
        glance.image_members.delete(image_id, theirs)
        self.refused(404, f'Image {image_id} could not be found.', bob.images.get, image_id)

    def test_staged_data_are_imported(self):
        glance = self.glance
        image_id = glance.images.create(**RAW).id
        glance.images.stage(image_id, io.BytesIO(DATA))
        self.assertEqual('uploading', glance.images.get(image_id).status)
        glance.images.image_import(image_id, 'glance-direct', stores=['cheap', 'fast'])
        self.wait_status(image_id, 'active')
        self.assertEqual(DATA, self.download(image_id))
        wait_until(lambda: self._tasks(image_id) == ['success'], 'the task succeeds')

    def _tasks(self, image_id):
        return [task['status'] for task in self.glance.images.get_associated_image_tasks(image_id)['tasks']]

    def test_a_url_is_imported(self):
        image_id = self.glance.images.create(**RAW).id
        self.glance.images.image_import(image_id, 'web-download', uri=self.served())
        self.wait_status(image_id, 'active')
        self.assertEqual(DATA, self.download(image_id))

    def test_what_is_there(self):
        glance, admin = self.glance, self.by('admin')
        stores = [{'id': 'fast', 'default': 'true'}, {'id': 'cheap'}, {'id': 'web', 'read-only': 'true'}]
        self.assertEqual({'stores': stores}, glance.images.get_stores_info())
        details = admin.images.get_stores_info_detail()['stores']
        self.assertEqual(['file', 'file', 'http'], [store['type'] for store in details])
        self.assertEqual(
            ['glance-direct', 'web-download', 'glance-download', 'copy-image'],
            glance.images.get_import_info()['import-methods']['value'],
        )
        self.assertIn('image_count_total', glance.info.get_usage())
        self.assertIn('v2.17', [version['id'] for version in glance.versions.list()])
        self.assertEqual('image', glance.schemas.get('image').name)

    def test_tasks(self):
        admin = self.by('admin')
        given = {'import_from': self.served(), 'import_from_format': 'raw', 'image_properties': RAW}
        task_id = admin.tasks.create(type='import', input=given).id
        wait_until(lambda: admin.tasks.get(task_id).status == 'success', 'the task succeeds')
        self.assertIn(task_id, [task.id for task in admin.tasks.list()])

    def test_locations(self):
        glance, admin = self.glance, self.by('admin')
        url, second = self.served(), self.served()
        image_id = glance.images.create(name='located', **RAW).id
        glance.images.add_image_location(image_id, url, {})
        self.wait_status(image_id, 'active')
        self.assertEqual([url], [location['url'] for location in admin.images.get_image_locations(image_id)])
        wait_until(lambda: glance.images.get(image_id)['os_hash_value'], 'the image is hashed')
        wait_until(lambda: 'os_glance_import_task' not in glance.images.get(image_id), 'the import has ended')
        glance.images.add_location(image_id, second, {'note': 'mine'})
        found = glance.images.update_location(image_id, second, {'note': 'ours'})
        self.assertEqual(
            {url: {'store': 'web'}, second: {'note': 'ours', 'store': 'web'}},
            {location['url']: location['metadata'] for location in found['locations']},
        )
        admin.images.delete_locations(image_id, {url})
        left = glance.images.get(image_id)['locations']
        self.assertEqual([second], [location['url'] for location in left])
        self.refused(403, 'must keep at least one', admin.images.delete_locations, image_id, {second})
        admin.images.image_import(image_id, 'copy-image', stores=['cheap'])
        wait_until(lambda: 'cheap' in glance.images.get(image_id)['stores'], 'the image is copied')
        admin.images.delete_from_store('web', image_id)
        self.assertEqual('cheap', glance.images.get(image_id)['stores'])
        self.assertEqual(DATA, self.download(image_id))

    def test_cache(self):
        admin, image_id = self.by('admin'), self.active()
        admin.cache.queue(image_id)
        wait_until(lambda: image_id in str(admin.cache.list()['cached_images']), 'the image is cached')
        self.assertEqual([NODE], list(admin.cache.list_cached_nodes(image_id)))
        admin.cache.clean()
        self.assertEqual(0, admin.cache.prune()['total_files_pruned'])
        admin.cache.delete(image_id)
        admin.cache.clear('both')
        self.assertEqual([], admin.cache.list()['cached_images'])

    def test_refusals(self):
        images = self.glance.images
        image_id = images.create(protected=True, **RAW).id
        uri = 'http://10.0.0.1/image'
        self.refused(400, 'does not pass filtering', images.image_import, image_id, 'web-download', uri=uri)
        self.refused(403, f'Image {image_id} is protected and cannot be deleted.', images.delete, image_id)
        self.refused(404, f'Image {NOWHERE} could not be found.', images.get, NOWHERE)
        self.refused(409, f'Image ID {image_id} already exists.', images.create, id=image_id)
        self.refused(413, f'{CAP} bytes', images.upload, image_id, io.BytesIO(bytes(CAP + 1)))
        sentence = "declared as 'raw' but its content is 'qcow2'"
        self.refused(415, sentence, images.upload, image_id, io.BytesIO(QCOW2))

    def test_namespaces(self):
        """It holds what it sends and gets against our schemas."""
        glance = self.by('admin')
        glance.metadefs_namespace.create(
            namespace='OS::G',
            visibility='public',
            properties={'cpus': {**CPUS, 'default': 5}},
            objects=[{'name': 'box', 'required': ['cpus'], 'properties': {'cpus': CPUS}}],
            tags=[{'name': 'one'}],
            resource_type_associations=[{'name': SERVER, 'prefix': 'hw:'}],
        )
        found = glance.metadefs_namespace.get('OS::G', resource_type=SERVER)
        self.assertEqual('5', found.properties['hw:cpus']['default'])
        # It sends everything back that it got.
        glance.metadefs_namespace.update('OS::G', display_name='Renamed', namespace='OS::H')
        self.assertEqual(['one'], [tag['name'] for tag in glance.metadefs_namespace.get('OS::H')['tags']])
        listed = self.glance.metadefs_namespace.list(sort_key='namespace', sort_dir='asc', page_size=1)
        self.assertIn('OS::H', [each.namespace for each in listed])
        filters = {'resource_types': [SERVER], 'visibility': 'public'}
        of_servers = glance.metadefs_namespace.list(filters=filters)
        self.assertEqual(['OS::H'], [each.namespace for each in of_servers])
        glance.metadefs_resource_type.associate('OS::H', name='OS::Cinder::Volume')
        associated = {each.name for each in glance.metadefs_resource_type.get('OS::H')}
        self.assertEqual({SERVER, 'OS::Cinder::Volume'}, associated)
        glance.metadefs_resource_type.deassociate('OS::H', 'OS::Cinder::Volume')
        known = [each.name for each in glance.metadefs_resource_type.list()]
        self.assertIn('OS::Cinder::Volume', known)
        self.refused(403, 'delete_metadef_namespace action', self.glance.metadefs_namespace.delete, 'OS::H')
        glance.metadefs_namespace.delete('OS::H')
        self.refused(404, "'OS::H' could not be found", glance.metadefs_namespace.get, 'OS::H')

    def test_what_is_in_namespaces(self):
        glance = self.by('admin')
        glance.metadefs_namespace.create(namespace='OS::J')
        glance.metadefs_object.create('OS::J', name='bag', properties={})
        glance.metadefs_object.update('OS::J', 'bag', name='sack', description='A sack')
        self.assertEqual('A sack', glance.metadefs_object.get('OS::J', 'sack').description)
        self.assertEqual(['sack'], [each.name for each in glance.metadefs_object.list('OS::J')])
        glance.metadefs_object.delete('OS::J', 'sack')
        glance.metadefs_object.delete_all('OS::J')

        glance.metadefs_property.create('OS::J', name='ram', title='RAM', type='number')
        glance.metadefs_property.update('OS::J', 'ram', title='Memory', minimum=1)
        found = glance.metadefs_property.get('OS::J', 'ram')
        self.assertEqual(('Memory', 1), (found.title, found.minimum))
        self.assertEqual(['ram'], [each.name for each in glance.metadefs_property.list('OS::J')])
        glance.metadefs_property.delete('OS::J', 'ram')
        glance.metadefs_property.delete_all('OS::J')

        # A generator; its append=True fails in the client itself.
        made = glance.metadefs_tag.create_multiple('OS::J', tags=['one', 'three'])
        self.assertEqual(['one', 'three'], [each.name for each in made])
        glance.metadefs_tag.create('OS::J', 'two')
        glance.metadefs_tag.update('OS::J', 'two', name='second')
        self.assertEqual('second', glance.metadefs_tag.get('OS::J', 'second').name)
        listed = [each.name for each in glance.metadefs_tag.list('OS::J')]
        self.assertEqual(['second', 'three', 'one'], listed)
        glance.metadefs_tag.delete('OS::J', 'one')
        glance.metadefs_tag.delete_all('OS::J')
        glance.metadefs_namespace.delete('OS::J')


class WholeTest(testtools.TestCase):
    def test_every_call_of_the_client_is_made(self):
        """Above, somewhere: a call that a new release brings fails here."""
        client = glanceclient.Client('2', endpoint='http://127.0.0.1:1', token='none')
        calls = {
            f'{noun}.{name}'
            for noun, controller in vars(client).items()
            if type(controller).__module__.startswith('glanceclient.v2.')
            for name, _ in inspect.getmembers(type(controller), inspect.isfunction)
            if not name.startswith('_')
        }
        self.assertEqual(WITHOUT, calls - set(self._chains()))

    def _chains(self):
        """noun.call, wherever it stands in this file; `images.get` too, where images is a name."""
        for node in ast.walk(ast.parse(pathlib.Path(__file__).read_text())):
            if isinstance(node, ast.Attribute):
                if isinstance(node.value, ast.Attribute):
                    yield f'{node.value.attr}.{node.attr}'
                elif isinstance(node.value, ast.Name):
                    yield f'{node.value.id}.{node.attr}'
