"""Tags one by one, and actions: what they answer, and that writers at the same time lose nothing."""

import json

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.db import schema
from imagepipe.tests.fixtures.api import ApiFixture, new_id
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.together import together

FORBIDDEN, NO_IMAGE = 'imagepipe.policy.forbidden', 'imagepipe.image.not_found'
DATA = b'0123456789'


class ImageCase(testtools.TestCase):
    database_kind = 'sqlite'
    overrides = {}

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, kind=self.database_kind, overrides=self.overrides))

    def tag(self, image_id, tag, *, method='PUT', as_='ours'):
        return self.api.call(method, f'/v2/images/{image_id}/tags/{tag}', as_=as_)

    def act(self, image_id, action, *, as_='ours'):
        return self.api.call('POST', f'/v2/images/{image_id}/actions/{action}', as_=as_)

    def active(self, **attributes):
        """An image with data."""
        image = self.api.create(disk_format='raw', container_format='bare', **attributes)
        path, headers = f'/v2/images/{image["id"]}/file', {'Content-Type': 'application/octet-stream'}
        self.assert_status(204, self.api.call('PUT', path, raw=DATA, headers=headers))
        return image['id']

    def show(self, image_id, *, as_='ours'):
        return self.assert_status(200, self.api.call('GET', f'/v2/images/{image_id}', as_=as_)).json

    def updates(self):
        """The payloads of image.update so far."""
        query = sa.select(schema.outbox).where(schema.outbox.c.event_type == 'image.update')
        with self.api.services.db.engine.connect() as connection:
            rows = connection.execute(query.order_by(schema.outbox.c.id)).all()
        return [json.loads(row.payload) for row in rows]

    def assert_done(self, response):
        self.assertEqual((204, b''), (response.status_int, response.body))
        self.assertEqual('text/html; charset=UTF-8', response.headers['Content-Type'])

    def assert_status(self, status, response):
        self.assertEqual(status, response.status_int, response.text)
        return response

    def assert_error(self, status, code, response):
        self.assert_status(status, response)
        self.assertEqual(code, response.json['error']['error_code'])


class OneTagTest(ImageCase):
    def test_a_tag_is_put_and_deleted(self):
        image_id = self.api.create(tags=['first'])['id']
        for _ in range(2):
            self.assert_done(self.tag(image_id, 'second'))
        self.assertEqual(['first', 'second'], self.show(image_id)['tags'])
        self.assert_done(self.tag(image_id, 'first', method='DELETE'))
        self.assert_error(404, 'imagepipe.image.tag_not_found', self.tag(image_id, 'first', method='DELETE'))
        self.assertEqual(['second'], self.show(image_id)['tags'])
        # What changed nothing is told to nobody.
        self.assertEqual([['first', 'second'], ['second']], [told['tags'] for told in self.updates()])


class TagsTest(testscenarios.WithScenarios, ImageCase):
    scenarios = DATABASES

    def test_tags_of_every_kind(self):
        image_id = self.api.create()['id']
        for path, tag in (
            ('Foo', 'Foo'), ('foo', 'foo'), ('foo%20', 'foo '), ('a.b', 'a.b'), ('a%25b', 'a%b'),
            ('%F0%9F%98%80', '\U0001f600'), ('%C3%A9', 'é'), ('a%3Bb', 'a;b'), ('x' * 255, 'x' * 255),
            ('a%0Ab', 'a\nb'),
        ):  # fmt: skip
            self.assert_done(self.tag(image_id, path))
            self.assertIn(tag, self.show(image_id)['tags'])
            self.assert_done(self.tag(image_id, path, method='DELETE'))
        self.assertEqual([], self.show(image_id)['tags'])

    def test_writers_at_the_same_time_lose_nothing(self):
        """Tags by PUT, others by DELETE, and patches of the image between them."""
        image_id = self.api.create(tags=[f'old-{number}' for number in range(6)])['id']
        calls = []
        for number in range(6):
            patch = {'op': 'add', 'path': f'/property-{number}', 'value': 'x'}
            calls += [
                (self.tag, image_id, f'new-{number}'),
                (lambda tag: self.tag(image_id, tag, method='DELETE'), f'old-{number}'),
                (self.api.patch, image_id, patch),
            ]
        answers = together(*calls)
        self.assertEqual([204, 204, 200] * 6, [answer.status_int for answer in answers])
        image = self.show(image_id)
        self.assertEqual([f'new-{number}' for number in range(6)], image['tags'])
        self.assertEqual({'x'}, {image.get(f'property-{number}') for number in range(6)})

    def test_tags_added_at_the_same_time_share_the_quota(self):
        self.api.conf.set_override('image_tag_quota', 3)
        image_id = self.api.create(tags=['first'])['id']
        answers = together(*((self.tag, image_id, f'tag-{number}') for number in range(6)))
        self.assertEqual([204] * 2 + [413] * 4, sorted(answer.status_int for answer in answers))
        self.assertEqual(3, len(self.show(image_id)['tags']))
        # A tag that is there needs no room.
        self.assert_done(self.tag(image_id, 'first'))


