"""imagepipe-manage db import-glance, over databases that a real Glance 33 has made."""

import hashlib
import json

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.db import schema
from imagepipe.tests.fixtures.api import ApiFixture
from imagepipe.tests.fixtures.databases import DatabaseFixture
from imagepipe.tests.fixtures.glance_server import GlanceFixture
from imagepipe.tests.fixtures.services import write_config
from imagepipe.tests.unit.test_manage import called

OCTETS = {'Content-Type': 'application/octet-stream'}
RAW = {'disk_format': 'raw', 'container_format': 'bare'}
V21 = {'Content-Type': 'application/openstack-images-v2.1-json-patch'}
KEY = '0123456789abcdef0123456789abcdef'


def _untimed(shown):
    """Without times and the order of what is unordered: those of definitions are not taken over."""
    if isinstance(shown, dict):
        return {name: _untimed(value) for name, value in shown.items() if not name.endswith('_at')}
    if isinstance(shown, list):
        return sorted((_untimed(value) for value in shown), key=str)
    return shown


class ImportTest(testscenarios.WithScenarios, testtools.TestCase):
    """From SQLite to PostgreSQL, and from MariaDB with encrypted locations to MariaDB."""

    scenarios = [
        ('sqlite', {'theirs': 'sqlite', 'ours': 'postgresql', 'key': None}),
        ('mariadb', {'theirs': 'mariadb', 'ours': 'mariadb', 'key': KEY}),
    ]

    def setUp(self):
        super().setUp()
        database = self.useFixture(DatabaseFixture(self, self.theirs, create_schema=False))
        self.theirs_engine = database.engine
        overrides = {} if self.key is None else {'metadata_encryption_key': self.key}
        self.glance = self.useFixture(GlanceFixture(self, database.url, overrides))
        stores = {'fast.filesystem_store_datadir': self.glance.store('fast')}
        stores['cheap.filesystem_store_datadir'] = self.glance.store('slow')
        self.api = self.useFixture(ApiFixture(self, kind=self.ours, overrides=stores))

    def run_import(self, *words):
        """What the command says, as JSON, with its exit status."""
        found = called(self.config(), *self.words(), '--format', 'json', *words)
        return found[0], json.loads(found[1] or f'"{found[2]}"')

    def words(self):
        return 'db', 'import-glance', '--glance-config', str(self.glance.config)

    def config(self):
        return f'{self.api.root}/etc/imagepipe.conf'

    def image(self, data=None, store='fast', **attributes):
        """A new image of Glance."""
        image_id = self.glance.call('POST', '/v2/images', json={**RAW, **attributes}).json()['id']
        if data is not None:
            headers = {**OCTETS, 'X-Image-Meta-Store': store}
            self.glance.call('PUT', f'/v2/images/{image_id}/file', data=data, headers=headers)
        return image_id

    def patch(self, image_id, name, value):
        change = json.dumps([{'op': 'replace', 'path': f'/{name}', 'value': value}])
        self.glance.call('PATCH', f'/v2/images/{image_id}', data=change, headers=V21)

    def both(self, image_id):
        """What Glance and this service say of an image; the names of stores may differ."""
        theirs = self.glance.call('GET', f'/v2/images/{image_id}').json()
        ours = self.api.call('GET', f'/v2/images/{image_id}', as_='admin').json
        for shown in (theirs, ours):
            shown['tags'] = sorted(shown['tags'])
            shown.pop('stores', None)
        return theirs, ours

    def assert_same(self, *image_ids):
        for image_id in image_ids:
            theirs, ours = self.both(image_id)
            self.assertEqual(theirs, ours)

    def assert_data(self, image_id, data):
        response = self.api.call('GET', f'/v2/images/{image_id}/file', as_='admin')
        self.assertEqual((200, data), (response.status_int, response.body))
        shown = self.api.call('GET', f'/v2/images/{image_id}', as_='admin').json
        self.assertEqual(hashlib.sha512(data).hexdigest(), shown['os_hash_value'])
        self.assertEqual(hashlib.md5(data).hexdigest(), response.headers['Content-MD5'])

    def test_a_cloud_moves(self):
        # What a cloud has.
        plain = self.image(b'plain', name='Foo', tags=['one', 'two'], hw_disk_bus='scsi', long='x' * 9000)
        shared = self.image(b'shared', name='foo ', visibility='shared', min_ram=64, min_disk=3)
        public = self.image(b'public', name='öffentlich', visibility='public', protected=True, os_hidden=True)
        empty = self.image(b'', visibility='community')
        slow = self.image(b'slowly', 'slow', owner='theirs', visibility='private')
        queued = self.image(name='queued')
        staged = self.image()
        self.glance.call('PUT', f'/v2/images/{staged}/stage', data=b'staged', headers=OCTETS)
        off = self.image(b'off')
        self.glance.call('POST', f'/v2/images/{off}/actions/deactivate')
        deleted = self.image(b'deleted')
        self.glance.call('DELETE', f'/v2/images/{deleted}')
        for member, status in (('theirs', 'accepted'), ('others', 'pending')):
            self.glance.call('POST', f'/v2/images/{shared}/members', json={'member': member})
            path = f'/v2/images/{shared}/members/{member}'
            self.glance.call('PUT', path, json={'status': status}, headers={'X-Project-Id': member})
        ours = self.api.create(name='created here')['id']

        # A look at it first; then all of it, then the store that has another name here.
        status, told = self.run_import('--dry-run')
        self.assertEqual((1, {'new': 8, 'deleted id, kept from reuse': 1}), (status, told['images']))
        self.assertEqual({'slow': 1}, told['unknown_stores'])
        self.assertEqual(404, self.api.call('GET', f'/v2/images/{plain}', as_='admin').status_int)
        self.assertEqual((1, told), self.run_import())
        self.assertEqual(503, self.api.call('GET', f'/v2/images/{slow}/file', as_='admin').status_int)
        status, told = self.run_import('--store', 'slow=cheap')
        self.assertEqual((0, {'unchanged': 8, 'changed there': 1}), (status, told['images']))
        self.assertEqual(({'uploading': 1}, {}), (told['statuses'], told['unknown_stores']))

        # It is what it was.
        self.assert_same(plain, shared, public, empty, slow, queued, off)
        for image_id, data in (
            (plain, b'plain'), (shared, b'shared'), (public, b'public'), (slow, b'slowly'), (off, b'off'),
        ):  # fmt: skip
            self.assert_data(image_id, data)
        self.assertEqual(200, self.api.call('GET', f'/v2/images/{empty}/file').status_int)
        shown = self.api.call('GET', f'/v2/images/{staged}').json
        self.assertEqual(('queued', None), (shown['status'], shown['size']))
        self.assertEqual({('theirs', 'accepted'), ('others', 'pending')}, self.members(shared))
        self.assertEqual(200, self.api.call('GET', f'/v2/images/{shared}', as_='theirs').status_int)
        taken = self.api.call('POST', '/v2/images', {'id': deleted})
        self.assertEqual(409, taken.status_int)
        self.assertEqual('created here', self.api.call('GET', f'/v2/images/{ours}').json['name'])
        self.assertEqual(len(b'plain' + b'shared' + b'public' + b'off'), self.used('ours'))
        self.assertEqual(len(b'slowly'), self.used('theirs'))
        self.assert_no_secret()

        # Life goes on, there and here.
        self.patch(plain, 'name', 'Bar')
        self.patch(shared, 'name', 'renamed there')
        self.glance.call('DELETE', f'/v2/images/{slow}')
        self.glance.call('DELETE', f'/v2/images/{shared}/members/others')
        self.glance.call('PUT', f'/v2/images/{queued}/file', data=b'no more', headers=OCTETS)
        self.glance.call('POST', f'/v2/images/{off}/actions/reactivate')
        late = self.image(b'late')
        changed = {'op': 'replace', 'path': '/name', 'value': 'renamed here'}
        self.assertEqual(200, self.api.patch(shared, changed).status_int)
        self.assertEqual(204, self.api.call('DELETE', f'/v2/images/{empty}').status_int)
        status, told = self.run_import('--store', 'slow=cheap')
        self.assertEqual(1, status)
        self.assertEqual(
            {
                'new': 1,
                'changed there': 3,
                'unchanged': 3,
                'deleted there': 1,
                'left alone: changed here': 1,
                'left alone: deleted here': 1,
            },
            told['images'],
        )
        self.assertEqual(
            {shared: 'left alone: changed here', empty: 'left alone: deleted here'}, told['left_alone']
        )
        self.assert_same(plain, queued, off, late)
        self.assert_data(queued, b'no more')
        self.assertEqual('renamed here', self.api.call('GET', f'/v2/images/{shared}').json['name'])
        self.assertEqual(404, self.api.call('GET', f'/v2/images/{slow}', as_='admin').status_int)
        self.assertEqual(409, self.api.call('POST', '/v2/images', {'id': slow}).status_int)
        self.assertEqual(0, self.used('theirs'))

        # Rows that are purged there are gone here; and then there is nothing left to do.
        self.purge(late)
        status, told = self.run_import('--store', 'slow=cheap')
        self.assertEqual(1, told['images']['deleted there'])
        self.assertEqual(404, self.api.call('GET', f'/v2/images/{late}').status_int)
        status, told = self.run_import('--store', 'slow=cheap')
        self.assertEqual({'unchanged', *told['left_alone'].values()}, set(told['images']))
        self.metadata_definitions_move_too()
        self.refuses_what_cannot_be()

    def namespace(self, name, **fields):
        """A new namespace of Glance, with one of everything."""
        body = {
            'namespace': name,
            'display_name': f'All of {name}',
            'visibility': 'public',
            'resource_type_associations': [{'name': 'OS::Glance::Image', 'prefix': 'hw_'}],
            'properties': {'colour': {'title': 'Colour', 'type': 'string', 'enum': ['red', 'green']}},
            'objects': [
                {
                    'name': 'wheel',
                    'description': 'round',
                    'required': ['spokes'],
                    'properties': {'spokes': {'title': 'Spokes', 'type': 'integer', 'minimum': 3}},
                },
                {'name': 'bare'},
            ],
            'tags': [{'name': 'old'}, {'name': 'new'}],
            **fields,
        }
        self.glance.call('POST', '/v2/metadefs/namespaces', json=body)

    def assert_same_namespace(self, name):
        path = f'/v2/metadefs/namespaces/{name}'
        theirs, ours = self.glance.call('GET', path).json(), self.api.call('GET', path, as_='admin').json
        self.assertEqual(_untimed(theirs), _untimed(ours))

    def metadata_definitions_move_too(self):
        for name in ('kept', 'changed', 'touched', 'gone', 'left'):
            self.namespace(name)
        self.namespace('private', visibility='private', protected=True)
        self.namespace('twice')
        here = {'namespace': 'twice', 'description': 'created here'}
        self.assertEqual(201, self.api.call('POST', '/v2/metadefs/namespaces', here, as_='admin').status_int)
        told = self.run_import('--dry-run')
        self.assertEqual({'new': 6, 'left alone: created here': 1}, told[1]['namespaces'])
        self.assertEqual(404, self.api.call('GET', '/v2/metadefs/namespaces/kept').status_int)
        self.assertEqual(told, self.run_import())
        for name in ('kept', 'changed', 'touched', 'gone', 'left', 'private'):
            self.assert_same_namespace(name)
        self.assertEqual({'unchanged': 6, 'left alone: created here': 1}, self.run_import()[1]['namespaces'])

        for name in ('changed', 'touched'):
            path = f'/v2/metadefs/namespaces/{name}/tags/newest'
            self.glance.call('POST', path)
        self.glance.call('DELETE', '/v2/metadefs/namespaces/gone')
        self.api.call('POST', '/v2/metadefs/namespaces/touched/tags/ours', as_='admin')
        self.api.call('DELETE', '/v2/metadefs/namespaces/left', as_='admin')
        told = self.run_import()[1]
        self.assertEqual(
            {
                'unchanged': 2,
                'changed there': 1,
                'deleted there': 1,
                'left alone: created here': 1,
                'left alone: changed here': 1,
                'left alone: deleted here': 1,
            },
            told['namespaces'],
        )
        left = {name for name in told['left_alone'] if name.startswith('namespace')}
        self.assertEqual({f'namespace {name}' for name in ('left', 'touched', 'twice')}, left)
        self.assert_same_namespace('changed')
        for name in ('gone', 'left'):
            self.assertEqual(404, self.api.call('GET', f'/v2/metadefs/namespaces/{name}').status_int)

    def members(self, image_id):
        members = schema.members
        statement = sa.select(members.c.member, members.c.status).where(members.c.image_id == image_id)
        return self.api.services.db.read(lambda tx: {tuple(row) for row in tx.connection.execute(statement)})

    def used(self, project):
        return self.api.services.db.read(lambda tx: tx.usages.used(f'project:{project}', 'bytes'))

    def assert_no_secret(self):
        """URLs are stored in clear here, and the key nowhere."""
        urls = self.api.services.db.read(
            lambda tx: tx.connection.execute(sa.select(schema.locations.c.url)).scalars().all()
        )
        self.assertEqual([], [url for url in urls if not url.startswith(f'file://{self.glance.directory}')])
        with self.theirs_engine.connect() as connection:
            stored = connection.exec_driver_sql('SELECT value FROM image_locations').scalars().all()
        self.assertEqual(self.key is None, stored[0].startswith('file://'))

    def purge(self, image_id):
        """As glance-manage db purge_images_table does after a time."""
        with self.theirs_engine.begin() as connection:
            for table in ('image_locations', 'image_properties', 'image_tags', 'image_members'):
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE image_id = '{image_id}'")
            connection.exec_driver_sql(f"DELETE FROM images WHERE id = '{image_id}'")

    def refuses_what_cannot_be(self):
        other = f'{self.api.root}/other.conf'
        database = {'database.connection': self.api.conf.database.connection}
        for settings, code in (
            ({}, 'imagepipe.configuration.invalid'),
            (database, 'imagepipe.adoption.glance_database'),
        ):
            write_config(other, settings)
            status, _, told = called(self.config(), 'db', 'import-glance', '--glance-config', other)
            self.assertEqual((1, True), (status, code in told), told)
        status, _, told = called(self.config(), *self.words(), '--store', 'slow=nowhere')
        self.assertEqual((1, True), (status, 'imagepipe.store.unknown' in told), told)
        if self.key:
            text = self.glance.config.read_text().replace(self.key, self.key[::-1])
            with open(other, 'w') as file:
                file.write(text)
            status, _, told = called(self.config(), 'db', 'import-glance', '--glance-config', other)
            self.assertEqual((1, True), (status, 'imagepipe.adoption.location_unreadable' in told), told)
