"""Metadata definitions: who may do what, what is refused, what is told to others."""

import json
import os

import sqlalchemy as sa
import testtools

from imagepipe.db import schema
from imagepipe.tests.fixtures.api import ApiFixture

NAMESPACES = '/v2/metadefs/namespaces'
STRING = {'title': 'T', 'type': 'string'}
CONTENTS = {
    'resource_type_associations': [{'name': 'R', 'prefix': 'r_'}],
    'properties': {'p': STRING},
    'objects': [{'name': 'o', 'properties': {'a': {**STRING, 'default': 5}}}],
    'tags': [{'name': 't'}],
}


class MetadefCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self))

    def create(self, namespace, **more):
        response = self.api.call('POST', NAMESPACES, {'namespace': namespace, **more}, as_='admin')
        self.assertEqual(201, response.status_int, response.text)

    def status(self, method, path, body=None, as_='admin'):
        return self.api.call(method, path, body, as_=as_).status_int


READS = (
    '', '/objects', '/objects/o', '/properties', '/properties/p', '/tags', '/tags/t', '/resource_types',
)  # fmt: skip
WRITES = (
    ('PUT', '', {'namespace': 'n'}),
    ('POST', '/objects', {'name': 'x'}),
    ('PUT', '/objects/o', {'name': 'o'}),
    ('POST', '/properties', {'name': 'x', **STRING}),
    ('PUT', '/properties/p', {'name': 'p', **STRING}),
    ('POST', '/tags', {'tags': [{'name': 't'}]}),
    ('POST', '/tags/x', None),
    ('PUT', '/tags/t', {'name': 't'}),
    ('POST', '/resource_types', {'name': 'X'}),
    ('DELETE', '/objects/o', None),
    ('DELETE', '/properties/p', None),
    ('DELETE', '/tags/t', None),
    ('DELETE', '/resource_types/R', None),
    ('DELETE', '/objects', None),
    ('DELETE', '/properties', None),
    ('DELETE', '/tags', None),
    ('DELETE', '', None),
)


class CallersTest(MetadefCase):
    #: Caller, namespace: what reading and what writing in it answers.
    CODES = (
        ('ours', 'own', 200, 403),
        ('reader', 'own', 200, 403),
        ('norole', 'own', 404, 404),
        ('theirs', 'own', 404, 404),
        ('ours', 'public', 200, 403),
        ('reader', 'public', 200, 403),
        ('norole', 'public', 404, 404),
        (None, 'public', 401, 401),
    )

    def setUp(self):
        super().setUp()
        self.create('own', owner='ours', **CONTENTS)
        self.create('public', visibility='public', **CONTENTS)
        self.create('n', **CONTENTS)

    def test_by_default_who_sees_may_read_and_administrators_write(self):
        for caller, namespace, read, written in self.CODES:
            base = f'{NAMESPACES}/{namespace}'
            self.assertEqual(
                {path: read for path in READS},
                {path: self.status('GET', base + path, as_=caller) for path in READS},
                (caller, namespace),
            )
            for method, path, body in WRITES:
                found = self.status(method, base + path, body, as_=caller)
                self.assertEqual(written, found, (caller, namespace, method, path))
        for method, path, body in WRITES:
            found = self.status(method, f'{NAMESPACES}/n{path}', body)
            self.assertIn(found, (200, 201, 204), (method, path))

    def test_what_is_asked_of_no_namespace(self):
        codes = {'ours': (200, 200, 403), 'norole': (404, 404, 404), 'admin': (200, 200, 201)}
        for caller, expected in codes.items():
            found = (
                self.status('GET', NAMESPACES, as_=caller),
                self.status('GET', '/v2/metadefs/resource_types', as_=caller),
                self.status('POST', NAMESPACES, {'namespace': 'new'}, as_=caller),
            )
            self.assertEqual(expected, found, caller)

    def test_bad_bodies_are_told_first(self):
        for namespace in ('own', 'nowhere'):
            path = f'{NAMESPACES}/{namespace}/objects'
            self.assertEqual(400, self.status('POST', path, {'bad': 1}, as_='theirs'))


