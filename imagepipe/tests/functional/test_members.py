"""Members: who shares, who accepts, who sees whom; on each database, with many writers at once."""

import json

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.db import schema
from imagepipe.tests.fixtures.api import ApiFixture, new_id
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.together import together

FORBIDDEN, NOT_SHARED = 'imagepipe.policy.forbidden', 'imagepipe.member.image_not_shared'
NO_IMAGE, NO_MEMBER = 'imagepipe.image.not_found', 'imagepipe.member.not_found'
BODY = 'imagepipe.request.invalid_body'


class MembersCase(testtools.TestCase):
    overrides = {}
    database_kind = 'sqlite'

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, kind=self.database_kind, overrides=self.overrides))

    def call(self, method, image_id, member=None, body=None, *, as_='ours'):
        path = f'/v2/images/{image_id}/members' + ('' if member is None else f'/{member}')
        return self.api.call(method, path, body, as_=as_)

    def add(self, image_id, project='theirs', *, as_='ours'):
        return self.call('POST', image_id, body={'member': project}, as_=as_)

    def set_status(self, image_id, status, *, member='theirs', as_='theirs'):
        return self.call('PUT', image_id, member, {'status': status}, as_=as_)

    def members(self, image_id, *, as_='ours'):
        response = self.assert_status(200, self.call('GET', image_id, as_=as_))
        self.assertEqual('/v2/schemas/members', response.json['schema'])
        return [(found['member_id'], found['status']) for found in response.json['members']]

    def listed(self, as_='theirs', query=''):
        return [image['id'] for image in self.api.call('GET', f'/v2/images{query}', as_=as_).json['images']]

    def events(self):
        """(type, payload) of every member event so far."""
        query = sa.select(schema.outbox).where(schema.outbox.c.event_type.like('image.member.%'))
        with self.api.services.db.engine.connect() as connection:
            rows = connection.execute(query.order_by(schema.outbox.c.id)).all()
        return [(row.event_type, json.loads(row.payload)) for row in rows]

    def assert_status(self, status, response):
        self.assertEqual(status, response.status_int, response.text)
        return response

    def assert_error(self, status, code, response):
        self.assert_status(status, response)
        self.assertEqual(code, response.json['error']['error_code'])


class AddedAgainTest(MembersCase):
    def test_a_project_that_is_added_again_begins_at_pending(self):
        image_id = self.api.create()['id']
        self.api.share(image_id, 'theirs', 'accepted')
        self.assert_error(409, 'imagepipe.member.exists', self.add(image_id))
        self.assertEqual([('theirs', 'accepted')], self.members(image_id))
        self.assert_status(204, self.call('DELETE', image_id, 'theirs'))
        self.assertEqual('pending', self.add(image_id).json['status'])