class TagRefusalsTest(ImageCase):
    def test_what_is_refused(self):
        image = self.api.create(tags=['first'])
        self.api.share(image['id'], 'theirs')
        for method in ('PUT', 'DELETE'):
            for as_ in ('reader', 'theirs'):
                self.assert_error(403, FORBIDDEN, self.tag(image['id'], 'first', method=method, as_=as_))
            self.assert_error(404, NO_IMAGE, self.tag(image['id'], 'x', method=method, as_='norole'))
            for unknown in (new_id(), 'a%00b'):
                self.assert_error(404, NO_IMAGE, self.tag(unknown, 'x', method=method))
            response = self.api.call(method, f'/v2/images/{image["id"]}/tags/first', {'a': 'b'})
            self.assert_error(400, 'imagepipe.request.body_not_allowed', response)
            self.assert_status(404, self.tag(image['id'], 'a/b', method=method))
            self.assert_status(404, self.tag(image['id'], 'first%0A', method=method))
            self.assert_status(404, self.tag(image['id'], '', method=method))
        for tag in ('x' * 256, 'a%00b'):
            self.assert_error(400, 'imagepipe.image.invalid_tag', self.tag(image['id'], tag))
            self.assert_status(404, self.tag(image['id'], tag, method='DELETE'))
        response = self.assert_status(405, self.tag(image['id'], 'first', method='GET'))
        self.assertEqual('PUT, DELETE', response.headers['Allow'])
        self.assertEqual(image, self.show(image['id']))


class DeactivatedTest(ImageCase):
    def test_a_deactivated_image_hides_its_data_from_all_but_administrators(self):
        image_id = self.active()
        self.api.share(image_id, 'theirs')
        before = self.show(image_id)
        self.assertEqual('fast', before['stores'])
        for _ in range(2):
            self.assert_done(self.act(image_id, 'deactivate'))
        path = f'/v2/images/{image_id}'
        for as_ in ('ours', 'theirs'):
            shown = self.show(image_id, as_=as_)
            self.assertEqual(('deactivated', False), (shown['status'], 'stores' in shown))
            self.assertEqual({*before} - {'stores'}, {*shown})
            response = self.api.call('GET', f'{path}/file', as_=as_)
            self.assert_error(403, 'imagepipe.image.deactivated', response)
        self.assertEqual('fast', self.show(image_id, as_='admin')['stores'])
        self.assertEqual(DATA, self.api.call('GET', f'{path}/file', as_='admin').body)
        headers = {'Content-Type': 'application/octet-stream'}
        self.assert_status(409, self.api.call('PUT', f'{path}/file', raw=DATA, headers=headers))
        self.assert_status(200, self.api.patch(image_id, {'op': 'add', 'path': '/a', 'value': 'b'}))
        self.assert_done(self.tag(image_id, 'x'))
        for _ in range(2):
            self.assert_done(self.act(image_id, 'reactivate'))
        self.assertEqual(DATA, self.api.call('GET', f'{path}/file').body)
        self.assertEqual(['deactivated'] * 3 + ['active'], [told['status'] for told in self.updates()][-4:])

    def test_an_owner_who_deletes_it_leaves_no_data_behind(self):
        image_id = self.active()
        self.assert_done(self.act(image_id, 'deactivate'))
        self.assert_status(204, self.api.call('DELETE', f'/v2/images/{image_id}'))
        self.assertEqual([], list(self.api.services.stores['fast'].names()))
        self.assertEqual(0, self.api.services.db.read(lambda tx: tx.usages.used('project:ours', 'bytes')))


class ActionsTest(testscenarios.WithScenarios, ImageCase):
    scenarios = DATABASES

    def test_actions_and_patches_at_the_same_time(self):
        image_id = self.active()
        answers = together(
            *[(self.act, image_id, 'deactivate')] * 3,
            *[(self.act, image_id, 'reactivate')] * 3,
            (self.api.patch, image_id, {'op': 'add', 'path': '/a', 'value': 'b'}),
        )
        self.assertEqual([204] * 6 + [200], [answer.status_int for answer in answers])
        image = self.show(image_id)
        self.assertIn(image['status'], ('active', 'deactivated'))
        self.assertEqual('b', image['a'])


class ActionRefusalsTest(ImageCase):
    overrides = {'show_image_direct_url': True, 'show_multiple_locations': True}

    def test_what_is_refused(self):
        queued, active = self.api.create()['id'], self.active()
        self.api.share(active, 'theirs')
        for action in ('deactivate', 'reactivate'):
            self.assert_error(403, 'imagepipe.image.action_impossible', self.act(queued, action))
            for as_ in ('reader', 'theirs'):
                self.assert_error(403, FORBIDDEN, self.act(active, action, as_=as_))
            self.assert_error(404, NO_IMAGE, self.act(active, action, as_='norole'))
            self.assert_error(404, NO_IMAGE, self.act(new_id(), action))
            response = self.api.call('POST', f'/v2/images/{active}/actions/{action}', {'a': 'b'})
            self.assert_error(400, 'imagepipe.request.body_not_allowed', response)
            response = self.assert_status(405, self.api.call('GET', f'/v2/images/{active}/actions/{action}'))
            self.assertEqual('POST', response.headers['Allow'])
        self.assert_status(404, self.act(active, 'burn'))
        self.assertEqual('active', self.show(active)['status'])

    def test_its_locations_are_for_administrators(self):
        image_id = self.active()
        shown = self.show(image_id)
        self.assertEqual(1, len(shown['locations']))
        self.assert_done(self.act(image_id, 'deactivate', as_='admin'))
        hidden = self.show(image_id)
        self.assertEqual(
            ([], False, False), (hidden['locations'], 'direct_url' in hidden, 'stores' in hidden)
        )
        seen = self.show(image_id, as_='admin')
        self.assertEqual(
            (shown['locations'], shown['direct_url'], 'fast'),
            (seen['locations'], seen['direct_url'], seen['stores']),
        )
