"""The Swift store: segments, faults in the middle, credentials."""

import io
import os

import fixtures
import testtools

from imagepipe import errors
from imagepipe.stores import loading
from imagepipe.stores.streams import StagedFile
from imagepipe.tests.fixtures import stores
from imagepipe.tests.fixtures.streams import Drip

MB = 1024 * 1000  # what the driver calls a megabyte
NAME = '5c2b34a5-65e7-4a3b-8a3f-1d1dbb39b1b1.import.1.data'


class SwiftStoreTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.driver = self.useFixture(stores.Swift())
        self.store = self.driver.store
        self.server = self.driver.server

    def put(self, data, size='known'):
        return self.store.put(NAME, io.BytesIO(data), len(data) if size == 'known' else size)

    def test_short_data_is_one_object_and_long_data_segments_of_exact_lengths(self):
        self.put(bytes(MB - 1))
        self.assertEqual([NAME], self.driver.leftovers())

        self.put(bytes(2 * MB + 5))

        sizes = {
            name.removeprefix(NAME): len(data) for name, data in self.server.containers['images'].items()
        }
        self.assertEqual({'': 0, '-00001': MB, '-00002': MB, '-00003': 5}, sizes)

    def test_a_multiple_of_the_segment_size(self):
        for size in ('known', None):
            data = os.urandom(2 * MB)

            self.assertEqual(data, self.store.open(self.put(data, size)).read())

    def test_fewer_segments_than_before_leave_no_stale_ones(self):
        self.put(os.urandom(5 * MB))
        data = os.urandom(2 * MB)

        self.assertEqual(data, self.store.open(self.put(data)).read())

    def test_discard_leaves_what_only_looks_like_a_segment(self):
        images = self.server.containers['images']
        images.update({f'{NAME}-00001': b'ours', f'{NAME}-copy': b'theirs', f'{NAME}-00001-00001': b'theirs'})

        self.store.discard(NAME)

        self.assertEqual([f'{NAME}-00001-00001', f'{NAME}-copy'], self.driver.leftovers())

    def test_a_segment_that_fails(self):
        for status, expected in (
            (507, errors.StoreFull),
            (403, errors.StoreDenied),
            (422, errors.StorePermanent),
        ):
            self.server.puts, self.server.fail_after, self.server.fail_status = 0, 2, status

            self.assertRaises(expected, self.put, bytes(5 * MB))

            self.assertEqual([NAME], list(self.store.names()))
            self.store.discard(NAME)
            self.assertEqual([], self.driver.leftovers())

    def test_a_segment_of_a_staged_file_is_sent_again(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'staged')
        data, seen = os.urandom(2 * MB + 5), []
        with open(path, 'wb') as file:
            file.write(data)
        self.server.fail_after, self.server.failures = 1, 1

        with StagedFile(path, progress=seen.append) as staged:
            url = self.store.put(NAME, staged, len(data))

        self.assertEqual(data, self.store.open(url).read())
        self.assertEqual(len(data), seen[-1])

    def test_nothing_answers_under_the_name_before_all_segments_are_there(self):
        seen = []
        stream = Drip(bytes(4 * MB), MB)
        stream.on_read = lambda given: len(seen) < 4 and seen.append(self.server.body('images', NAME))

        self.store.put(NAME, stream, 4 * MB)

        self.assertEqual({None}, set(seen))

    def test_urls_name_the_account_by_reference(self):
        self.assertEqual(f'swift+config://ref1/images/{NAME}', self.put(b'data'))

    def test_urls_with_credentials_of_earlier_services_are_read(self):
        self.put(b'data')
        address = self.server.url.removeprefix('http://')

        url = f'swift+http://service%3Aglance:not-a-secret@{address}/v3/images/{NAME}'

        self.assertEqual(b'data', self.store.open(url).read())
        self.assertEqual(4, self.store.size(url))

    def test_an_offset_is_asked_from_swift(self):
        data = os.urandom(3 * MB)
        url = self.put(data)

        self.assertEqual(data[MB + 1 :], self.store.open(url, MB + 1).read())
        self.assertEqual([f'bytes={MB + 1}-'], self.server.ranges)

    def test_containers_spread_by_seed(self):
        conf = stores.configuration(
            {'fast': 'swift'},
            'fast',
            fast={
                'swift_store_auth_address': f'{self.server.url}/v3',
                'swift_store_user': 'service:glance',
                'swift_store_key': 'not-a-secret',
                'swift_store_container': 'spread',
                'swift_store_multiple_containers_seed': 2,
                'swift_store_create_container_on_put': True,
            },
        )
        store = loading.load(conf)['fast']
        names = sorted([NAME, 'ff' + NAME[2:], 'a0' + NAME[2:]])
        for name in names:
            store.put(name, io.BytesIO(b'x'), 1)

        self.assertIn('spread_5c', self.server.containers)
        self.assertEqual(names, list(store.names()))
        self.assertEqual([NAME], list(store.names(NAME[:10])))
        store.discard(NAME)
        self.assertEqual({}, self.server.containers['spread_5c'])

    def test_no_password_in_the_log(self):
        logged = self.useFixture(fixtures.FakeLogger(level=0))
        self.server.puts, self.server.fail_after = 0, 0
        self.server.fail_status = 403

        self.assertRaises(errors.StoreDenied, self.put, b'data')

        self.assertIn('Store fast', logged.output)
        self.assertNotIn('not-a-secret', logged.output)