class OperatorsRulesTest(MetadefCase):
    def write(self, **rules):
        with open(os.path.join(self.api.root, 'etc', 'policy.yaml'), 'w') as file:
            json.dump(rules, file)

    def test_members_may_be_let_write_their_own(self):
        self.write(metadef_admin='role:admin or (role:member and project_id:%(project_id)s)')
        body = {'namespace': 'n', **CONTENTS}
        self.assertEqual(403, self.status('POST', NAMESPACES, {**body, 'owner': 'theirs'}, as_='ours'))
        self.assertEqual(201, self.status('POST', NAMESPACES, body, as_='ours'))
        path = f'{NAMESPACES}/n'
        self.assertEqual(404, self.status('DELETE', path, as_='theirs'))
        self.assertEqual(403, self.status('DELETE', path, as_='reader'))
        public = {'namespace': 'n', 'visibility': 'public'}
        self.assertEqual(200, self.status('PUT', path, public, as_='ours'))
        self.assertEqual(403, self.status('DELETE', path, as_='theirs'))
        self.assertEqual(204, self.status('DELETE', path, as_='ours'))

    def test_each_kind_that_comes_with_a_namespace_needs_its_own_rule(self):
        parts = {
            'add_metadef_object': 'objects',
            'add_metadef_property': 'properties',
            'add_metadef_tag': 'tags',
            'add_metadef_resource_type_association': 'resource_type_associations',
        }
        self.write(**{rule: '!' for rule in parts})
        for rule, part in parts.items():
            response = self.api.call(
                'POST', NAMESPACES, {'namespace': 'n', part: CONTENTS[part]}, as_='admin'
            )
            self.assertEqual(403, response.status_int)
            self.assertIn(rule, response.json['error']['message'])
        self.create('n')

    def test_what_may_not_be_seen_is_in_no_list(self):
        self.write(get_metadef_namespace="'public':%(visibility)s")
        self.create('public', visibility='public')
        self.create('private', visibility='private', owner='ours')
        listed = self.api.call('GET', f'{NAMESPACES}?limit=2', as_='ours').json
        self.assertEqual(['public'], [each['namespace'] for each in listed['namespaces']])
        self.assertTrue(listed['next'].endswith('marker=public'))
        self.assertEqual(404, self.status('GET', f'{NAMESPACES}/private', as_='ours'))


