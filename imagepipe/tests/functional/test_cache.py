"""The transparent cache: what a download leaves, who is answered from it, what keeps it in bounds."""

import contextlib
import json
import os
import time

import fixtures
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.cache.files import CacheDirectory, Usage
from imagepipe.cache.node import Cache
from imagepipe.cache.tee import DEPTH
from imagepipe.context import system
from imagepipe.db import schema
from imagepipe.domain.image import Status
from imagepipe.operations.downloads import CHUNK, download
from imagepipe.services import Services
from imagepipe.tests.fixtures.caching import DATA, NODE, CacheCase
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.wsgi.caretaker import Caretaker

OTHER = 'http://node-2.example.org:9292'


class HitTest(testscenarios.WithScenarios, CacheCase):
    scenarios = [(name, {'kind': settings['database_kind']}) for name, settings in DATABASES]

    def test_the_first_download_makes_the_copy_that_answers_the_next(self):
        image_id = self.cached()
        self.assertEqual({image_id: DATA}, self.copies())
        before = self.api.call('GET', f'/v2/images/{image_id}/file')
        self.assertEqual(DATA, before.body)
        self.lose_stores()
        after = self.api.call('GET', f'/v2/images/{image_id}/file')
        self.assertEqual((200, DATA), (after.status_int, after.body))
        for name in ('Content-Type', 'Content-Length', 'Content-MD5'):
            self.assertEqual(before.headers[name], after.headers[name])
        (copy,) = self.api.call('GET', '/v2/cache', as_='admin').json['cached_images']
        self.assertEqual((image_id, len(DATA), 2), (copy['image_id'], copy['size'], copy['hits']))
        self.assertEqual(before.headers['Content-MD5'], copy['checksum'])
        self.assertGreaterEqual(copy['last_accessed'], copy['last_modified'])


class WhoIsAnsweredTest(CacheCase):
    def test_policy_comes_before_the_cache(self):
        image_id = self.cached()
        for caller, code in (('reader', 403), ('theirs', 404), ('norole', 404)):
            response = self.api.call('GET', f'/v2/images/{image_id}/file', as_=caller)
            self.assertEqual(code, response.status_int)
        self.assertEqual(0, self.records()[image_id].hits)

    def test_the_name_of_a_directory_is_no_image_and_leaves_nothing_open(self):
        self.assertEqual(404, self.api.call('GET', '/v2/images/incomplete/file').status_int)
        links = [f'/proc/self/fd/{number}' for number in os.listdir('/proc/self/fd')]
        opened = {os.readlink(link) for link in links if os.path.lexists(link)}
        self.assertNotIn(str(self.directory / 'incomplete'), opened)

    def test_a_deactivated_image_is_not_served_from_it_to_anybody(self):
        image_id = self.cached()
        self.set_status(image_id, Status.DEACTIVATED)
        self.assertEqual(403, self.api.call('GET', f'/v2/images/{image_id}/file').status_int)
        self.assertEqual(DATA, self.download(image_id, as_='admin'))
        self.assertEqual(0, self.records()[image_id].hits)
        self.lose_stores()
        self.assertEqual(204, self.api.call('GET', f'/v2/images/{image_id}/file', as_='admin').status_int)

    def test_ranges_are_answered_from_the_copy_and_make_none(self):
        image_id = self.image()
        wanted = {'Range': 'bytes=10-19'}
        first = self.api.call('GET', f'/v2/images/{image_id}/file', headers=wanted)
        self.assertEqual((206, DATA[10:20]), (first.status_int, first.body))
        self.until_quiet()
        self.assertEqual({}, self.copies())
        self.download(image_id)
        self.until_cached(image_id)
        self.lose_stores()
        for wanted, status, body in (
            ('bytes=10-19', 206, DATA[10:20]),
            ('bytes=-7', 206, DATA[-7:]),
            ('bytes=0-', 206, DATA),
            (f'bytes={len(DATA)}-', 416, None),
        ):
            response = self.api.call('GET', f'/v2/images/{image_id}/file', headers={'Range': wanted})
            self.assertEqual(status, response.status_int)
            self.assertEqual(body, response.body if body else None)

    def test_a_preferred_store_does_not_matter_to_it(self):
        image_id = self.cached()
        self.lose_stores()
        self.assertEqual(DATA, self.api.call('GET', f'/v2/images/{image_id}/file?prefer=cheap').body)
        self.assertEqual(400, self.api.call('GET', f'/v2/images/{image_id}/file?prefer=none').status_int)

    def test_a_copy_of_another_size_is_no_copy_of_the_image(self):
        image_id = self.cached()
        for wrong in (DATA[:-1], DATA + b'!'):
            (self.directory / image_id).write_bytes(wrong)
            self.assertEqual(DATA, self.download(image_id))
        self.assertEqual(0, self.records()[image_id].hits)

    def test_a_copy_that_breaks_in_the_middle_is_followed_by_the_store(self):
        image_id = self.cached()
        sending = download(self.services, system(), image_id, range_=None)
        received = next(sending)
        os.truncate(self.directory / image_id, len(received))
        self.assertEqual(DATA, received + b''.join(sending))
        sending.close()

    def test_the_image_is_deleted_and_so_is_its_copy(self):
        image_id = self.cached()
        self.assertEqual(204, self.api.call('DELETE', f'/v2/images/{image_id}').status_int)
        self.assertEqual({}, self.copies())
        self.assertEqual([], self.api.call('GET', '/v2/cache', as_='admin').json['cached_images'])
        Caretaker(self.services).work()
        self.assertEqual({}, self.records())

    def test_what_was_sent_is_notified(self):
        image_id = self.cached()
        self.download(image_id)
        events = self.services.db.read(lambda tx: tx.connection.execute(schema.outbox.select()).all())
        from_store, from_cache = [json.loads(row.payload) for row in events if row.event_type == 'image.send']
        self.assertEqual(len(DATA), from_cache['bytes_sent'])
        self.assertNotIn('destination_ip', from_store)
        self.assertIn('destination_ip', from_cache)


