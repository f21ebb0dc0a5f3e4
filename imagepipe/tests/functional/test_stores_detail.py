"""The stores in detail: what is told, and to whom; and the schemas of members and tasks."""

import jsonschema
import testtools

from imagepipe.tests.fixtures.api import ApiFixture

DETAIL = '/v2/info/stores/detail'


class StoresDetailTest(testtools.TestCase):
    def api(self, **overrides):
        return self.useFixture(ApiFixture(self, overrides=overrides))

    def test_types_weights_and_properties_for_administrators_and_services(self):
        api = self.api(**{
            'enabled_backends': 'fast:file,cheap:file,web:http,large:s3,cold:swift',
            'fast.weight': 10, 'cheap.store_description': 'slow disks',
            'large.s3_store_host': 'http://192.0.2.1', 'large.s3_store_access_key': 'key',
            'large.s3_store_secret_key': 'hidden-word', 'large.s3_store_bucket': 'images',
            'cold.swift_store_auth_address': 'http://192.0.2.1/v3', 'cold.swift_store_user': 'p:u',
            'cold.swift_store_key': 'hidden-word',
        })  # fmt: skip
        response = api.call('GET', DETAIL, as_='admin')
        self.assertEqual(200, response.status_int, response.text)
        self.assertNotIn('hidden-word', response.text)
        stores = {store['id']: store for store in response.json['stores']}
        self.assertEqual(
            {
                'id': 'fast', 'default': 'true', 'type': 'file', 'weight': 10,
                'imagepipe': {'state': 'unknown'},
                'properties': {
                    'data_dir': f'{api.root}/stores/fast', 'chunk_size': 65536, 'thin_provisioning': False,
                },
            },
            stores['fast'],
        )  # fmt: skip
        self.assertEqual(('slow disks', 0), (stores['cheap']['description'], stores['cheap']['weight']))
        self.assertEqual(
            {
                'id': 'web',
                'read-only': 'true',
                'type': 'http',
                'weight': 0,
                'properties': {},
                'imagepipe': {'state': 'unknown'},
            },
            stores['web'],
        )
        self.assertEqual(
            {'s3_store_large_object_size', 's3_store_large_object_chunk_size', 's3_store_thread_pools'},
            set(stores['large']['properties']),
        )
        self.assertEqual(
            {'container', 'large_object_size', 'large_object_chunk_size'}, set(stores['cold']['properties'])
        )
        plain = api.call('GET', '/v2/info/stores').json['stores']
        own = {'type', 'weight', 'properties', 'imagepipe'}
        shown = [
            {name: value for name, value in store.items() if name not in own}
            for store in response.json['stores']
        ]
        self.assertEqual(plain, shown)
        for as_ in ('ours', 'reader', 'norole'):
            refused = api.call('GET', DETAIL, as_=as_)
            self.assertEqual(403, refused.status_int)
            self.assertEqual('imagepipe.policy.forbidden', refused.json['error']['error_code'])
        self.assertEqual(400, api.call('GET', DETAIL, {'a': 'b'}, as_='admin').status_int)
        self.assertEqual('GET', api.call('POST', DETAIL, {}, as_='admin').headers['Allow'])

    def test_one_store_of_the_older_configuration_has_no_list(self):
        api = self.api(**{'enabled_backends': '', 'glance_store.stores': 'file,http',
                          'glance_store.default_store': 'file'})  # fmt: skip
        for as_ in ('ours', 'admin'):
            self.assertEqual(404, api.call('GET', DETAIL, as_=as_).status_int)


class SchemasTest(testtools.TestCase):
    def test_members_and_tasks(self):
        api = self.useFixture(ApiFixture(self))
        documents = {}
        for name in ('member', 'members', 'task', 'tasks'):
            response = api.call('GET', f'/v2/schemas/{name}', as_='norole')
            self.assertEqual(200, response.status_int, response.text)
            self.assertEqual(name, response.json['name'])
            jsonschema.Draft4Validator.check_schema(response.json)
            self.assertEqual('GET', api.call('PUT', f'/v2/schemas/{name}', {}).headers['Allow'])
            documents[name] = response.json
        for name in ('member', 'task'):
            self.assertEqual({'name', 'properties'}, set(documents[name]))
            listed = documents[f'{name}s']
            self.assertEqual({'name', 'properties', 'links'}, set(listed))
            self.assertEqual({f'{name}s', 'schema'}, set(listed['properties']))
            self.assertEqual([{'rel': 'describedby', 'href': '{schema}'}], listed['links'])
        self.assertEqual(documents['member'], documents['members']['properties']['members']['items'])
        full = set(documents['task']['properties'])
        item = set(documents['tasks']['properties']['tasks']['items']['properties'])
        self.assertEqual({'input', 'result', 'message'}, full - item)

    def test_what_is_answered_fits(self):
        api = self.useFixture(ApiFixture(self, overrides={
            'import_filtering_opts.allowed_networks': '192.0.2.0/24',
        }))  # fmt: skip
        image_id = api.create()['id']
        member = api.call('POST', f'/v2/images/{image_id}/members', {'member': 'theirs'}).json
        asked = {'import_from': 'http://192.0.2.1/x', 'import_from_format': 'raw', 'image_properties': {}}
        task = api.call('POST', '/v2/tasks', {'type': 'import', 'input': asked}, as_='admin').json
        for name, document in (('member', member), ('task', task)):
            found = api.call('GET', f'/v2/schemas/{name}').json
            jsonschema.validate(document, {**found, 'additionalProperties': False})