class RefusalsTest(MetadefCase):
    #: What is posted below the namespaces, its code, and words of the sentence.
    REFUSED = (
        ('', {}, 400, "'namespace' is a required property"),
        ('', [], 400, 'an object is expected'),
        ('', {'namespace': ''}, 400, 'a name is not empty'),
        ('', {'namespace': 'a/b'}, 400, 'has no /'),
        ('', {'namespace': 'x' * 81}, 400, 'namespace'),
        ('', {'namespace': 'x\0'}, 400, 'cannot be stored'),
        ('', {'namespace': 'x', 'display_name': None}, 400, 'display_name'),
        ('', {'namespace': 'x', 'description': 'x' * 501}, 400, 'description'),
        ('', {'namespace': 'x', 'visibility': 'shared'}, 400, 'visibility'),
        ('', {'namespace': 'x', 'protected': 'yes'}, 400, 'protected'),
        ('', {'namespace': 'x', 'unknown': 1}, 400, 'unknown'),
        ('', {'namespace': 'x', 'created_at': '2020'}, 403, "'created_at' is read-only"),
        ('', {'namespace': 'x', 'schema': '/'}, 403, "'schema' is read-only"),
        ('', {'namespace': 'n'}, 409, "'n' already exists"),
        ('', {'namespace': 'x', 'objects': [{}]}, 400, 'objects.0'),
        ('', {'namespace': 'x', 'tags': [{}]}, 400, 'tags.0'),
        ('', {'namespace': 'x', 'tags': [{'name': 'a'}] * 2}, 409, "'a' is given more than once"),
        ('', {'namespace': 'x', 'properties': {'p': {}}}, 400, 'properties.p'),
        ('', {'namespace': 'x', 'properties': {'p': {**STRING, 'y': 1}}}, 400, "'y' was unexpected"),
        ('', {'namespace': 'x', 'properties': {'p' * 81: STRING}}, 400, 'too long'),
        ('', {'namespace': 'x', 'resource_type_associations': [{'name': 1}]}, 400, 'name'),
        ('/n/objects', {'name': 'x', 'self': '/'}, 403, "'self' is read-only"),
        ('/n/objects', {'name': 'x', 'required': ['a', 'a']}, 400, 'required'),
        ('/n/objects', {'name': 'x', 'properties': {'a': {'type': 'string'}}}, 400, 'title'),
        ('/n/objects', {'name': 'o'}, 409, "'n' already has the object 'o'"),
        ('/n/properties', {'name': 'x', 'type': 'string'}, 400, 'title'),
        ('/n/properties', {'name': 'x', **STRING, 'type': 'text'}, 400, 'type'),
        ('/n/properties', {'name': 'x', **STRING, 'type': None}, 400, 'type'),
        ('/n/properties', {'name': 'x', **STRING, 'enum': [1, 2]}, 400, 'enum.0'),
        ('/n/properties', {'name': 'x', **STRING, 'required': []}, 400, 'required'),
        ('/n/properties', {'name': 'x', **STRING, 'minimum': '5'}, 400, 'minimum'),
        ('/n/properties', {'name': 'x', **STRING, 'minLength': -1}, 400, 'minLength'),
        ('/n/properties', {'name': 'x', **STRING, 'confidential': True}, 400, 'confidential'),
        ('/n/properties', {'name': 'x', **STRING, 'updated_at': 'x'}, 403, "'updated_at' is read-only"),
        ('/n/properties', {'name': 'x', **STRING, 'self': 'x'}, 400, 'self'),
        ('/n/resource_types', {'name': 'x' * 81}, 400, 'name'),
        ('/n/resource_types', {'name': 'x', 'prefix': None}, 400, 'prefix'),
        ('/n/resource_types', {'name': 'x', 'created_at': 'x'}, 403, 'read-only'),
        ('/n/tags', {}, 400, "'tags' is a required property"),
        ('/n/tags', [{'name': 'a'}], 400, 'an object is expected'),
        ('/n/tags', {'tags': [{'name': 'a', 'created_at': 'x'}]}, 400, 'created_at'),
        ('/n/tags', {'tags': [{'name': 'x' * 81}]}, 400, 'tags.0'),
        ('/n/tags/' + 'x' * 81, None, 400, 'too long'),
        ('/n/tags/t', {'name': 't'}, 400, 'body is not expected'),
        ('/nowhere/tags/t', None, 404, "'nowhere' could not be found"),
    )  # fmt: skip
    QUERIES = (
        '?limit=x', '?limit=-1', '?limit=', '?sort_key=nope', '?sort_key=', '?sort_dir=up', '?visibility=x',
        '?marker=%00', '?resource_types=%00', '/n/objects?limit=0', '/n/objects?limit=x',
        '/n/objects?sort_dir=up', '/n/objects?visibility=x', '/n/tags?limit=-1', '/n/tags?sort_key=zz',
        '/n/tags?sort_dir=up', '/n/tags?visibility=x', '/n/tags?marker=%00',
    )  # fmt: skip

    def setUp(self):
        super().setUp()
        self.create('n', **CONTENTS)

    def test_each_is_told_why(self):
        for path, body, status, words in self.REFUSED:
            response = self.api.call('POST', f'{NAMESPACES}{path}', body, as_='admin')
            self.assertEqual(status, response.status_int, (path, body, response.text))
            self.assertIn(words, response.json['error']['message'], (path, body))
        listed = self.api.call('GET', NAMESPACES, as_='admin').json['namespaces']
        self.assertEqual(['n'], [each['namespace'] for each in listed])

    def test_numbers_that_are_none(self):
        for text in (b'1e999', b'-1e999', b'NaN', b'Infinity'):
            raw = b'{"name": "x", "title": "T", "type": "number", "minimum": %s}' % text
            response = self.api.call('POST', f'{NAMESPACES}/n/properties', raw=raw, as_='admin')
            self.assertEqual(400, response.status_int, text)

    def test_queries(self):
        for query in self.QUERIES:
            response = self.api.call('GET', f'{NAMESPACES}{query}', as_='admin')
            self.assertEqual(400, response.status_int, (query, response.text))
            self.assertEqual('imagepipe.request.invalid_query', response.json['error']['error_code'])
        for path in ('/%00', '/n/tags/%00', '/n/objects/%00', '/n/properties/p?resource_type=%00'):
            self.assertEqual(404, self.status('GET', f'{NAMESPACES}{path}'), path)


