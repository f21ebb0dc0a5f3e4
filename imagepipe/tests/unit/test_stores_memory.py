"""The in-memory store's switches, on which other tests lean."""

import io
import threading

import testtools

from imagepipe import errors
from imagepipe.stores.memory import InMemoryStore


class InMemoryStoreTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.store = InMemoryStore('fast')

    def put(self, data=b'0123456789', name='a.b.1.data'):
        return self.store.put(name, io.BytesIO(data), len(data))

    def test_fails_at_once_or_leaves_a_part_behind(self):
        self.store.fail_on_put(errors.StoreTransient)
        self.assertRaises(errors.StoreTransient, self.put)
        self.assertEqual({}, self.store.contents)

        self.store.fail_on_put(errors.StoreFull(store='fast'), after_bytes=4)
        self.assertRaises(errors.StoreFull, self.put)
        self.assertEqual({'a.b.1.data': b'0123'}, self.store.contents)
        self.assertEqual(['a.b.1.data'], list(self.store.names()))
        self.assertRaises(errors.StoreObjectMissing, self.store.open, self.store.url('a.b.1.data'))

    def test_fails_so_many_times_and_then_works(self):
        self.store.fail_on_put(errors.StoreTransient, times=2)

        for _ in range(2):
            self.assertRaises(errors.StoreTransient, self.put)

        self.assertEqual(b'0123456789', self.store.open(self.put()).read())

    def test_hangs_in_the_middle_until_it_is_let_go(self):
        gate = threading.Event()
        self.store.hang_on_put(gate)
        thread = threading.Thread(target=self.put)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(gate.set)

        self.assertTrue(self.store.hanging.wait(60))
        self.assertEqual({'a.b.1.data'}, self.store.partial)
        gate.set()
        thread.join()

        self.assertEqual(set(), self.store.partial)

    def test_is_full(self):
        self.store.capacity = 10
        self.put()

        self.assertRaises(errors.StoreFull, self.put, b'x', 'other')
        self.store.discard('other')
        self.assertRaises(errors.StoreFull, self.put, b'0123456789x')

    def test_other_operations_fail_too_until_it_is_healed(self):
        url = self.put()
        uses = {
            'open': lambda: self.store.open(url),
            'size': lambda: self.store.size(url),
            'names': self.store.names,
            'check': self.store.check,
            'discard': lambda: self.store.discard('a.b.1.data'),
            'delete': lambda: self.store.delete(url),
        }
        for operation, use in uses.items():
            self.store.fail_on(operation, errors.StoreInUse)
            self.assertRaises(errors.StoreInUse, use)

        self.store.heal()
        for use in uses.values():
            use()

    def test_read_only_or_in_need_of_the_size(self):
        self.assertRaises(errors.StoreReadOnly, InMemoryStore(read_only=True).put, 'x', io.BytesIO(b''), 0)
        self.assertRaises(
            errors.StorePermanent, InMemoryStore(needs_size=True).put, 'x', io.BytesIO(b''), None
        )
