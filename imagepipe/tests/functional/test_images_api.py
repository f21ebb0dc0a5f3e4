"""Stories of the images noun over HTTP, on each database."""

import functools
import json
import shutil
import threading
from concurrent import futures
from urllib.parse import urlencode

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.db import schema
from imagepipe.domain.image import Status
from imagepipe.tests.fixtures.api import V20, V21, ApiFixture, new_id
from imagepipe.tests.fixtures.databases import DATABASES


class ApiCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES
    overrides = None

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, kind=self.database_kind, overrides=self.overrides))

    def assert_status(self, status, response):
        self.assertEqual(status, response.status_int, response.text)
        return response

    def assert_error(self, status, code, response):
        self.assert_status(status, response)
        self.assertEqual(['error'], list(response.json))
        self.assertEqual(
            (status, code), (response.json['error']['code'], response.json['error']['error_code'])
        )
        self.assertEqual(response.headers['x-openstack-request-id'], response.json['error']['request_id'])
        return response

    def names(self, query='', **who):
        response = self.assert_status(200, self.api.call('GET', f'/v2/images{query}', **who))
        return [image['name'] for image in response.json['images']]


class CreateTest(ApiCase):
    def test_an_empty_object_makes_an_image_of_defaults(self):
        response = self.assert_status(201, self.api.call('POST', '/v2/images', {}))
        image = response.json
        path = f'/v2/images/{image["id"]}'
        self.assertEqual(f'http://localhost{path}', response.headers['Location'])
        self.assertEqual(
            'glance-direct,web-download,copy-image', response.headers['OpenStack-image-import-methods']
        )
        self.assertEqual('fast,cheap', response.headers['OpenStack-image-store-ids'])
        self.assertEqual('application/json', response.headers['Content-Type'])
        created = image.pop('created_at')
        self.assertRegex(created, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        self.assertEqual(created, image.pop('updated_at'))
        self.assertEqual(
            {
                'id': image['id'],
                'name': None,
                'status': 'queued',
                'visibility': 'shared',
                'protected': False,
                'os_hidden': False,
                'owner': 'ours',
                'checksum': None,
                'os_hash_algo': None,
                'os_hash_value': None,
                'size': None,
                'virtual_size': None,
                'container_format': None,
                'disk_format': None,
                'min_disk': 0,
                'min_ram': 0,
                'tags': [],
                'self': path,
                'file': f'{path}/file',
                'schema': '/v2/schemas/image',
            },
            image,
        )
        self.assertEqual(response.json, self.api.call('GET', path).json | {'status': 'queued'})

    def test_everything_that_may_be_set_is_kept(self):
        asked = {
            'id': new_id().upper(),
            'name': '',
            'visibility': 'private',
            'protected': True,
            'os_hidden': True,
            'disk_format': 'qcow2',
            'container_format': 'bare',
            'min_disk': 2,
            'min_ram': 1.0,
            'tags': ['b', 'a', 'b'],
            'hw_disk_bus': 'virtio',
            '': 'empty',
            'is_public': 'x',
            'ü': 'é',
        }
        image = self.api.create(**asked)
        shown = self.api.call('GET', f'/v2/images/{asked["id"]}').json
        self.assertEqual(image, shown)
        self.assertEqual({**asked, 'tags': ['a', 'b'], 'min_ram': 1}, {name: shown[name] for name in asked})

    def test_ids_are_taken_for_ever(self):
        image = self.api.create()
        for caller in ('ours', 'theirs', 'admin'):
            response = self.api.call('POST', '/v2/images', {'id': image['id']}, as_=caller)
            self.assert_error(409, 'imagepipe.image.id_taken', response)
        self.assert_status(204, self.api.call('DELETE', f'/v2/images/{image["id"]}'))
        response = self.api.call('POST', '/v2/images', {'id': image['id']})
        self.assert_error(409, 'imagepipe.image.id_taken', response)
        self.assert_error(404, 'imagepipe.image.not_found', self.api.call('GET', f'/v2/images/{image["id"]}'))

    def test_the_owner_is_the_callers_project_unless_an_administrator_says_so(self):
        for owner in ('theirs', None, ''):
            response = self.api.call('POST', '/v2/images', {'owner': owner})
            self.assert_error(403, 'imagepipe.image.owner_forbidden', response)
        self.assertEqual('ours', self.api.create(owner='ours')['owner'])
        self.assertEqual('theirs', self.api.create(owner='theirs', as_='admin')['owner'])
        self.assertIsNone(self.api.create(owner=None, as_='admin')['owner'])

    def test_who_may_create_what(self):
        self.assert_error(
            403, 'imagepipe.policy.forbidden', self.api.call('POST', '/v2/images', {}, as_='reader')
        )
        response = self.api.call('POST', '/v2/images', {'visibility': 'public'})
        self.assert_error(403, 'imagepipe.policy.forbidden', response)
        self.assertIn('publicize_image', response.json['error']['message'])
        self.assertEqual('community', self.api.create(visibility='community')['visibility'])
        self.assertEqual('public', self.api.create(visibility='public', as_='admin')['visibility'])


class LimitsTest(ApiCase):
    scenarios = [('sqlite', {'database_kind': 'sqlite'})]
    overrides = {'image_property_quota': 2, 'image_tag_quota': 2}

    def test_properties_and_tags_have_quotas(self):
        response = self.api.call('POST', '/v2/images', {'a': '1', 'b': '2', 'c': '3'})
        self.assert_error(413, 'imagepipe.quota.properties', response)
        response = self.api.call('POST', '/v2/images', {'tags': ['a', 'b', 'c']})
        self.assert_error(413, 'imagepipe.quota.tags', response)
        image = self.api.create(a='1', b='2', tags=['a', 'b', 'a'])
        add = {'op': 'add', 'path': '/c', 'value': '3'}
        self.assert_error(413, 'imagepipe.quota.properties', self.api.patch(image['id'], add))
        response = self.api.patch(image['id'], {'op': 'replace', 'path': '/tags', 'value': ['x', 'y', 'z']})
        self.assert_error(413, 'imagepipe.quota.tags', response)
        self.assert_status(200, self.api.patch(image['id'], {'op': 'remove', 'path': '/a'}, add))


class ShowTest(ApiCase):
    def test_an_image_that_may_not_be_seen_is_not_found(self):
        image = self.api.create(visibility='private')
        path = f'/v2/images/{image["id"]}'
        for caller in ('theirs', 'norole'):
            self.assert_error(404, 'imagepipe.image.not_found', self.api.call('GET', path, as_=caller))
        for caller in ('ours', 'reader', 'admin'):
            self.assertEqual(image, self.api.call('GET', path, as_=caller).json)
        for unknown in (new_id(), 'no-uuid', 'a%00b', '%F0%9F%A6%84', image['id'].upper()):
            response = self.api.call('GET', f'/v2/images/{unknown}')
            self.assert_error(404, 'imagepipe.image.not_found', response)

    def test_a_shared_image_is_seen_by_its_members_only(self):
        image = self.api.create()
        path = f'/v2/images/{image["id"]}'
        self.assert_status(404, self.api.call('GET', path, as_='theirs'))
        self.api.share(image['id'], 'theirs', 'rejected')
        self.assertEqual(image, self.api.call('GET', path, as_='theirs').json)
        response = self.api.patch(image['id'], {'op': 'add', 'path': '/x', 'value': 'y'}, as_='theirs')
        self.assert_error(403, 'imagepipe.policy.forbidden', response)
        self.assert_error(403, 'imagepipe.policy.forbidden', self.api.call('DELETE', path, as_='theirs'))


class PatchTest(ApiCase):
    def test_a_patch_changes_what_it_names(self):
        image = self.api.create(name='old', keep='1', drop='2', tags=['x'])
        response = self.assert_status(
            200,
            self.api.patch(
                image['id'],
                {'op': 'replace', 'path': '/name', 'value': 'new'},
                {'op': 'add', 'path': '/keep', 'value': '3'},
                {'op': 'remove', 'path': '/drop'},
                {'op': 'add', 'path': '/a~1b', 'value': 'slash'},
                {'op': 'add', 'path': '/tags', 'value': ['y', 'y']},
                {'op': 'replace', 'path': '/disk_format', 'value': 'raw'},
                {'op': 'add', 'path': '/min_ram', 'value': 4},
            ),
        )
        expected = {
            **image,
            'name': 'new',
            'keep': '3',
            'a/b': 'slash',
            'tags': ['y'],
            'disk_format': 'raw',
            'min_ram': 4,
            'updated_at': response.json['updated_at'],
        }
        expected.pop('drop')
        self.assertEqual(expected, response.json)
        self.assertEqual(expected, self.api.call('GET', f'/v2/images/{image["id"]}').json)

    def test_a_failing_operation_leaves_the_image_as_it_was(self):
        image = self.api.create(name='old')
        response = self.api.patch(
            image['id'], {'op': 'replace', 'path': '/name', 'value': 'new'}, {'op': 'remove', 'path': '/gone'}
        )
        self.assert_error(409, 'imagepipe.image.property_missing', response)
        self.assertEqual(image, self.api.call('GET', f'/v2/images/{image["id"]}').json)

    def test_the_old_media_type_adds_only_what_is_not_there(self):
        image = self.api.create(a='1')
        for name in ('a', 'name', 'tags'):
            value = ['x'] if name == 'tags' else 'x'
            response = self.api.patch(image['id'], {'add': f'/{name}', 'value': value}, media=V20)
            self.assert_error(409, 'imagepipe.image.property_exists', response)
        response = self.api.patch(
            image['id'],
            {'add': '/b', 'value': '2'},
            {'replace': '/a', 'value': '3'},
            {'remove': '/b'},
            media=V20,
        )
        self.assertEqual('3', self.assert_status(200, response).json['a'])

    def test_the_order_of_refusals(self):
        unknown = f'/v2/images/{new_id()}'
        response = self.api.call('PATCH', unknown, [], headers={'Content-Type': 'application/json'})
        self.assert_error(415, 'imagepipe.patch.media_type', response)
        self.assertEqual(
            'application/openstack-images-v2.0-json-patch, application/openstack-images-v2.1-json-patch',
            response.headers['Accept-Patch'],
        )
        for code, path in (('imagepipe.request.invalid_body', 'x'), ('imagepipe.patch.invalid', '/x/y')):
            bad = {'op': 'add', 'path': path, 'value': '1'}
            self.assert_error(400, code, self.api.patch(new_id(), bad))
        reserved = {'op': 'add', 'path': '/os_glance_x', 'value': '1'}
        self.assert_error(403, 'imagepipe.image.property_reserved', self.api.patch(new_id(), reserved))
        good = {'op': 'add', 'path': '/x', 'value': '1'}
        self.assert_error(404, 'imagepipe.image.not_found', self.api.patch(new_id(), good))

    def test_an_empty_patch_changes_nothing_and_asks_nobody(self):
        image = self.api.create(visibility='community')
        self.assertEqual(image, self.assert_status(200, self.api.patch(image['id'], as_='theirs')).json)

    def test_the_owner_is_changed_by_administrators_only(self):
        image = self.api.create()
        for verb in ('add', 'replace'):
            response = self.api.patch(image['id'], {'op': verb, 'path': '/owner', 'value': 'theirs'})
            self.assert_error(403, 'imagepipe.image.owner_forbidden', response)
        self.assertEqual('ours', self.api.call('GET', f'/v2/images/{image["id"]}').json['owner'])
        self.assert_status(200, self.api.patch(image['id'], {'op': 'add', 'path': '/owner', 'value': 'ours'}))
        response = self.api.patch(
            image['id'], {'op': 'replace', 'path': '/owner', 'value': 'theirs'}, as_='admin'
        )
        self.assertEqual('theirs', self.assert_status(200, response).json['owner'])
        self.assert_status(404, self.api.call('GET', f'/v2/images/{image["id"]}'))

    def test_visibility_has_rules_of_its_own(self):
        image = self.api.create()
        public = {'op': 'replace', 'path': '/visibility', 'value': 'public'}
        self.assert_error(403, 'imagepipe.policy.forbidden', self.api.patch(image['id'], public))
        self.assert_status(200, self.api.patch(image['id'], public, as_='admin'))
        response = self.api.patch(image['id'], {'op': 'replace', 'path': '/visibility', 'value': 'community'})
        self.assertEqual('community', self.assert_status(200, response).json['visibility'])


class ListTest(ApiCase):
    def test_links_lead_through_all_pages_with_every_parameter(self):
        for number in range(5):
            self.api.create(name=f'n {number}', tags=['a', 'b'])
        self.api.create(name='other', tags=['a'])
        path, seen = '/v2/images?tag=a&tag=b&limit=2&sort=name:asc', []
        while path:
            page = self.assert_status(200, self.api.call('GET', path)).json
            self.assertEqual('/v2/schemas/images', page['schema'])
            self.assertEqual('/v2/images?tag=a&tag=b&limit=2&sort=name%3Aasc', page['first'])
            seen += [image['name'] for image in page['images']]
            path = page.get('next')
        self.assertEqual([f'n {number}' for number in range(5)], seen)

    def test_a_full_last_page_has_a_next_link_to_an_empty_one(self):
        self.api.create()
        page = self.api.call('GET', '/v2/images?limit=1').json
        self.assertIn('next', page)
        after = self.api.call('GET', page['next']).json
        self.assertEqual([], after['images'])
        self.assertNotIn('next', after)
        self.assertNotIn('next', self.api.call('GET', '/v2/images?limit=0').json)
        self.assertEqual('/v2/images', self.api.call('GET', '/v2/images').json['first'])

    def test_what_each_caller_lists(self):
        self.api.create(name='own')
        self.api.create(name='community', visibility='community', as_='theirs')
        shared = self.api.create(name='shared', as_='theirs')
        self.api.share(shared['id'], 'ours', 'pending')
        self.api.create(name='public', visibility='public', as_='admin')
        self.api.create(name='hidden', os_hidden=True)
        self.assertEqual(['public', 'own'], self.names())
        self.assertEqual(['public', 'shared', 'own'], self.names('?member_status=pending'))
        self.assertEqual(['public', 'community', 'own'], self.names('?visibility=all'))
        self.assertEqual(['hidden'], self.names('?os_hidden=true'))
        self.assertEqual(['public', 'shared', 'own'], self.names(as_='admin'))
        response = self.api.call('GET', '/v2/images', as_='norole')
        self.assert_error(403, 'imagepipe.policy.forbidden', response)

    def test_bad_parameters(self):
        private = self.api.create(visibility='private', as_='theirs')
        for query in (
            'limit=x',
            'limit=-1',
            f'marker={new_id()}',
            'sort_key=bogus',
            'sort_dir=up',
            'sort=name:up',
            'sort=name&sort_key=name',
            'sort_key=name&sort_dir=asc&sort_dir=desc',
            'visibility=secret',
            'member_status=x',
            'os_hidden=1',
            'protected=True',
            'name=x:y',
            'name=in:%22a',
            'changes-since=1',
            'created_at=never',
            'created_at=near:2020-01-01',
            'size_min=x',
        ):
            response = self.api.call('GET', f'/v2/images?{query}')
            self.assertEqual(400, response.status_int, query)
        response = self.api.call('GET', f'/v2/images?marker={private["id"]}')
        self.assert_error(403, 'imagepipe.request.marker_forbidden', response)
        self.assert_error(
            400, 'imagepipe.request.invalid_encoding', self.api.call('GET', '/v2/images?name=%FF')
        )
        for query in ('properties=x', 'locations=x', 'members=x', 'os_min=3', 'name=%00', 'visibility='):
            self.assertEqual([], self.names(f'?{query}'), query)
        self.assertEqual([], self.names('?deleted=true'))


class WhereaboutsTest(ApiCase):
    overrides = {'show_image_direct_url': True, 'show_multiple_locations': True, 'cheap.weight': 5}

    def test_where_the_data_is(self):
        image = self.api.create(disk_format='raw', container_format='bare')
        self.assertEqual([], image['locations'])
        path = f'/v2/images/{image["id"]}'
        headers = {'Content-Type': 'application/octet-stream', 'X-Image-Meta-Store': 'fast'}
        self.assert_status(204, self.api.call('PUT', f'{path}/file', raw=b'x' * 100, headers=headers))
        self.copy_location('cheap', 'file:///elsewhere')
        shown = self.api.call('GET', path).json
        self.assertEqual('cheap,fast', shown['stores'])
        self.assertEqual('file:///elsewhere', shown['direct_url'])
        self.assertEqual(
            ['cheap', 'fast'], [location['metadata']['store'] for location in shown['locations']]
        )
        self.assertEqual([shown], self.api.call('GET', '/v2/images').json['images'])
        self.hide(image['id'])
        hidden = self.api.call('GET', path).json
        self.assertEqual([], hidden['locations'])
        self.assertNotIn('direct_url', hidden)
        self.assertNotIn('stores', hidden)
        self.assertEqual('cheap,fast', self.api.call('GET', path, as_='admin').json['stores'])

    def copy_location(self, store, url):
        def change(tx):
            table = schema.locations
            row = dict(tx.connection.execute(sa.select(table)).one()._mapping)
            tx.connection.execute(
                sa.insert(table).values({**row, 'id': new_id(), 'store': store, 'url': url})
            )

        self.api.services.db.run(change)

    def hide(self, image_id):
        """Deactivate the image (there is no call for it yet)."""

        def change(tx):
            image = tx.images.find(image_id)
            tx.images.save(image.to(Status.DEACTIVATED), expected=image)

        self.api.services.db.run(change)


class EventsTest(ApiCase):
    def events(self):
        rows = self.api.services.db.read(
            lambda tx: tx.connection.execute(sa.select(schema.outbox).order_by(schema.outbox.c.id)).all()
        )
        return [(row.event_type, json.loads(row.payload)) for row in rows]

    def test_what_happened_is_told_and_nothing_else(self):
        image = self.api.create(name='x', a='1', tags=['t'])
        self.api.patch(image['id'], {'op': 'replace', 'path': '/name', 'value': 'y'})
        self.api.patch(image['id'], {'op': 'replace', 'path': '/gone', 'value': 'y'})
        self.api.patch(image['id'])
        self.api.call('POST', '/v2/images', {'id': image['id']})
        created, updated = self.events()
        self.assertEqual(('image.create', 'image.update'), (created[0], updated[0]))
        self.assertEqual(
            {
                'id': image['id'],
                'name': 'x',
                'status': 'queued',
                'owner': 'ours',
                'visibility': 'shared',
                'is_public': False,
                'properties': {'a': '1'},
                'tags': ['t'],
                'deleted': False,
                'deleted_at': None,
                'created_at': image['created_at'],
                'updated_at': image['updated_at'],
                'min_disk': 0,
                'min_ram': 0,
                'protected': False,
                'checksum': None,
                'disk_format': None,
                'container_format': None,
                'size': None,
                'virtual_size': None,
            },
            created[1],
        )
        self.assertEqual('y', updated[1]['name'])


class ConcurrencyTest(ApiCase):
    def together(self, *calls):
        """The responses of calls that are made at the same time."""
        start = threading.Barrier(len(calls))

        def run(call):
            start.wait()
            return call()

        with futures.ThreadPoolExecutor(len(calls)) as pool:
            return [done.result() for done in [pool.submit(run, call) for call in calls]]

    def test_no_patch_is_lost(self):
        image = self.api.create()
        responses = self.together(
            *(
                functools.partial(
                    self.api.patch, image['id'], {'op': 'add', 'path': f'/p{number}', 'value': 'x'}
                )
                for number in range(6)
            )
        )
        self.assertEqual([200] * 6, [response.status_int for response in responses])
        shown = self.api.call('GET', f'/v2/images/{image["id"]}').json
        self.assertEqual(
            [f'p{number}' for number in range(6)],
            sorted(name for name in shown if name[0] == 'p' and name[1:].isdigit()),
        )

    def test_an_id_is_given_once(self):
        for _ in range(3):
            body = {'id': new_id(), 'tags': ['x']}
            responses = self.together(*[functools.partial(self.api.call, 'POST', '/v2/images', body)] * 4)
            self.assertEqual([201, 409, 409, 409], sorted(response.status_int for response in responses))

    def test_a_delete_and_a_create_of_its_id(self):
        for _ in range(3):
            image = self.api.create()
            path = f'/v2/images/{image["id"]}'
            deleted, created = self.together(
                functools.partial(self.api.call, 'DELETE', path),
                functools.partial(self.api.call, 'POST', '/v2/images', {'id': image['id']}),
            )
            self.assertEqual((204, 409), (deleted.status_int, created.status_int))
            self.assertEqual(404, self.api.call('GET', path).status_int)


class CostTest(ApiCase):
    """Statements of each call; they do not depend on how many images, properties or tags there are."""

    def count(self, method, path, body=None, **more):
        return len(self.api.statements(method, path, body, **more))

    def counts(self, image_id, body):
        path = f'/v2/images/{image_id}'
        operations = [
            {'op': 'replace', 'path': f'/{name}', 'value': 'new'} for name in body if name != 'tags'
        ]
        return {
            'show': self.count('GET', path),
            'list': self.count('GET', '/v2/images'),
            'next page': self.count('GET', f'/v2/images?marker={image_id}'),
            'by name': self.count('GET', '/v2/images?name=x'),
            'by property and tag': self.count('GET', '/v2/images?a=1&tag=t&b=2'),
            'create': self.count('POST', '/v2/images', body),
            'patch': self.count('PATCH', path, operations, headers={'Content-Type': V21}),
        }

    def test_statements_of_each_call(self):
        body = {'name': 'x', 'a': '1', 'b': '2', 'tags': ['t', 'u']}
        few = self.counts(self.api.create(**body)['id'], body)
        self.assertEqual(
            {
                'show': 1,
                'list': 1,
                'next page': 4,
                'by name': 1,
                'by property and tag': 4,
                'create': 5,
                'patch': 4,
            },
            few,
        )
        body |= {f'property {number}': 'value' for number in range(50)}
        body['tags'] = [f'tag {number}' for number in range(50)]
        for _ in range(25):
            last = self.api.create(**body)
        self.assertEqual(few, self.counts(last['id'], body))


class ValuesTest(ApiCase):
    def test_names_that_differ_in_case_and_blanks_are_three(self):
        for name in ('foo ', 'Foo', 'foo'):
            self.api.create(name=name, tags=[name], twin=name)
        for name in ('Foo', 'foo', 'foo '):
            text = name.replace(' ', '%20')
            self.assertEqual([name], self.names(f'?name={text}'))
            self.assertEqual([name], self.names(f'?name=in:"{text}",bar'))
            self.assertEqual([name], self.names(f'?twin={text}'))
        self.assertEqual(['foo', 'foo '], sorted(self.names('?tag=foo%20') + self.names('?name=foo%20')))
        self.assertEqual(['Foo', 'foo', 'foo '], self.names('?sort=name:asc'))
        self.assertEqual(['foo ', 'foo', 'Foo'], self.names('?sort_key=name'))
        marker = self.api.call('GET', '/v2/images?name=foo').json['images'][0]['id']
        self.assertEqual(['foo '], self.names(f'?sort=name:asc&marker={marker}'))

    def test_a_value_of_64_kib_is_kept_found_and_replaced(self):
        value = 'é' * 16384 + '☃\\"\x01' * 10922
        self.assertLess(65535, len(value.encode()))
        image = self.api.create(name='long', notes=value)
        self.api.create(name='other', notes=value[:-1])
        self.assertEqual(value, self.api.call('GET', f'/v2/images/{image["id"]}').json['notes'])
        self.assertEqual(['long'], self.names(f'?{urlencode({"notes": value})}'))
        self.assertEqual(
            [value, value[:-1]],
            [found['notes'] for found in self.api.call('GET', '/v2/images?sort=name:asc').json['images']],
        )
        operation = {'op': 'replace', 'path': '/notes', 'value': value[1:]}
        self.assertEqual(value[1:], self.api.patch(image['id'], operation).json['notes'])
        self.assertEqual([], self.names(f'?{urlencode({"notes": value})}'))

    def test_no_store_is_touched(self):
        image = self.api.create(name='a')
        path = f'/v2/images/{image["id"]}'
        formats = [{'op': 'replace', 'path': f'/{kind}_format', 'value': value} for kind, value in FORMATS]
        self.assert_status(200, self.api.patch(image['id'], *formats))
        stream = {'Content-Type': 'application/octet-stream'}
        self.assert_status(204, self.api.call('PUT', f'{path}/file', raw=b'data', headers=stream))
        before = [self.api.call('GET', where).json for where in (path, '/v2/images')]
        self.assertEqual('fast', before[0]['stores'])
        shutil.rmtree(f'{self.api.root}/stores')
        self.assertEqual(before, [self.api.call('GET', where).json for where in (path, '/v2/images')])


FORMATS = (('disk', 'raw'), ('container', 'bare'))