class RoutesTest(MetadefCase):
    #: Path, Allow, and the methods that refuse a body.
    ROUTES = (
        ('/v2/metadefs/resource_types', 'GET', ('GET',)),
        (NAMESPACES, 'GET, POST', ()),
        (f'{NAMESPACES}/n', 'GET, PUT, DELETE', ('GET', 'DELETE')),
        (f'{NAMESPACES}/n/objects', 'GET, POST, DELETE', ()),
        (f'{NAMESPACES}/n/properties', 'GET, POST, DELETE', ('GET',)),
        (f'{NAMESPACES}/n/tags', 'GET, POST, DELETE', ()),
        (f'{NAMESPACES}/n/objects/o', 'GET, PUT, DELETE', ('GET', 'DELETE')),
        (f'{NAMESPACES}/n/properties/p', 'GET, PUT, DELETE', ()),
        (f'{NAMESPACES}/n/tags/t', 'GET, POST, PUT, DELETE', ('GET', 'POST', 'DELETE')),
        (f'{NAMESPACES}/n/resource_types', 'GET, POST', ('GET',)),
        (f'{NAMESPACES}/n/resource_types/R', 'DELETE', ('DELETE',)),
        ('/v2/schemas/metadefs/namespace', 'GET', ('GET',)),
        ('/v2/schemas/metadefs/tags', 'GET', ('GET',)),
    )

    def test_methods_and_bodies(self):
        for path, allowed, bodiless in self.ROUTES:
            for method in {'HEAD', 'PATCH', 'GET', 'POST', 'PUT', 'DELETE'} - set(allowed.split(', ')):
                response = self.api.call(method, path, as_='admin')
                self.assertEqual(
                    (405, allowed), (response.status_int, response.headers['Allow']), (method, path)
                )
            for method in allowed.split(', '):
                refuses = 'A body is not expected' in self.api.call(method, path, {'a': 1}, as_='theirs').text
                self.assertEqual(method in bodiless, refuses, (method, path))
        for path in (f'{NAMESPACES}/', f'{NAMESPACES}/n/', f'{NAMESPACES}/n/x', '/v2/schemas/metadefs/x'):
            self.assertEqual(404, self.status('GET', path), path)


