"""The calls of the image cache, those of /v2/cache and the older ones: answers, rights, the queue."""

import fixtures

from imagepipe.domain.image import Status
from imagepipe.operations import cache as operations
from imagepipe.services import Services
from imagepipe.tests.fixtures.api import ApiFixture, new_id
from imagepipe.tests.fixtures.caching import DATA, NODE, CacheCase
from imagepipe.wsgi.caretaker import Caretaker

#: Every call without an image, and one of an image that exists, with what it answers an admin.
CALLS = (
    ('GET', '/v2/cache', 200),
    ('DELETE', '/v2/cache', 204),
    ('PUT', '/v2/cache/{image}', 202),
    ('DELETE', '/v2/cache/{image}', 204),
    ('POST', '/v2/cache/clean', 200),
    ('POST', '/v2/cache/prune', 200),
    ('GET', '/v2/cache/nodes/{image}', 200),
    ('GET', '/v2/cached_images', 200),
    ('DELETE', '/v2/cached_images', 200),
    ('DELETE', '/v2/cached_images/{image}', 200),
    ('GET', '/v2/queued_images', 200),
    ('DELETE', '/v2/queued_images', 200),
    ('PUT', '/v2/queued_images/{image}', 200),
    ('DELETE', '/v2/queued_images/{image}', 200),
)


class CallsTest(CacheCase):
    def admin(self, method, path, body=None, **headers):
        return self.api.call(method, path, body, as_='admin', headers=headers)

    def queue(self):
        return self.admin('GET', '/v2/cache').json['queued_images']

    def test_who_may_and_who_may_not(self):
        image_id = self.image()
        for method, path, answer in CALLS:
            called = path.format(image=image_id)
            self.assertEqual(answer, self.admin(method, called).status_int, (method, path))
            self.assertEqual(403, self.api.call(method, called).status_int, (method, path))
            refused = self.api.call(method, called, as_='theirs').status_int
            # Who may not see the image is not told that it is there.
            self.assertEqual(404 if path == '/v2/cache/{image}' else 403, refused, (method, path))

    def test_without_a_cache_there_is_nothing(self):
        api = self.useFixture(ApiFixture(self))
        image_id = api.create()['id']
        for method, path, _answer in CALLS:
            called = path.format(image=image_id)
            response = api.call(method, called, as_='admin')
            self.assertEqual(404, response.status_int, (method, path))
            self.assertEqual('imagepipe.cache.disabled', response.json['error']['error_code'])
            self.assertEqual(403, api.call(method, called).status_int, (method, path))
        self.assertEqual(404, api.call('DELETE', f'/v2/cache/{new_id()}', as_='admin').status_int)

    def test_bodies_and_methods(self):
        image_id = self.image()
        for method, path, code, allow in (
            ('GET', '/v2/cache', 400, None),
            ('PUT', f'/v2/cache/{image_id}', 400, None),
            ('GET', f'/v2/cache/nodes/{image_id}', 400, None),
            ('POST', '/v2/cache/clean', 200, None),
            ('PATCH', '/v2/cache', 405, 'GET, DELETE'),
            ('HEAD', '/v2/cache', 405, 'GET, DELETE'),
            ('GET', f'/v2/cache/{image_id}', 405, 'DELETE, PUT'),
            ('PUT', '/v2/cache/clean', 405, 'POST'),
            ('DELETE', '/v2/cache/prune', 405, 'POST'),
            ('POST', f'/v2/cache/nodes/{image_id}', 405, 'GET'),
        ):
            response = self.admin(method, path, {'some': 'thing'})
            self.assertEqual((code, allow), (response.status_int, response.headers.get('Allow')), path)

    def test_an_image_is_queued_fetched_and_listed(self):
        one, two = self.image(), self.image()
        for image_id in (one, two, one):
            response = self.admin('PUT', f'/v2/cache/{image_id}')
            self.assertEqual((202, b''), (response.status_int, response.body))
        self.assertEqual([one, two], self.queue())
        self.assertTrue(self.services.cache.wanted.is_set())
        Caretaker(self.services).work()
        found = self.admin('GET', '/v2/cache').json
        self.assertEqual(
            ([], {one, two}), (found['queued_images'], {each['image_id'] for each in found['cached_images']})
        )
        for copy in found['cached_images']:
            self.assertEqual((len(DATA), 0, 0), (copy['size'], copy['hits'], copy['last_accessed']))
        self.assertEqual({one: DATA, two: DATA}, self.copies())
        self.assertEqual([NODE], self.admin('GET', f'/v2/cache/nodes/{one}').json)
        # Asked again, it is there already.
        self.admin('PUT', f'/v2/cache/{one}')
        Caretaker(self.services).work()
        self.assertEqual([], self.queue())

    def test_what_cannot_be_queued(self):
        queued = self.api.create()['id']
        deactivated = self.image()
        self.set_status(deactivated, Status.DEACTIVATED)
        for image_id, code, error in (
            (new_id(), 404, 'imagepipe.image.not_found'),
            (queued, 400, 'imagepipe.cache.not_active'),
            (deactivated, 400, 'imagepipe.cache.not_active'),
        ):
            for path in ('cache', 'queued_images'):
                response = self.admin('PUT', f'/v2/{path}/{image_id}')
                self.assertEqual((code, error), (response.status_int, response.json['error']['error_code']))
        self.assertEqual([], self.queue())

    def test_what_cannot_be_had_any_more_leaves_the_queue(self):
        deleted, deactivated, large = self.image(), self.image(), self.image()
        for image_id in (deleted, deactivated, large):
            self.admin('PUT', f'/v2/cache/{image_id}')
        self.api.call('DELETE', f'/v2/images/{deleted}')
        self.set_status(deactivated, Status.DEACTIVATED)
        self.services.cache._max_size = len(DATA) - 1
        Caretaker(self.services).work()
        self.assertEqual(([], {}), (self.queue(), self.copies()))

    def test_data_that_no_store_has_are_not_asked_for_again(self):
        self.admin('PUT', f'/v2/cache/{self.image()}')
        self.lose_stores()
        Caretaker(self.services).work()
        self.assertEqual([], self.queue())

    def test_a_fetch_that_fails_is_tried_again_and_not_for_ever(self):
        image_id = self.image()
        (stored,) = self.stored()
        stored.write_bytes(DATA[::-1])
        self.admin('PUT', f'/v2/cache/{image_id}')
        for _ in range(operations.ATTEMPTS - 1):
            Caretaker(self.services).work()
            self.assertEqual([image_id], self.queue())
        Caretaker(self.services).work()
        self.assertEqual(([], {}, []), (self.queue(), self.copies(), self.incomplete()))
        stored.write_bytes(DATA)
        self.admin('PUT', f'/v2/cache/{image_id}')
        Caretaker(self.services).work()
        self.assertEqual({image_id: DATA}, self.copies())

    def test_delete_of_one(self):
        copied, waiting, neither = self.cached(), self.image(), self.image()
        self.admin('PUT', f'/v2/cache/{waiting}')
        for image_id in (copied, waiting, neither):
            self.assertEqual(204, self.admin('DELETE', f'/v2/cache/{image_id}').status_int)
        self.assertEqual(({}, {}, []), (self.copies(), self.records(), self.queue()))
        response = self.admin('DELETE', f'/v2/cache/{new_id()}')
        self.assertEqual('imagepipe.image.not_found', response.json['error']['error_code'])
        gone = self.cached()
        aside = (self.directory / gone).read_bytes()
        self.api.call('DELETE', f'/v2/images/{gone}')
        (self.directory / gone).write_bytes(aside)
        self.assertEqual(204, self.admin('DELETE', f'/v2/cache/{gone}').status_int)
        self.assertEqual({}, self.copies())

    def test_delete_of_all(self):
        for target, copies, waiting in (
            ({}, 0, 0),
            ({'x-image-cache-clear-target': 'Cache'}, 0, 1),
            ({'x-image-cache-clear-target': 'QUEUE'}, 1, 0),
            ({'x-image-cache-clear-target': ''}, 0, 0),
        ):
            self.cached()
            self.admin('PUT', f'/v2/cache/{self.image()}')
            self.assertEqual(204, self.admin('DELETE', '/v2/cache', **target).status_int)
            self.assertEqual((copies, waiting), (len(self.copies()), len(self.queue())), target)
            self.assertEqual(set(self.copies()), set(self.records()))
            self.admin('DELETE', '/v2/cache')
        response = self.admin('DELETE', '/v2/cache', **{'x-image-cache-clear-target': 'all'})
        self.assertEqual('imagepipe.request.invalid_header', response.json['error']['error_code'])

    def test_the_older_calls(self):
        one, two, three, four = self.cached(), self.cached(), self.image(), self.image()
        for image_id in (three, four):
            self.assertIsNone(self.admin('PUT', f'/v2/queued_images/{image_id}').json)
        listed = self.admin('GET', '/v2/cached_images').json
        self.assertEqual(['cached_images'], list(listed))
        self.assertEqual({one, two}, {copy['image_id'] for copy in listed['cached_images']})
        self.assertEqual({'queued_images': [three, four]}, self.admin('GET', '/v2/queued_images').json)
        self.assertIsNone(self.admin('DELETE', f'/v2/cached_images/{one}').json)
        self.assertIsNone(self.admin('DELETE', f'/v2/queued_images/{three}').json)
        self.assertEqual(({two}, [four]), (set(self.copies()), self.queue()))
        for path in ('cached_images', 'queued_images'):
            self.assertEqual({'num_deleted': 1}, self.admin('DELETE', f'/v2/{path}').json)
            self.assertEqual({'num_deleted': 0}, self.admin('DELETE', f'/v2/{path}').json)