class SharingTest(testscenarios.WithScenarios, MembersCase):
    scenarios = DATABASES

    def test_the_life_of_a_share(self):
        image = self.api.create(name='shared')
        self.assertEqual([], self.members(image['id']))
        added = self.assert_status(200, self.add(image['id'])).json
        self.assertEqual(
            {
                'member_id': 'theirs', 'image_id': image['id'], 'status': 'pending',
                'created_at': added['created_at'], 'updated_at': added['created_at'],
                'schema': '/v2/schemas/member',
            },
            added,
        )  # fmt: skip
        self.assertRegex(added['created_at'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')
        self.assertEqual(added, self.call('GET', image['id'], 'theirs').json)
        self.assertEqual(added, self.call('GET', image['id'], 'theirs', as_='theirs').json)
        # Whatever its status a share gives access; accepted ones are in the default list.
        self.assertEqual(image, self.api.call('GET', f'/v2/images/{image["id"]}', as_='theirs').json)
        self.assertEqual([], self.listed())
        self.assertEqual([image['id']], self.listed(query='?member_status=pending'))
        for status, seen in (('accepted', [image['id']]), ('rejected', []), ('pending', [])):
            changed = self.assert_status(200, self.set_status(image['id'], status)).json
            self.assertEqual((status, seen), (changed['status'], self.listed()))
            self.assertEqual([('theirs', status)], self.members(image['id']))
            self.assert_status(200, self.api.call('GET', f'/v2/images/{image["id"]}', as_='theirs'))
        removed = self.assert_status(204, self.call('DELETE', image['id'], 'theirs'))
        self.assertEqual((b'', ['x-openstack-request-id']), (removed.body, list(removed.headers)))
        self.assert_status(404, self.api.call('GET', f'/v2/images/{image["id"]}', as_='theirs'))
        self.assertEqual([], self.members(image['id']))
        self.assertEqual(image, self.api.call('GET', f'/v2/images/{image["id"]}').json)

    def test_names_that_differ_in_a_blank_or_in_case_are_different_projects(self):
        image_id = self.api.create()['id']
        for project in ('Foo', 'foo', 'foo ', '\U0001f600', 'x' * 255):
            self.assert_status(200, self.add(image_id, project))
        self.assertEqual(5, len(self.members(image_id)))
        self.assert_status(204, self.call('DELETE', image_id, 'foo%20'))
        self.assertEqual(
            {'Foo', 'foo', '\U0001f600', 'x' * 255}, {member for member, _ in self.members(image_id)}
        )

    def test_many_projects_added_at_once_share_the_quota(self):
        image_id = self.api.create()['id']
        self.api.conf.set_override('image_member_quota', 4)
        answers = together(*((self.add, image_id, f'project-{number}') for number in range(10)))
        self.assertEqual([200] * 4 + [413] * 6, sorted(answer.status_int for answer in answers))
        self.assertEqual(4, len(self.members(image_id)))

    def test_one_project_added_twice_at_once_is_added_once(self):
        image_id = self.api.create()['id']
        for _ in range(5):
            answers = together(*[(self.add, image_id)] * 4)
            self.assertEqual([200, 409, 409, 409], sorted(answer.status_int for answer in answers))
            removed = together(*[(self.call, 'DELETE', image_id, 'theirs')] * 3)
            self.assertEqual([204, 404, 404], sorted(answer.status_int for answer in removed))
        self.assertEqual(
            ['image.member.create', 'image.member.delete'] * 5, [event for event, _ in self.events()]
        )

    def test_a_private_image_gets_no_member_in_the_moment_it_becomes_private(self):
        for _ in range(5):
            image_id = self.api.create()['id']
            private = {'op': 'replace', 'path': '/visibility', 'value': 'private'}
            added, _ = together((self.add, image_id), (self.api.patch, image_id, private))
            self.assertIn(added.status_int, (200, 403))
            # Whichever came first, the private image has no member that anybody can see.
            self.assert_error(403, NOT_SHARED, self.call('GET', image_id))
            self.assert_status(404, self.api.call('GET', f'/v2/images/{image_id}', as_='theirs'))


class EventsTest(MembersCase):
    def test_each_change_is_told_once(self):
        image_id = self.api.create()['id']
        added = self.add(image_id).json
        changed = self.set_status(image_id, 'accepted').json
        self.call('DELETE', image_id, 'theirs')
        shown = {name: added[name] for name in ('image_id', 'member_id', 'created_at')}
        ((_, created), (_, updated), (_, deleted)) = events = self.events()
        self.assertEqual([f'image.member.{verb}' for verb in ('create', 'update', 'delete')],
                         [event for event, _ in events])  # fmt: skip
        alive = {'deleted': False, 'deleted_at': None}
        self.assertEqual({**shown, 'status': 'pending', 'updated_at': added['updated_at'], **alive}, created)
        self.assertEqual(
            {**shown, 'status': 'accepted', 'updated_at': changed['updated_at'], **alive}, updated
        )
        self.assertEqual(
            (True, 'accepted', set(created)), (deleted['deleted'], deleted['status'], set(deleted))
        )
        self.assertIsNotNone(deleted['deleted_at'])


class RightsTest(MembersCase):
    """Rows: caller, call, and what is answered. The image is ours, shared with theirs and others."""

    def setUp(self):
        super().setUp()
        self.image_id = self.api.create()['id']
        for project in ('theirs', 'others'):
            self.api.share(self.image_id, project, 'pending')

    def check(self, rows):
        for as_, method, member, body, status, code in rows:
            response = self.call(method, self.image_id, member, body, as_=as_)
            self.assertEqual(status, response.status_int, f'{as_} {method} {member}: {response.text}')
            if code is not None:
                self.assertEqual(code, response.json['error']['error_code'], f'{as_} {method} {member}')

    def test_who_sees_whom(self):
        everybody = [('others', 'pending'), ('theirs', 'pending')]
        for as_, seen in (('ours', everybody), ('reader', everybody), ('admin', everybody),
                          ('theirs', [('theirs', 'pending')])):  # fmt: skip
            self.assertEqual(seen, sorted(self.members(self.image_id, as_=as_)), as_)
        self.check([
            ('ours', 'GET', 'others', None, 200, None),
            ('admin', 'GET', 'others', None, 200, None),
            ('reader', 'GET', 'others', None, 200, None),
            ('theirs', 'GET', 'theirs', None, 200, None),
            ('theirs', 'GET', 'others', None, 404, NO_MEMBER),
            ('ours', 'GET', 'nobody', None, 404, NO_MEMBER),
            ('ours', 'GET', 'a%00b', None, 404, NO_MEMBER),
            ('norole', 'GET', 'theirs', None, 404, NO_IMAGE),
            ('norole', 'GET', None, None, 404, NO_IMAGE),
        ])  # fmt: skip

    def test_who_may_change_what(self):
        self.check([
            ('reader', 'POST', None, {'member': 'x'}, 403, FORBIDDEN),
            ('theirs', 'POST', None, {'member': 'x'}, 403, FORBIDDEN),
            ('ours', 'PUT', 'theirs', {'status': 'accepted'}, 403, FORBIDDEN),
            ('reader', 'PUT', 'theirs', {'status': 'accepted'}, 403, FORBIDDEN),
            ('theirs', 'PUT', 'others', {'status': 'accepted'}, 404, NO_MEMBER),
            ('ours', 'PUT', 'nobody', {'status': 'accepted'}, 404, NO_MEMBER),
            ('admin', 'PUT', 'others', {'status': 'accepted'}, 200, None),
            ('theirs', 'DELETE', 'theirs', None, 403, FORBIDDEN),
            ('theirs', 'DELETE', 'others', None, 404, NO_MEMBER),
            ('reader', 'DELETE', 'theirs', None, 403, FORBIDDEN),
            ('ours', 'DELETE', 'nobody', None, 404, NO_MEMBER),
            ('ours', 'DELETE', 'others', None, 204, None),
            ('admin', 'DELETE', 'theirs', None, 204, None),
            ('theirs', 'GET', 'theirs', None, 404, NO_IMAGE),
            ('theirs', 'POST', None, {'member': 'theirs'}, 404, NO_IMAGE),
            ('admin', 'POST', None, {'member': 'x'}, 200, None),
        ])  # fmt: skip

    def test_an_owner_that_is_its_own_member_cannot_accept(self):
        self.assert_status(200, self.add(self.image_id, 'ours'))
        self.assert_error(
            403, FORBIDDEN, self.set_status(self.image_id, 'accepted', member='ours', as_='ours')
        )

    def test_the_members_of_an_image_without_an_owner(self):
        """Everybody sees it by its id, and still only members are members."""
        self.image_id = self.api.create(as_='admin', owner=None)['id']
        self.assert_status(200, self.add(self.image_id, as_='admin'))
        self.assertEqual([('theirs', 'pending')], self.members(self.image_id, as_='theirs'))
        self.check([
            ('ours', 'GET', None, None, 403, FORBIDDEN),
            ('ours', 'GET', 'theirs', None, 404, NO_MEMBER),
            ('ours', 'PUT', 'ours', {'status': 'accepted'}, 404, NO_MEMBER),
            ('theirs', 'PUT', 'theirs', {'status': 'accepted'}, 200, None),
            ('theirs', 'DELETE', 'theirs', None, 403, FORBIDDEN),
        ])  # fmt: skip
        self.assertEqual([self.image_id], self.listed())

    def test_only_shared_images_have_members(self):
        for visibility, as_ in (('private', 'ours'), ('community', 'ours'), ('public', 'admin')):
            image = self.api.create(visibility='shared', as_=as_)
            self.image_id = image['id']
            self.api.share(self.image_id, 'theirs')
            self.assert_status(200, self.api.patch(
                self.image_id, {'op': 'replace', 'path': '/visibility', 'value': visibility}, as_=as_
            ))  # fmt: skip
            self.check([
                (as_, 'GET', None, None, 403, NOT_SHARED),
                (as_, 'GET', 'theirs', None, 404, NO_MEMBER),
                (as_, 'POST', None, {'member': 'x'}, 403, NOT_SHARED),
                (as_, 'PUT', 'theirs', {'status': 'accepted'}, 403, NOT_SHARED),
                (as_, 'DELETE', 'theirs', None, 403, NOT_SHARED),
            ])  # fmt: skip
            # The rows stay, and count again when the image is shared again.
            self.api.patch(
                self.image_id, {'op': 'replace', 'path': '/visibility', 'value': 'shared'}, as_=as_
            )
            self.assertEqual([('theirs', 'accepted')], self.members(self.image_id, as_=as_))


class OddRequestsTest(MembersCase):
    """400 for whatever is no project and no status; never an error of the server."""

    def test_bodies(self):
        image_id = self.api.create()['id']
        self.api.share(image_id, 'theirs', 'pending')
        for body in ({}, {'member': ''}, {'member': None}, {'member': 5}, {'member': True}, {'member': {}},
                     {'member': ['x']}, {'member': 'x' * 256}, {'member': 'a\0b'}, {'member': '\ud800'},
                     {'member_id': 'x'}, [], ['x'], 'x'):  # fmt: skip
            self.assert_error(400, BODY, self.call('POST', image_id, body=body))
        for body in ({}, {'status': ''}, {'status': None}, {'status': 'ACCEPTED'}, {'status': 1},
                     {'status': {}}, {'status': ['accepted']}, {'member': 'x'}, []):  # fmt: skip
            self.assert_error(400, BODY, self.call('PUT', image_id, 'theirs', body, as_='theirs'))
        path = f'/v2/images/{image_id}/members'
        for method, target in (('POST', path), ('PUT', f'{path}/theirs')):
            self.assert_error(400, BODY, self.api.call(method, target))
            self.assert_error(400, BODY, self.api.call(method, target, raw=b'{'))
        for method, target in (('GET', path), ('GET', f'{path}/theirs'), ('DELETE', f'{path}/theirs')):
            self.assert_error(
                400, 'imagepipe.request.body_not_allowed', self.api.call(method, target, {'a': 'b'})
            )
        self.assertEqual([('theirs', 'pending')], self.members(image_id))

    def test_unknown_images_and_methods(self):
        for method, member, body in (
            ('GET', None, None), ('POST', None, {'member': 'x'}), ('GET', 'x', None),
            ('PUT', 'x', {'status': 'pending'}), ('DELETE', 'x', None),
        ):  # fmt: skip
            for image_id in (new_id(), 'a%00b', 'no-uuid'):
                self.assert_error(404, NO_IMAGE, self.call(method, image_id, member, body))
        for path, allow in (('members', 'GET, POST'), ('members/x', 'GET, PUT, DELETE')):
            response = self.assert_status(405, self.api.call('PATCH', f'/v2/images/{new_id()}/{path}', {}))
            self.assertEqual(allow, response.headers['Allow'])

    def test_a_negative_quota_is_none(self):
        self.api.conf.set_override('image_member_quota', -1)
        image_id = self.api.create()['id']
        for number in range(3):
            self.assert_status(200, self.add(image_id, f'project-{number}'))
        self.api.conf.set_override('image_member_quota', 0)
        self.assert_error(413, 'imagepipe.quota.members', self.add(image_id))