class CostTest(CacheCase):
    def test_a_hit_asks_for_no_locations_and_other_requests_for_no_cache(self):
        image_id = self.cached()
        paths = (f'/v2/images/{image_id}/file', f'/v2/images/{image_id}', '/v2/images')
        hit, *cached = [self.api.statements('GET', path) for path in paths]
        object.__setattr__(self.services, 'cache', None)
        read, *without = [self.api.statements('GET', path) for path in paths]
        self.assertEqual(without, cached)
        # The hit is counted in the transaction of its notification; locations are not looked for.
        self.assertEqual(len(read), len(hit))
        self.assertEqual((1, 0), tuple(sum('cached_images' in each for each in seen) for seen in (hit, read)))


class FillTest(CacheCase):
    def begun(self, image_id):
        """A download of which one piece was sent, and that piece."""
        sending = download(self.services, system(), image_id, range_=None)
        return sending, next(sending)

    def test_a_client_that_breaks_off_leaves_nothing(self):
        image_id = self.image()
        sending, _piece = self.begun(image_id)
        sending.close()
        self.until_quiet()
        self.assertEqual(({}, {}), (self.copies(), self.records()))
        self.assertEqual(DATA, self.download(image_id))
        self.until_cached(image_id)

    def test_two_downloads_at_once_make_one_copy(self):
        image_id = self.image()
        (one, first), (two, second) = self.begun(image_id), self.begun(image_id)
        first += next(one)
        second += b''.join(two)
        two.close()
        first += b''.join(one)
        one.close()
        self.assertEqual((DATA, DATA), (first, second))
        self.until_cached(image_id)
        self.assertEqual(({image_id: DATA}, []), (self.copies(), self.incomplete()))

    def test_the_second_completes_what_the_first_breaks_off_in_a_later_download(self):
        image_id = self.image()
        (one, _), (two, second) = self.begun(image_id), self.begun(image_id)
        one.close()
        self.assertEqual(DATA, second + b''.join(two))
        two.close()
        self.until_quiet()
        self.download(image_id)
        self.until_cached(image_id)
        self.assertEqual({image_id: DATA}, self.copies())

    def test_data_of_another_digest_are_not_kept(self):
        image_id = self.image()
        (stored,) = self.stored()
        wrong = DATA[:-1] + b'!'
        stored.write_bytes(wrong)
        self.assertEqual(wrong, self.download(image_id))
        self.until_quiet()
        self.assertEqual(({}, {}), (self.copies(), self.records()))

    def test_what_has_no_digest_or_no_data_is_not_kept(self):
        empty, unknown = self.image(b''), self.image()

        def forget(tx):
            image = tx.images.find(unknown)
            nothing = dict.fromkeys(('checksum', 'os_hash_algo', 'os_hash_value'))
            tx.connection.execute(
                schema.images.update().where(schema.images.c.id == image.id).values(nothing)
            )

        self.services.db.run(forget)
        self.assertEqual((b'', DATA), (self.download(empty), self.download(unknown)))
        self.until_quiet()
        self.assertEqual({}, self.copies())

    def test_the_md5_serves_where_there_is_nothing_better(self):
        image_id = self.image()
        self.change(image_id, os_hash_algo='of yore')
        self.download(image_id)
        self.until_cached(image_id)

    def test_a_disk_that_is_slower_than_the_client_does_not_hold_it_up(self):
        data = bytes(CHUNK * (DEPTH + 4))
        image_id = self.image(data)
        with self.services.cache.directory.lock('room'):  # the disk does nothing for now
            self.assertEqual(data, self.download(image_id))
        self.until_quiet()
        self.assertEqual(({}, [image_id]), (self.copies(), self.queue()))
        self.assertTrue(self.services.cache.wanted.is_set())
        Caretaker(self.services).work()
        self.assertEqual(({image_id: data}, []), (self.copies(), self.queue()))
        self.assertEqual([image_id], list(self.records()))

    def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(self):
        image_id = self.image()
        for path in sorted(self.directory.rglob('*'), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.directory.rmdir()
        self.assertEqual(DATA, self.download(image_id))

    def change(self, image_id, **columns):
        """As an image that came from elsewhere may be."""
        change = schema.images.update().where(schema.images.c.id == image_id).values(columns)
        self.services.db.run(lambda tx: tx.connection.execute(change))

    def queue(self):
        return self.api.call('GET', '/v2/cache', as_='admin').json['queued_images']


class BoundTest(CacheCase):
    overrides = {'image_cache_max_size': 2 * len(DATA) + 10}

    def test_the_least_recently_read_copy_makes_room(self):
        one, two = self.cached(), self.cached()
        self.download(one)
        three = self.cached()
        self.assertEqual({one, three}, set(self.copies()))
        self.assertEqual({one, three}, set(self.records()))
        self.assertEqual(DATA, self.download(two))

    def test_what_is_larger_than_the_cache_is_not_kept_and_drives_nobody_out(self):
        one = self.cached()
        large = self.image(DATA * 3)
        self.assertEqual(DATA * 3, self.download(large))
        self.until_quiet()
        self.assertEqual({one}, set(self.copies()))

    def test_prune_says_what_it_removed(self):
        one, two = self.cached(), self.cached()
        self.download(one)
        (self.directory / 'unknown').write_bytes(b'x' * 11)
        response = self.api.call('POST', '/v2/cache/prune', as_='admin')
        self.assertEqual({'total_files_pruned': 1, 'total_bytes_pruned': 11}, response.json)
        (self.directory / 'unknown').write_bytes(bytes(len(DATA)))
        os.rename(self.directory / 'unknown', self.directory / one)  # the same size
        self.assertEqual(
            {'total_files_pruned': 0, 'total_bytes_pruned': 0},
            self.api.call('POST', '/v2/cache/prune', as_='admin').json,
        )
        self.assertEqual({one, two}, set(self.copies()))

    def test_what_is_being_written_counts(self):
        one, two, three = self.image(), self.image(), self.image()
        with contextlib.ExitStack() as stack:
            for image_id in (one, two, three):
                sending = download(self.services, system(), image_id, range_=None)
                stack.callback(sending.close)
                next(sending)
                self.until_begun(image_id)
            self.assertEqual(sorted([one, two]), self.incomplete())
        self.until_quiet()
        self.assertLessEqual(sum(map(len, self.copies().values())), 2 * len(DATA) + 10)


class FullDiskTest(testtools.TestCase):
    """What the file system has free, and what was promised of it, bounds the cache too."""

    def room(self, size, **usage):
        class Directory(CacheDirectory):
            def usage(self):
                return Usage(**{'complete': {}, 'promised': 0, 'unwritten': 0, 'free': 1000, **usage})

        removed = []

        class Watched(Cache):
            def remove(self, image_ids):
                removed.extend(image_ids)
                return len(image_ids)

        class NoRecords:
            def read(self, _operation):
                return []

        cache = Watched(
            Directory('/nowhere'), node=NODE, nodes_told=True, max_size=5000, stall_time=1, db=NoRecords()
        )
        return cache._make_room(size), removed

    def test_room_is_made_or_it_is_said_that_there_is_none(self):
        for size, usage, answer in (
            (1000, {}, (True, [])),
            (1001, {}, (False, [])),
            (800, {'promised': 500, 'unwritten': 300}, (False, [])),
            (700, {'promised': 500, 'unwritten': 300}, (True, [])),
            (1001, {'complete': {'a': 1}}, (True, ['a'])),
            (900, {'complete': {'a': 4500}}, (True, ['a'])),
            (900, {'complete': {'a': 4000}, 'promised': 100}, (True, [])),
            (900, {'complete': {'a': 4000}, 'promised': 101}, (True, ['a'])),
            (900, {'complete': {'a': 99}, 'promised': 4500}, (False, [])),
            (5001, {'free': 10**6}, (False, [])),
        ):
            self.assertEqual(answer, self.room(size, **usage), (size, usage))


class UpkeepTest(CacheCase):
    overrides = {'image_cache_stall_time': 100}

    def leftover(self, image_id, *, seconds=0.0):
        path = self.directory / 'incomplete' / image_id
        path.write_bytes(DATA)
        os.utime(path, (time.time() - seconds,) * 2)

    def clean(self):
        self.assertEqual(200, self.api.call('POST', '/v2/cache/clean', as_='admin').status_int)

    def test_clean_removes_what_the_dead_left_and_what_stands_still(self):
        alive, still = self.image(), self.image()
        sendings = [download(self.services, system(), each, range_=None) for each in (alive, still)]
        first = [next(sending) for sending in sendings]
        for sending in sendings:
            self.addCleanup(sending.close)
        self.until_begun(alive)
        self.until_begun(still)
        self.leftover('dead')
        path = self.directory / 'incomplete' / still
        os.utime(path, (time.time() - 101,) * 2)
        self.clean()
        self.assertEqual([alive], self.incomplete())
        # The one that stood still goes on: its client gets everything, and there is no copy of it.
        for sending, piece in zip(sendings, first, strict=True):
            self.assertEqual(DATA, piece + b''.join(sending))
        self.until_cached(alive)
        self.until_quiet()
        self.assertEqual({alive}, set(self.copies()))

    def test_records_and_files_agree_afterwards(self):
        lost, unrecorded, deleted, kept = (self.cached(bytes([n]) * 1000) for n in range(4))
        (self.directory / lost).unlink()
        self.services.db.run(lambda tx: tx.cache.forget(NODE, [unrecorded]))
        self.services.db.run(lambda tx: tx.cache.record(OTHER, lost, size=1, checksum=None))
        aside = (self.directory / deleted).read_bytes()
        self.api.call('DELETE', f'/v2/images/{deleted}')
        (self.directory / deleted).write_bytes(aside)  # a copy was completed in that moment
        self.leftover('dead')
        Caretaker(self.services).work()
        self.assertEqual({unrecorded, kept}, set(self.records()))
        self.assertEqual({unrecorded, kept}, set(self.copies()))
        self.assertEqual([], self.incomplete())
        self.assertEqual({lost}, set(self.records(OTHER)))


class ConfigurationTest(testtools.TestCase):
    def test_the_node_has_to_be_named_where_it_is_told(self):
        directory = self.useFixture(fixtures.TempDir()).path
        parts = self.useFixture(ServicesFixture(self))
        self.assertIsNone(parts.services.cache)
        for path, driver, told in (
            (directory, 'centralized_db', 'worker_self_reference_url'),
            ('/dev/null/cache', 'sqlite', 'image_cache_dir'),
        ):
            parts.conf.set_override('image_cache_dir', path)
            parts.conf.set_override('image_cache_driver', driver)
            self.assertIn(told, str(self.assertRaises(errors.ConfigurationInvalid, parts.build)))
        parts.conf.set_override('image_cache_dir', directory)
        self.assertTrue(parts.build().cache.node)

    def test_who_sends_no_images_needs_no_node(self):
        parts = self.useFixture(ServicesFixture(self))
        parts.conf.set_override('image_cache_dir', self.useFixture(fixtures.TempDir()).path)
        for serves in (True, False):
            services = Services.build(parts.conf, serves=serves)
            self.addCleanup(services.close)
            self.assertIsNone(services.cache)