class EventsTest(MetadefCase):
    def events(self):
        """What was told since the last call."""

        def take(tx):
            rows = tx.connection.execute(sa.select(schema.outbox).order_by(schema.outbox.c.id)).all()
            tx.connection.execute(sa.delete(schema.outbox))
            return [(row.event_type, row.priority, json.loads(row.payload)) for row in rows]

        return self.api.services.db.run(take)

    def told(self, method, path, body=None):
        """The event types and payloads that a call makes."""
        self.assertIn(self.status(method, f'{NAMESPACES}{path}', body), (200, 201, 204), (method, path))
        events = self.events()
        self.assertLessEqual({priority for _, priority, _ in events}, {'INFO'})
        return [(event_type, payload) for event_type, _, payload in events]

    def test_a_whole_life_is_told_in_glances_words(self):
        made = self.told('POST', '', {'namespace': 'n', 'visibility': 'public', **CONTENTS})
        self.assertEqual(
            ['metadef_namespace.create', 'metadef_resource_type.create', 'metadef_object.create',
             'metadef_tag.create', 'metadef_property.create'],
            [event_type for event_type, _ in made],
        )  # fmt: skip
        namespace, resource_type, object_, tag, property_ = (payload for _, payload in made)
        time = namespace['created_at']
        self.assertRegex(time, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        times, alive = {'created_at': time, 'updated_at': time}, {'deleted': False, 'deleted_at': None}
        self.assertEqual(
            {
                'namespace': 'n', 'namespace_old': 'n', 'display_name': None, 'protected': False,
                'visibility': 'public', 'owner': 'admins', 'description': None, **times, **alive,
            },
            namespace,
        )  # fmt: skip
        definition = {
            **STRING, 'description': None, 'default': None, 'minimum': None, 'maximum': None, 'enum': None,
            'pattern': None, 'minLength': None, 'maxLength': None, 'confidential': None, 'items': None,
            'uniqueItems': None, 'minItems': None, 'maxItems': None, 'additionalItems': None,
        }  # fmt: skip
        of = {'namespace': 'n', **alive}
        self.assertEqual({**of, 'name': 't', 'name_old': 't', **times}, tag)
        self.assertEqual({**of, 'name': 'p', 'name_old': 'p', **definition}, property_)
        self.assertEqual(
            {**of, 'name': 'R', 'name_old': 'R', 'prefix': 'r_', 'properties_target': None, **times},
            resource_type,
        )
        properties = [{'name': 'a', **definition, 'default': '5'}]
        expected = {**of, 'name': 'o', 'name_old': 'o', 'description': None, 'required': None, **times}
        self.assertEqual({**expected, 'properties': properties}, object_)

    def test_changes_tell_the_old_name(self):
        self.create('n', **CONTENTS)
        self.events()
        for path, body, noun, old in (
            ('/n/tags/t', {'name': 't2'}, 'tag', 't'),
            ('/n/objects/o', {'name': 'o2'}, 'object', 'o'),
            ('/n/properties/p', {'name': 'p2', **STRING}, 'property', 'p'),
        ):
            ((event_type, payload),) = self.told('PUT', path, body)
            self.assertEqual(f'metadef_{noun}.update', event_type)
            self.assertEqual((body['name'], old), (payload['name'], payload['name_old']))
        ((event_type, payload),) = self.told('PUT', '/n', {'namespace': 'm'})
        self.assertEqual('metadef_namespace.update', event_type)
        self.assertEqual(('m', 'n'), (payload['namespace'], payload['namespace_old']))
        tags = self.told('POST', '/m/tags', {'tags': [{'name': 'u'}, {'name': 'v'}]})
        self.assertEqual(
            [('metadef_tag.create', 'u'), ('metadef_tag.create', 'v')],
            [(event_type, payload['name']) for event_type, payload in tags],
        )

    def test_deletes(self):
        self.create('n', **CONTENTS)
        self.events()
        for path, event, deleted in (
            ('/n/tags/t', 'metadef_tag.delete', True),
            ('/n/objects/o', 'metadef_object.delete', True),
            ('/n/properties/p', 'metadef_property.delete', True),
            ('/n/resource_types/R', 'metadef_resource_type.delete', True),
            ('/n/tags', 'metadef_namespace.delete_tags', False),
            ('/n/objects', 'metadef_namespace.delete_objects', False),
            ('/n/properties', 'metadef_namespace.delete_properties', False),
            ('/n', 'metadef_namespace.delete', True),
        ):
            ((event_type, payload),) = self.told('DELETE', path)
            self.assertEqual((event, deleted), (event_type, payload['deleted']))
            self.assertEqual(deleted, payload['deleted_at'] is not None)

    def test_what_is_refused_tells_nothing(self):
        self.create('n', **CONTENTS)
        self.events()
        for method, path, body in (
            ('POST', '', {'namespace': 'n'}),
            ('POST', '/n/objects', {'name': 'o'}),
            ('POST', '/n/tags/t', None),
            ('DELETE', '/n/tags/x', None),
        ):
            self.assertGreaterEqual(self.status(method, f'{NAMESPACES}{path}', body), 400)
        self.assertEqual([], self.events())
