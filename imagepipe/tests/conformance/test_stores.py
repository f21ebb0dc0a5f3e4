"""What every store driver keeps: the same stories over each of them."""

import io
import os
import threading

import testtools

from imagepipe import errors
from imagepipe.domain import names
from imagepipe.stores.store import Store
from imagepipe.stores.streams import StagedFile
from imagepipe.tests.fixtures import stores, tools
from imagepipe.tests.fixtures.streams import Drip

KIB = 1 << 10
MIB = 1 << 20
IMAGE = '5c2b34a5-65e7-4a3b-8a3f-1d1dbb39b1b1'
IMPORT = '77f0c5e1-2d8b-4f8c-b1b4-3a60f34b7c55'


class CancelledError(Exception):
    """Somebody cancels in the middle."""


class StoreConformance:
    """Mixed into a TestCase for each driver; leftovers in the backend fail the test."""

    def backend(self) -> stores.Backend:
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        self.driver = self.useFixture(self.backend())
        self.store = self.driver.store
        tools.took_part('store', f'{type(self.driver).__name__}: {type(self.driver).__doc__.splitlines()[0]}')
        self.name = names.object_name(IMAGE, IMPORT, 1, 'data')
        self.addCleanup(lambda: self.assertEqual([], self.driver.leftovers(), 'left behind in the store'))
        self.addCleanup(lambda: self.store.discard(self.name))

    def put(self, data, *, name=None, size='known'):
        return self.store.put(
            name or self.name, self.driver.stream(data), len(data) if size == 'known' else size
        )

    def read(self, url, offset=0, piece=100 * KIB):
        reader = self.store.open(url, offset)
        self.addCleanup(reader.close)
        return b''.join(iter(lambda: reader.read(piece), b''))

    def assert_gone(self, url):
        self.assertRaises(errors.StoreObjectMissing, lambda: self.store.open(url).read(1))

    def test_it_is_a_store(self):
        self.assertIsInstance(self.store, Store)
        self.store.check()

    def test_what_was_put_is_read_back(self):
        for size in (1, 64 * KIB, MIB, 3 * MIB + 17, 12 * MIB + 1):
            data = os.urandom(size)

            url = self.put(data)

            self.assertEqual(data, self.read(url))
            self.assertEqual(size, self.store.size(url))

    def test_the_url_holds_no_secret(self):
        self.assertNotIn('not-a-secret', self.put(b'data'))

    def test_zero_bytes(self):
        url = self.put(b'')

        self.assertEqual(b'', self.read(url))
        self.assertEqual(0, self.store.size(url))

    def test_reading_from_an_offset(self):
        data = os.urandom(3 * MIB)
        url = self.put(data)

        for offset in (0, 1, MIB, 3 * MIB - 1, 3 * MIB, 3 * MIB + 5):
            self.assertEqual(data[offset:], self.read(url, offset))

    def test_readers_give_no_more_than_asked(self):
        reader = self.store.open(self.put(os.urandom(MIB)))
        self.addCleanup(reader.close)

        self.assertLessEqual(len(reader.read(10)), 10)

    def test_a_reader_closed_early_harms_nobody(self):
        data = os.urandom(3 * MIB)
        url = self.put(data)
        reader = self.store.open(url)
        reader.read(10)
        reader.close()

        self.assertEqual(data, self.read(url))

    def test_a_size_that_is_not_known(self):
        data = os.urandom(3 * MIB + 17)
        if self.store.needs_size:
            self.assertRaises(errors.StorePermanent, self.put, data, size=None)
            return

        self.assertEqual(data, self.read(self.put(data, size=None)))

    def test_a_second_put_replaces_the_first(self):
        for first, second in ((5 * MIB, 100), (100, 5 * MIB), (100, 100), (6 * MIB, 6 * MIB), (100, 0)):
            self.put(os.urandom(first))
            data = os.urandom(second)

            url = self.put(data)

            self.assertEqual(data, self.read(url))
            self.assertEqual(second, self.store.size(url))

    def test_a_put_over_what_a_dead_process_left(self):
        self.driver.plant_parts(self.name)
        data = os.urandom(2 * MIB + 1)

        self.assertEqual(data, self.read(self.put(data)))

    def test_data_that_is_not_of_the_announced_size(self):
        data = os.urandom(7 * MIB)
        for announced in (0, 1, 7 * MIB - 1, 7 * MIB + 1, 20 * MIB):
            self.assertRaises(errors.StorePermanent, self.put, data, size=announced)

            self.store.discard(self.name)
            self.assertEqual([], self.driver.leftovers())

    def test_a_stream_that_fails_leaves_nothing_after_discard(self):
        for after in (0, 100 * KIB, 6 * MIB):
            stream = Drip(bytes(12 * MIB), 100 * KIB, fail_at=after, error=CancelledError())

            self.assertRaises(CancelledError, self.store.put, self.name, stream, 12 * MIB)

            self.store.discard(self.name)
            self.assertEqual([], self.driver.leftovers())

    def test_errors_of_the_stream_are_not_those_of_the_store(self):
        stream = Drip(bytes(12 * MIB), MIB, fail_at=7 * MIB, error=errors.SourceChanged())

        self.assertRaises(errors.SourceChanged, self.store.put, self.name, stream, 12 * MIB)

    def test_discard_of_what_is_absent_complete_or_partial(self):
        self.store.discard(self.name)

        url = self.put(os.urandom(3 * MIB))
        self.store.discard(self.name)
        self.assertEqual([], self.driver.leftovers())
        self.assert_gone(url)

        self.driver.plant_parts(self.name)
        self.store.discard(self.name)
        self.assertEqual([], self.driver.leftovers())

    def test_discard_touches_no_other_object(self):
        others = {
            names.object_name(IMAGE, IMPORT, 1, 'data2'): os.urandom(2 * MIB),
            names.object_name(IMAGE, IMPORT, 11, 'data'): b'eleven',
        }
        urls = {name: self.put(data, name=name) for name, data in others.items()}
        self.put(os.urandom(2 * MIB))

        self.store.discard(self.name)

        for name, data in others.items():
            self.assertEqual(data, self.read(urls[name]))
            self.store.discard(name)

    def test_delete_by_url(self):
        url = self.put(os.urandom(2 * MIB))

        self.store.delete(url)
        self.assert_gone(url)
        self.store.delete(url)

    def test_what_is_missing(self):
        url = self.put(b'data')
        self.store.discard(self.name)

        self.assert_gone(url)
        self.assertRaises(errors.StoreObjectMissing, self.store.size, url)

    def test_urls_of_other_stores(self):
        for url in ('nbd://127.0.0.1/disk', 'json:{}', 'file:///etc/passwd', '', 'gopher://x/y'):
            for use in (self.store.open, self.store.size, self.store.delete):
                self.assertRaises(errors.StorePermanent, use, url)

    def test_names_are_listed(self):
        if not self.driver.lists:
            self.assertRaises(errors.StorePermanent, self.store.names)
            return
        self.assertEqual([], list(self.store.names()))
        several = [names.object_name(IMAGE, IMPORT, epoch, 'data') for epoch in range(1, 6)]
        foreign = 'somebody-elses.image.1.data'
        for name in (*several, foreign):
            self.put(os.urandom(1100 * KIB), name=name)
        self.driver.plant_parts(several[0].replace('.1.', '.9.'))

        listed = list(self.store.names(names.prefix(IMAGE, IMPORT)))

        self.assertEqual(sorted([*several, several[0].replace('.1.', '.9.')]), listed)
        self.assertIn(foreign, list(self.store.names()))
        for name in list(self.store.names()):
            self.store.discard(name)

    def test_two_objects_at_once(self):
        data = {names.object_name(IMAGE, IMPORT, n, 'data'): os.urandom(6 * MIB) for n in range(4)}
        streams = {name: self.driver.stream(each) for name, each in data.items()}
        urls = {}
        threads = [
            threading.Thread(
                target=lambda name=name: urls.update({name: self.store.put(name, streams[name], 6 * MIB)})
            )
            for name in data
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        for name, each in data.items():
            self.assertEqual(each, self.read(urls[name]))
            self.store.discard(name)


class MemoryTest(StoreConformance, testtools.TestCase):
    def backend(self):
        return stores.Memory()


class FileTest(StoreConformance, testtools.TestCase):
    def backend(self):
        return stores.File()


class FileTakeOverTest(StoreConformance, testtools.TestCase):
    def backend(self):
        return stores.FileTakeOver()


class GlanceFileTest(StoreConformance, testtools.TestCase):
    """The generic adapter, over glance_store's file driver."""

    def backend(self):
        return stores.GlanceFile()

    def test_urls_of_other_stores(self):
        """The driver itself would read any file; only our own file store is used, which does not."""
        self.assertRaises(errors.StorePermanent, self.store.open, 'nbd://127.0.0.1/disk')


class SwiftTest(StoreConformance, testtools.TestCase):
    def backend(self):
        return stores.Swift()


class RBDTest(StoreConformance, testtools.TestCase):
    def backend(self):
        return stores.RBD()

    def test_an_image_that_was_cloned_is_kept(self):
        url = self.put(b'data')
        self.driver.cluster.in_use.add(self.name)

        self.assertRaises(errors.StoreInUse, self.store.delete, url)

        self.assertEqual(b'data', self.read(url))
        self.driver.cluster.in_use.clear()

    def test_full(self):
        self.driver.cluster.capacity = MIB

        self.assertRaises(errors.StoreFull, self.put, bytes(3 * MIB))


class S3Test(StoreConformance, testtools.TestCase):
    def backend(self):
        return stores.S3(self)

    def staged(self, data):
        path = os.path.join(self.useFixture(stores.fixtures.TempDir()).path, 'staged')
        with open(path, 'wb') as file:
            file.write(data)
        reader = StagedFile(path)
        self.addCleanup(reader.close)
        return reader

    def test_a_staged_file_in_parts_and_at_once(self):
        for size in (0, 1, 3 * MIB, 17 * MIB + 3):
            data = os.urandom(size)

            url = self.store.put(self.name, self.staged(data), size)

            self.assertEqual(data, self.read(url))

    def test_a_failed_put_leaves_no_open_upload(self):
        stream = Drip(bytes(12 * MIB), MIB, fail_at=7 * MIB, error=CancelledError())

        self.assertRaises(CancelledError, self.store.put, self.name, stream, 12 * MIB)

        self.assertEqual([], self.driver.leftovers())


class FullFileTest(testtools.TestCase):
    """A file store on a file system without room."""

    def test_full(self):
        driver = self.useFixture(stores.TinyFile(self))
        store = driver.store

        for stream in (io.BytesIO(bytes(2 * MIB)), driver.stream(os.urandom(2 * MIB))):
            self.assertRaises(errors.StoreFull, store.put, 'a.b.1.data', stream, 2 * MIB)
            self.assertEqual([], driver.leftovers())
        self.assertEqual(b'fits', store.open(store.put('a.b.1.data', io.BytesIO(b'fits'), 4)).read())
        self.assertEqual(b'fits', store.open(store.put('a.b.1.data', driver.stream(b'fits'), 4)).read())