class SeveralNodesTest(CacheCase):
    """Nodes share the database and nothing else."""

    def test_each_has_its_own(self):
        other = 'http://node-2.example.org:9292'
        self.api.conf.set_override('worker_self_reference_url', other)
        self.api.conf.set_override('image_cache_dir', self.useFixture(fixtures.TempDir()).path)
        second = Services.build(self.api.conf, caches=True)
        self.addCleanup(second.close)
        image_id = self.cached()
        self.services.db.run(lambda tx: tx.cache.enqueue(other, image_id))
        self.assertEqual([], self.api.call('GET', '/v2/cache', as_='admin').json['queued_images'])
        Caretaker(second).work()
        nodes = self.api.call('GET', f'/v2/cache/nodes/{image_id}', as_='admin').json
        self.assertEqual([NODE, other], nodes)
        self.api.call('DELETE', '/v2/cache', as_='admin')
        self.assertEqual([other], self.api.call('GET', f'/v2/cache/nodes/{image_id}', as_='admin').json)
        self.assertEqual([image_id], list(second.cache.directory.complete()))

    def test_a_node_that_is_not_told(self):
        self.services.cache.nodes_told = False
        response = self.api.call('GET', f'/v2/cache/nodes/{self.image()}', as_='admin')
        self.assertEqual(
            (409, 'imagepipe.cache.nodes_unknown'),
            (response.status_int, response.json['error']['error_code']),
        )
