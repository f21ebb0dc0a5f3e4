"""Stories of metadata definitions over HTTP, on each database."""

import functools
import threading
from concurrent import futures
from urllib.parse import quote

import testscenarios
import testtools

from imagepipe.tests.fixtures.api import ApiFixture
from imagepipe.tests.fixtures.databases import DATABASES

NAMESPACES = '/v2/metadefs/namespaces'
SERVER, VOLUME = 'OS::Nova::Server', 'OS::Cinder::Volume'
CPUS = {'title': 'CPUs', 'type': 'integer', 'default': 5, 'minimum': 1.5}
#: As it is shown.
SHOWN_CPUS = {'title': 'CPUs', 'type': 'integer', 'default': '5', 'minimum': 1}
WHOLE = {
    'namespace': 'OS::Test',
    'display_name': 'Test',
    'description': 'A namespace with everything in it',
    'visibility': 'public',
    'protected': False,
    'owner': 'somebody',
    'resource_type_associations': [{'name': SERVER, 'prefix': 'hw:', 'properties_target': 'image'}],
    'properties': {'cpus': CPUS, 'any': {'title': 'Any', 'type': 'boolean', 'default': True}},
    'objects': [{'name': 'box', 'description': 'A box', 'required': ['cpus'], 'properties': {'cpus': CPUS}}],
    'tags': [{'name': 'first'}, {'name': 'second'}],
}


class MetadefCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, kind=self.database_kind))

    def call(self, method, path, body=None, *, expect=200, as_='admin', **more):
        """The JSON of the answer, or None; paths are those below the namespaces."""
        response = self.api.call(method, f'{NAMESPACES}{path}', body, as_=as_, **more)
        self.assertEqual(expect, response.status_int, f'{method} {path}: {response.text}')
        return response.json if response.body else None

    def names(self, path, key, **who):
        return [each['name'] for each in self.call('GET', path, **who)[key]]

    def namespaces(self, query='', **who):
        return [each['namespace'] for each in self.call('GET', query, **who)['namespaces']]


def without_times(document):
    """A document without its times, at any depth."""
    if isinstance(document, dict):
        return {
            name: without_times(value)
            for name, value in document.items()
            if name not in ('created_at', 'updated_at')
        }
    return [without_times(each) for each in document] if isinstance(document, list) else document


class NamespaceTest(MetadefCase):
    def test_a_whole_namespace_is_made_shown_changed_and_deleted(self):
        created = self.api.call('POST', NAMESPACES, WHOLE, as_='admin')
        self.assertEqual(201, created.status_int, created.text)
        self.assertEqual(f'http://localhost{NAMESPACES}/OS::Test', created.headers['Location'])
        properties = {
            'cpus': SHOWN_CPUS, 'any': {'title': 'Any', 'type': 'boolean', 'default': 'True'}
        }  # fmt: skip
        box = {**WHOLE['objects'][0], 'properties': {'cpus': SHOWN_CPUS}}
        links = {'self': f'{NAMESPACES}/OS::Test', 'schema': '/v2/schemas/metadefs/namespace'}
        self.assertEqual(
            {**WHOLE, **links, 'properties': properties, 'objects': [box]}, without_times(created.json)
        )
        # What was made with it has no times in the answer, as in Glance.
        self.assertEqual(WHOLE['resource_type_associations'], created.json['resource_type_associations'])
        shown = self.call('GET', '/OS::Test', as_='reader')
        self.assertRegex(shown['created_at'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        self.assertIn('updated_at', shown['resource_type_associations'][0])
        box_links = {'self': f'{NAMESPACES}/OS::Test/objects/box', 'schema': '/v2/schemas/metadefs/object'}
        self.assertEqual(
            {
                **WHOLE, **links, 'properties': properties, 'objects': [{**box, **box_links}],
                'tags': [{'name': 'second'}, {'name': 'first'}],
            },
            without_times(shown),
        )  # fmt: skip
        changed = self.call('PUT', '/OS::Test', {'namespace': 'New', 'tags': [{'name': 'ignored'}]})
        expected = {
            'namespace': 'New', 'visibility': 'private', 'protected': False, 'owner': 'admins',
            'created_at': shown['created_at'], 'updated_at': changed['updated_at'],
            'self': f'{NAMESPACES}/New', 'schema': '/v2/schemas/metadefs/namespace',
        }  # fmt: skip
        self.assertEqual(expected, changed)
        self.call('GET', '/OS::Test', expect=404)
        self.assertEqual(shown['tags'], self.call('GET', '/New')['tags'])
        self.assertIsNone(self.call('DELETE', '/New', expect=204))
        self.call('GET', '/New', expect=404)
        self.assertEqual([], self.namespaces())
        # Nothing of it is left to come back with another of its name.
        self.call('POST', '', {'namespace': 'New'}, expect=201)
        self.assertNotIn('tags', self.call('GET', '/New'))

    def test_properties_by_the_names_of_a_resource_type(self):
        self.call('POST', '', WHOLE, expect=201)
        shown = self.call('GET', f'/OS::Test?resource_type={SERVER}')
        self.assertEqual(['hw:cpus', 'hw:any'], list(shown['properties']))
        self.assertEqual(
            (['hw:cpus'], ['hw:cpus']),
            (shown['objects'][0]['required'], [*shown['objects'][0]['properties']]),
        )
        self.assertEqual(['cpus', 'any'], list(self.call('GET', '/OS::Test?resource_type=x')['properties']))
        one = f'/OS::Test/properties/hw:cpus?resource_type={SERVER}'
        self.assertEqual({'name': 'cpus', **SHOWN_CPUS}, self.call('GET', one))
        for wrong, code in (
            (f'cpus?resource_type={SERVER}', 'imagepipe.metadef.prefix_missing'),
            (f'hw:x?resource_type={SERVER}', 'imagepipe.metadef.not_found'),
            ('cpus?resource_type=x', 'imagepipe.metadef.not_found'),
        ):
            response = self.api.call('GET', f'{NAMESPACES}/OS::Test/properties/{wrong}', as_='admin')
            self.assertEqual((404, code), (response.status_int, response.json['error']['error_code']))

    def test_names_are_compared_byte_by_byte(self):
        names = ['Foo', 'foo', 'foo ', 'fóo', 'fo\U0001f600']
        for name in names:
            self.call('POST', '', {'namespace': name, 'description': name}, expect=201)
        self.call('POST', '', {'namespace': 'foo '}, expect=409)
        for name in names:
            path = f'/{quote(name)}'
            self.assertEqual(name, self.call('GET', path)['description'])
            for each in names:
                self.call('POST', f'{path}/tags/{quote(each)}', expect=201)
            self.call('POST', f'{path}/tags/Foo', expect=409)
            self.assertEqual(set(names), set(self.names(f'{path}/tags', 'tags')))
        by_name = self.namespaces('?sort_key=namespace&sort_dir=asc')
        self.assertEqual(sorted(names, key=str.encode), by_name)

    def test_pages_lead_through_all_in_every_order(self):
        for number, name in enumerate(['c', 'a', 'e', 'b', 'd']):
            body = {
                'namespace': name,
                'protected': number > 2,
                'visibility': ['public', 'private'][number % 2],
            }
            if number:
                body['display_name'] = 'same'
            self.call('POST', '', body, expect=201)
        newest = ['d', 'b', 'e', 'a', 'c']
        orders = {
            '': newest,
            'sort_dir=asc': newest[::-1],
            'sort_key=id': newest,
            'sort_key=namespace': ['e', 'd', 'c', 'b', 'a'],
            'sort_key=protected': newest,
            'sort_key=protected&sort_dir=asc': ['c', 'a', 'e', 'b', 'd'],
            'sort_key=display_name&sort_dir=asc': ['c', 'a', 'e', 'b', 'd'],
            'sort_key=visibility': ['d', 'e', 'c', 'b', 'a'],
            'sort_key=owner': newest,
        }
        for order, expected in orders.items():
            path, seen = f'?{order}&limit=2'.replace('?&', '?'), []
            while path is not None:
                page = self.call('GET', path)
                seen += [each['namespace'] for each in page['namespaces']]
                path = page['next'].removeprefix(NAMESPACES) if 'next' in page else None
            self.assertEqual(expected, seen, order)
        self.assertEqual(f'{NAMESPACES}?limit=1', self.call('GET', '?limit=1&marker=d')['first'])
        empty = self.call('GET', '?limit=0')
        self.assertEqual(([], False), (empty['namespaces'], 'next' in empty))

    def test_a_list_shows_what_the_caller_sees_and_asks_for(self):
        for name, more in (
            ('own', {'owner': 'ours'}),
            ('foreign', {'owner': 'theirs'}),
            ('public', {'visibility': 'public', 'resource_type_associations': [{'name': SERVER}]}),
        ):
            types = {'resource_type_associations': [{'name': SERVER}, {'name': VOLUME}]}
            self.call('POST', '', {'namespace': name, **types, **more}, expect=201)
        self.assertEqual(['public', 'own'], self.namespaces(as_='reader'))
        self.assertEqual(['public', 'foreign', 'own'], self.namespaces())
        self.assertEqual(['own'], self.namespaces('?visibility=private', as_='ours'))
        self.assertEqual(['public'], self.namespaces('?visibility=public', as_='ours'))
        self.assertEqual(['own'], self.namespaces(f'?resource_types={VOLUME}', as_='ours'))
        self.assertEqual(['public', 'own'], self.namespaces(f'?resource_types={VOLUME},{SERVER}', as_='ours'))
        self.assertEqual([], self.namespaces('?resource_types='))
        (listed,) = self.call('GET', '?resource_types=x,' + VOLUME, as_='ours')['namespaces']
        self.assertEqual([SERVER, VOLUME], [each['name'] for each in listed['resource_type_associations']])
        self.assertEqual(set(), {'objects', 'properties', 'tags'} & listed.keys())
        self.call('GET', '?marker=foreign', as_='ours', expect=403)
        self.call('GET', '?marker=nowhere', expect=404)


class ItemsTest(MetadefCase):
    def setUp(self):
        super().setUp()
        self.call('POST', '', {'namespace': 'N', 'visibility': 'public'}, expect=201)

    def test_objects(self):
        created = self.call('POST', '/N/objects', {'name': 'o'}, expect=201)
        links = {'self': f'{NAMESPACES}/N/objects/o', 'schema': '/v2/schemas/metadefs/object'}
        self.assertEqual({'name': 'o', **links}, without_times(created))
        shown = {'name': 'o', 'required': [], 'properties': {}, **links}
        self.assertEqual(shown, without_times(self.call('GET', '/N/objects/o', as_='ours')))
        self.call('POST', '/N/objects', {'name': 'p', 'description': ''}, expect=201)
        listed = self.call('GET', '/N/objects?limit=1&marker=x&sort_dir=desc', as_='ours')
        self.assertEqual(['o', 'p'], [each['name'] for each in listed['objects']])
        self.assertEqual('v2/schemas/metadefs/objects', listed['schema'])
        body = {'name': 'q', 'required': ['z', 'a'], 'properties': {'z': CPUS, 'a': CPUS}}
        changed = self.call('PUT', '/N/objects/o', body)
        self.assertEqual(created['created_at'], changed['created_at'])
        self.assertEqual(['q', 'p'], self.names('/N/objects', 'objects'))
        shown = self.call('GET', '/N/objects/q')
        self.assertEqual((['z', 'a'], ['z', 'a']), (shown['required'], list(shown['properties'])))
        self.call('GET', '/N/objects/o', expect=404)
        self.call('PUT', '/N/objects/o', body, expect=404)
        self.call('PUT', '/N/objects/p', body, expect=409)
        self.call('POST', '/N/objects', body, expect=409)
        self.call('DELETE', '/N/objects/q', expect=204)
        self.call('DELETE', '/N/objects/q', expect=404)
        for _ in range(2):
            self.call('DELETE', '/N/objects', expect=204)
        self.assertEqual([], self.names('/N/objects', 'objects'))

    def test_properties(self):
        everything = {
            'name': 'p', 'title': 'P', 'type': 'array', 'description': '', 'operators': ['<in>'],
            'required': ['x'], 'maximum': 2.9, 'maxLength': 4.0, 'minLength': 0, 'pattern': '[',
            'enum': [], 'readonly': False, 'default': ['a', 1], 'items': {'type': 'string', 'enum': ['a']},
            'maxItems': 3, 'minItems': 1, 'uniqueItems': True, 'additionalItems': False,
        }  # fmt: skip
        shown = {**everything, 'maximum': 2, 'maxLength': 4}
        self.assertEqual(shown, self.call('POST', '/N/properties', everything, expect=201))
        self.assertEqual(shown, self.call('GET', '/N/properties/p?unknown=1', as_='ours'))
        simple = {'name': 'q', 'title': '', 'type': 'string', 'default': None}
        self.call('POST', '/N/properties', {**simple, 'name': 'p'}, expect=409)
        self.call('POST', '/N/properties', simple, expect=201)
        listed = self.call('GET', '/N/properties')['properties']
        self.assertEqual({'p', 'q'}, listed.keys())
        self.assertEqual({'title': '', 'type': 'string', 'default': None}, listed['q'])
        for default, text in ((False, 'False'), (1.5, '1.5'), (0, '0'), ('', ''), ({'a': 1}, {'a': 1})):
            self.call('PUT', '/N/properties/q', {**simple, 'default': default})
            self.assertEqual(text, self.call('GET', '/N/properties/q')['default'])
        self.call('PUT', '/N/properties/q', everything, expect=409)
        self.assertEqual('r', self.call('PUT', '/N/properties/q', {**simple, 'name': 'r'})['name'])
        self.call('PUT', '/N/properties/q', simple, expect=404)
        self.call('DELETE', '/N/properties/r', expect=204)
        self.call('GET', '/N/properties/r', expect=404)
        self.call('DELETE', '/N/properties', expect=204)
        self.assertEqual({'properties': {}}, self.call('GET', '/N/properties'))

    def test_tags(self):
        created = self.call('POST', '/N/tags/t', expect=201)
        self.assertEqual({'name': 't'}, without_times(created))
        self.assertEqual(created, self.call('GET', '/N/tags/t', as_='ours'))
        self.call('POST', '/N/tags/t', expect=409)
        tags = {'tags': [{'name': name} for name in 'abcde']}
        self.assertEqual(tags, self.call('POST', '/N/tags', tags, expect=201))
        self.call('GET', '/N/tags/t', expect=404)
        pages = {
            '': 'edcba', 'limit=2': 'ed', 'limit=2&marker=d': 'cb', 'marker=c': 'ba', 'limit=0': '',
            'sort_dir=asc': 'abcde', 'sort_key=name&sort_dir=asc&marker=c': 'de', 'sort_key=name': 'edcba',
            'sort_key=updated_at&marker=b': 'a',
        }  # fmt: skip
        for query, expected in pages.items():
            self.assertEqual(expected, ''.join(self.names(f'/N/tags?{query}', 'tags')), query)
        self.call('GET', '/N/tags?marker=x', expect=404)
        more, append = {'tags': [{'name': 'f'}]}, {'X-Openstack-Append': 'True'}
        self.assertEqual(more, self.call('POST', '/N/tags', more, headers=append, expect=201))
        self.call('POST', '/N/tags', more, headers=append, expect=409)
        self.call('POST', '/N/tags', {'tags': [{'name': 'g'}, {'name': 'g'}]}, expect=409)
        self.assertEqual('fedcba', ''.join(self.names('/N/tags', 'tags')))
        self.call('POST', '/N/tags', more, headers={'X-OpenStack-Append': 'False'}, expect=201)
        self.assertEqual(['f'], self.names('/N/tags', 'tags'))
        self.assertEqual('g', self.call('PUT', '/N/tags/f', {'name': 'g'})['name'])
        self.call('PUT', '/N/tags/f', {'name': 'g'}, expect=404)
        self.call('POST', '/N/tags/h', expect=201)
        self.call('PUT', '/N/tags/h', {'name': 'g'}, expect=409)
        self.call('DELETE', '/N/tags/g', expect=204)
        self.call('DELETE', '/N/tags/g', expect=404)
        self.call('DELETE', '/N/tags', expect=204)
        self.assertEqual([], self.names('/N/tags', 'tags'))
        self.assertEqual({'tags': []}, self.call('POST', '/N/tags', {'tags': []}, expect=201))

    def test_resource_types(self):
        body = {'name': SERVER, 'prefix': '', 'properties_target': 'x'}
        created = self.call('POST', '/N/resource_types', body, expect=201)
        self.assertEqual(body, without_times(created))
        self.call('POST', '/N/resource_types', body, expect=409)
        self.call('POST', '/N/resource_types', {'name': VOLUME}, expect=201)
        listed = self.call('GET', '/N/resource_types', as_='ours')['resource_type_associations']
        self.assertEqual([body, {'name': VOLUME}], without_times(listed))
        self.call('DELETE', f'/N/resource_types/{SERVER.replace(":", "%3A")}', expect=204)
        self.call('DELETE', f'/N/resource_types/{SERVER}', expect=404)
        known = self.api.call('GET', '/v2/metadefs/resource_types', as_='ours').json['resource_types']
        self.assertEqual([{'name': SERVER}, {'name': VOLUME}], without_times(known))
        self.call('POST', '/N/resource_types', body, expect=201)

    def test_what_is_protected_cannot_be_deleted(self):
        self.call('DELETE', '/N', expect=204)
        self.call('POST', '', {**WHOLE, 'namespace': 'N', 'protected': True}, expect=201)
        for path in (
            '', '/objects', '/objects/box', '/properties', '/properties/cpus', '/tags', '/tags/first',
            f'/resource_types/{SERVER}',
        ):  # fmt: skip
            response = self.api.call('DELETE', f'{NAMESPACES}/N{path}', as_='admin')
            self.assertEqual(403, response.status_int, path)
            self.assertEqual('imagepipe.metadef.protected', response.json['error']['error_code'])
        self.call('DELETE', '/N/tags/x', expect=404)
        self.call('POST', '/N/tags/more', expect=201)
        self.call('PUT', '/N', {'namespace': 'N'})
        self.call('DELETE', '/N', expect=204)


class TogetherTest(MetadefCase):
    def together(self, *calls):
        """The statuses of calls that are made at the same time, in order."""
        start = threading.Barrier(len(calls))

        def run(call):
            start.wait()
            return call(as_='admin').status_int

        with futures.ThreadPoolExecutor(len(calls)) as pool:
            return sorted(done.result() for done in [pool.submit(run, call) for call in calls])

    def test_a_name_is_given_once(self):
        call = functools.partial(self.api.call, 'POST', NAMESPACES, WHOLE)
        self.assertEqual([201, 409, 409], self.together(*[call] * 3))
        tag = functools.partial(self.api.call, 'POST', f'{NAMESPACES}/OS::Test/tags/t')
        self.assertEqual([201, 409, 409], self.together(*[tag] * 3))

    def test_new_resource_types_are_made_once(self):
        types = [{'name': name} for name in ('C', 'A', 'B')]
        bodies = [
            {'namespace': f'n{number}', 'resource_type_associations': types[number:] + types[:number]}
            for number in range(3)
        ]
        calls = [functools.partial(self.api.call, 'POST', NAMESPACES, body) for body in bodies]
        self.assertEqual([201] * 3, self.together(*calls))

    def test_what_goes_into_a_namespace_that_is_being_deleted(self):
        for _ in range(3):
            self.call('POST', '', {'namespace': 'N'}, expect=201)
            path = f'{NAMESPACES}/N'
            statuses = self.together(
                functools.partial(self.api.call, 'DELETE', path),
                functools.partial(self.api.call, 'POST', f'{path}/tags/t'),
                functools.partial(self.api.call, 'PUT', path, {'namespace': 'N', 'description': 'x'}),
            )
            self.assertEqual(1, statuses.count(204))
            self.assertLessEqual(set(statuses), {200, 201, 204, 404})
            self.call('GET', '/N', expect=404)


class CostTest(MetadefCase):
    def test_statements_of_each_request(self):
        def statements(method, path, body=None, **more):
            return len(self.api.statements(method, f'{NAMESPACES}{path}', body, as_='admin', **more))

        def reads():
            return [
                statements('GET', path)
                for path in (
                    '/OS::Test',
                    '',
                    '?marker=OS::Test&sort_key=owner',
                    '/OS::Test/tags',
                    '/OS::Test/objects',
                )
            ]

        self.call('POST', '', WHOLE, expect=201)
        few = reads()
        self.assertEqual([7, 4, 4, 4, 4], few)
        many = {
            'namespace': 'many',
            'resource_type_associations': [{'name': f'r{number}'} for number in range(30)],
            'objects': [{'name': f'o{number}'} for number in range(30)],
            'properties': {f'p{number}': CPUS for number in range(30)},
            'tags': [{'name': f't{number}'} for number in range(30)],
        }
        self.call('PUT', '/OS::Test', {'namespace': 'old'})
        made = len(self.api.statements('POST', NAMESPACES, {**many, 'namespace': 'OS::Test'}, as_='admin'))
        self.assertLessEqual(made, 12)
        for number in range(30):
            self.call('POST', '', {**many, 'namespace': f'n{number}'}, expect=201)
        self.assertEqual([7, 4, 5, 4, 4], reads())
        more = {'tags': [{'name': f'u{number}'} for number in range(30)]}
        self.assertEqual(4, statements('POST', '/OS::Test/tags', more))
