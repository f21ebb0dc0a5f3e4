"""copy-image, and DELETE of the copy in one store."""

import threading
from concurrent import futures

import testtools
from fixtures import TempDir
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.domain.location import LocationState
from imagepipe.stores.memory import InMemoryStore
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture, step
from imagepipe.tests.fixtures.workers import wait_until

TASK_ID = 'OpenStack-image-import-task-id'
DATA = bytes(range(256)) * (3 << 12)
#: [web_download] read_timeout, by default.
_READ_TIMEOUT = 60


class CopyCase(testtools.TestCase):
    """Images lie in `fast`; `cheap` is a file store too, `near` and `far` are in memory."""

    overrides: dict[str, object] = {}

    def setUp(self) -> None:
        super().setUp()
        self.near = InMemoryStore('near', weight=20)
        self.far = InMemoryStore('far', weight=10, needs_size=True)
        overrides = {'transfers.delete_seconds': 0.5, **self.overrides}
        self.pipeline = self.useFixture(
            PipelineFixture(self, memory=[self.near, self.far], overrides=overrides)
        )

    def active(self, *copies: str, data: bytes = DATA) -> str:
        """An image in `fast`, and in these stores by copy."""
        image_id = self.pipeline.image()
        self.assertEqual(204, self.pipeline.put(image_id, data).status_int)
        if copies:
            self.pipeline.succeed(self.copy(image_id, stores=list(copies)))
        return image_id

    def ask(self, image_id: str, *, as_: str = 'admin', **body: object) -> object:
        return self.pipeline.ask(image_id, method='copy-image', as_=as_, **body)

    def copy(self, image_id: str, **body: object) -> str:
        return self.pipeline.start(image_id, method='copy-image', as_='admin', **body)

    def stores(self, image_id: str) -> set[str]:
        return set(self.pipeline.show(image_id)['stores'].split(','))

    def polled(self, image_id: str) -> tuple[str, str, str]:
        """What clients poll while an image is copied."""
        shown = self.pipeline.show(image_id)
        return shown['status'], shown['os_glance_importing_to_stores'], shown['os_glance_failed_import']

    def fails(
        self, import_id: str, code: str, *, stores: set[str], state: str = 'failed', **more: str
    ) -> None:
        """The copy has failed: the image is where it was, and nowhere else."""
        found = self.pipeline.wait(import_id)
        error = found['error']
        self.assertEqual((state, code), (found['state'], error and error['code']), found)
        for name, value in more.items():
            self.assertEqual(value, error[name])
        image_id = found['image_id']
        failed = ','.join(sorted(each['store'] for each in found['stores']))
        self.assertEqual((('active', '', failed), stores), (self.polled(image_id), self.stores(image_id)))
        self.assertEqual(DATA, self.pipeline.download(image_id))
        self.pipeline.check_records()


class CopyTest(CopyCase):
    def test_a_copy_is_one_more_store_of_the_same_image(self) -> None:
        image_id = self.active()
        before = self.pipeline.show(image_id)
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.far.hang_on_put(gate)
        import_id = self.copy(image_id, stores=['cheap', 'far'])
        wait_until(self.far.hanging.is_set, 'a copy is on its way')
        self.pipeline.wait_step(import_id, 'copy:cheap', 'done')
        self.assertEqual(('active', 'far', ''), self.polled(image_id))
        self.assertEqual(3 * len(DATA), self.pipeline.used()[0])
        gate.set()
        found = self.pipeline.succeed(import_id)
        self.assertEqual(
            ['copy:cheap', 'copy:far', 'activate', 'notify'], [s['name'] for s in found['steps']]
        )
        self.assertEqual(len(DATA), step(found, 'copy:far')['bytes_done'])
        self.assertEqual(('active', '', ''), self.polled(image_id))
        after = self.pipeline.show(image_id)
        self.assertEqual({'fast', 'cheap', 'far'}, self.stores(image_id))
        changed = {name for name in after if after[name] != before.get(name)}
        self.assertLessEqual(changed, {'stores', 'updated_at', 'os_glance_failed_import',
                                       'os_glance_importing_to_stores'})  # fmt: skip
        self.assertEqual([DATA], list(self.far.contents.values()))
        self.pipeline.check_records()
        self.assertEqual(1, len(self.pipeline.told('image.activate')))

    def test_all_stores(self) -> None:
        image_id = self.active('far')
        self.pipeline.succeed(self.copy(image_id, all_stores=True))
        self.assertEqual({'fast', 'cheap', 'near', 'far'}, self.stores(image_id))
        nothing = self.ask(image_id, all_stores=True)
        self.assertEqual((202, b'', None), (nothing.status_int, nothing.body, nothing.headers.get(TASK_ID)))
        self.assertEqual(2, len(self.pipeline.call('GET', f'/v2/images/{image_id}/imports').json['imports']))
        self.pipeline.check_records()

    def test_an_image_without_a_byte(self) -> None:
        image_id = self.active(data=b'')
        self.pipeline.succeed(self.copy(image_id, stores=['cheap', 'near']))
        self.assertEqual({'fast', 'cheap', 'near'}, self.stores(image_id))

    def test_who_may_and_what_is_asked(self) -> None:
        image_id, queued = self.active('near'), self.pipeline.image()
        deactivated = self.active()
        self.pipeline.deactivate(deactivated)
        private = self.pipeline.image(visibility='private')
        for expected, asked, caller, body in (
            (403, image_id, 'ours', {'stores': ['cheap']}),
            (404, private, 'theirs', {'stores': ['cheap']}),
            (404, uuidutils.generate_uuid(), 'admin', {'stores': ['cheap']}),
            (409, queued, 'admin', {'stores': ['cheap']}),
            (409, queued, 'ours', {'stores': ['cheap']}),  # the status comes first
            (409, deactivated, 'admin', {'stores': ['cheap']}),
            (409, image_id, 'admin', {'stores': ['nowhere']}),
            (400, image_id, 'admin', {'stores': ['cheap'], 'all_stores': True}),
            (400, image_id, 'admin', {'stores': ['cheap'], 'headers': {'X-Image-Meta-Store': 'far'}}),
            (400, image_id, 'admin', {'stores': ['near']}),
            (400, image_id, 'admin', {'stores': ['cheap', 'fast']}),
            (400, image_id, 'admin', {}),  # the default store
            (400, image_id, 'admin', {'all_stores_must_succeed': 'yes'}),
        ):  # fmt: skip
            response = self.ask(asked, as_=caller, **body)
            self.assertEqual(expected, response.status_int, f'{caller} {body}: {response.text}')
        self.assertEqual(202, self.ask(image_id, headers={'X-Image-Meta-Store': 'far'}).status_int)

    def test_while_one_is_on_its_way_there_is_no_other(self) -> None:
        image_id = self.active()
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.far.hang_on_put(gate)
        import_id = self.copy(image_id, stores=['far'])
        self.assertEqual(409, self.ask(image_id, stores=['cheap']).status_int)
        gate.set()
        self.pipeline.succeed(import_id)


class FailedTest(CopyCase):
    def copying(self) -> tuple[str, str, threading.Event]:
        """An image on its way to two stores, of which one waits for the event."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.far.hang_on_put(gate)
        image_id = self.active()
        import_id = self.copy(image_id, stores=['cheap', 'far'])
        wait_until(self.far.hanging.is_set, 'the copy is on its way')
        return image_id, import_id, gate

    def test_a_store_that_must_take_it_and_does_not(self) -> None:
        image_id = self.active()
        self.far.fail_on_put(errors.StorePermanent, after_bytes=1000)
        import_id = self.copy(image_id, stores=['cheap', 'far'])
        self.fails(import_id, 'imagepipe.store.permanent', stores={'fast'}, step='copy:far')
        self.far.heal()
        self.pipeline.succeed(self.copy(image_id, stores=['cheap', 'far']))

    def test_a_store_that_may_fail(self) -> None:
        image_id = self.active()
        self.far.fail_on_put(errors.StoreFull)
        import_id = self.copy(image_id, stores=['cheap', 'far'], all_stores_must_succeed=False)
        self.pipeline.succeed(import_id)
        self.assertEqual(
            (('active', '', 'far'), {'fast', 'cheap'}), (self.polled(image_id), self.stores(image_id))
        )
        self.pipeline.check_records()
        self.near.fail_on_put(errors.StoreFull)
        import_id = self.copy(image_id, stores=['near', 'far'], all_stores_must_succeed=False)
        self.fails(import_id, 'imagepipe.import.all_stores_failed', stores={'fast', 'cheap'})

    def test_what_passes_by_itself_is_tried_again(self) -> None:
        image_id = self.active()
        self.far.fail_on_put(errors.StoreTransient, after_bytes=10, times=1)
        found = self.pipeline.succeed(self.copy(image_id, stores=['far']))
        self.assertEqual(2, step(found, 'copy:far')['attempt'])
        self.pipeline.check_records()

    def test_cancelled_in_the_middle(self) -> None:
        _, import_id, gate = self.copying()
        self.assertEqual(202, self.pipeline.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
        gate.set()
        self.fails(import_id, 'imagepipe.import.cancelled', stores={'fast'}, state='cancelled')

    def test_deleted_in_the_middle(self) -> None:
        image_id, import_id, gate = self.copying()
        self.pipeline.delete(image_id)
        gate.set()
        wait_until(
            lambda: self.pipeline.import_(import_id, as_='admin')['state'] == 'failed', 'the copy ends'
        )
        self.pipeline.check_records()
        self.assertEqual(([], (0, 0)), (self.pipeline.locations(), self.pipeline.used()))


class StalledSourceTest(CopyCase):
    """The only copy is on the web server of somebody else, who lets the service wait."""

    overrides = {'enabled_backends': 'fast:file,cheap:file,web:http', 'show_multiple_locations': True}

    def stalled(self, after: int) -> str:
        """A copy that waits for the server, after so many bytes; 0: before the answer."""
        image_id = self.pipeline.image()
        url = self.pipeline.serve(image_id, DATA)
        location = {'op': 'add', 'path': '/locations/-', 'value': {'url': url, 'metadata': {}}}
        self.assertEqual(200, self.pipeline.patch(image_id, location).status_int)
        self.pipeline.source.stalled.clear()
        self.pipeline.serve(image_id, DATA, Fault(stall_after=after))
        import_id = self.copy(image_id, stores=['fast'])
        wait_until(self.pipeline.source.stalled.is_set, 'the server lets the copy wait')
        return import_id

    def test_a_cancel_is_noticed_while_it_waits(self) -> None:
        for after in (0, 1 << 20):
            import_id = self.stalled(after)
            self.assertEqual(202, self.pipeline.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
            ended = wait_until(
                lambda import_id=import_id: self.ended(import_id), 'the copy ends', seconds=_READ_TIMEOUT / 4
            )
            self.assertEqual('cancelled', ended)
            self.assertFalse(self.pipeline.source.release.is_set())

    def ended(self, import_id: str) -> str | None:
        state = self.pipeline.import_(import_id)['state']
        return state if state in ('succeeded', 'failed', 'cancelled') else None


class SourceTest(CopyCase):
    """The best store is read, and the next one when that fails."""

    def best_is_near(self) -> str:
        """An image in `near`, which is the best, and in `fast`."""
        image_id = self.active('near')
        self.assertEqual('near,fast', self.pipeline.show(image_id)['stores'])
        return image_id

    def test_a_store_that_cannot_be_read(self) -> None:
        for failure in (errors.StoreTransient, errors.StoreObjectMissing, errors.StoreDenied):
            image_id = self.best_is_near()
            self.near.fail_on('open', failure)
            self.pipeline.succeed(self.copy(image_id, stores=['far']))
            self.near.heal()
            self.assertEqual({'fast', 'near', 'far'}, self.stores(image_id))

    def test_a_store_that_fails_in_the_middle(self) -> None:
        image_id = self.best_is_near()
        opened = self.near.open
        self.near.open = lambda url, offset=0, **more: _Breaking(opened(url, offset, **more), 1 << 20)
        self.pipeline.succeed(self.copy(image_id, stores=['far']))
        self.assertIn(DATA, self.far.contents.values())

    def test_bytes_that_are_not_the_images(self) -> None:
        image_id = self.best_is_near()
        (name,) = self.near.contents
        self.near.contents[name] = bytes(len(DATA))
        self.pipeline.succeed(self.copy(image_id, stores=['far']))
        self.assertEqual([DATA], list(self.far.contents.values()))
        self.assertEqual(
            204, self.pipeline.call('DELETE', f'/v2/stores/fast/{image_id}', as_='admin').status_int
        )
        self.assertEqual(
            204, self.pipeline.call('DELETE', f'/v2/stores/far/{image_id}', as_='admin').status_int
        )
        found = self.pipeline.wait(self.copy(image_id, stores=['cheap']))
        self.assertEqual('imagepipe.store.data_differs', found['error']['code'])
        self.pipeline.check_records()

    def test_no_store_can_be_read(self) -> None:
        image_id = self.active('near')
        self.near.fail_on('open', errors.StoreTransient)
        self.pipeline.call('DELETE', f'/v2/stores/fast/{image_id}', as_='admin')
        found = self.pipeline.wait(self.copy(image_id, stores=['far']))
        self.assertEqual(
            ('imagepipe.data.unavailable', 3), (found['error']['code'], step(found, 'copy:far')['attempt'])
        )
        self.pipeline.check_records()


class _Breaking:
    """A reader whose store goes away after so many bytes."""

    def __init__(self, reader: object, left: int) -> None:
        self._reader = reader
        self._left = left

    def read(self, size: int = -1) -> bytes:
        if self._left <= 0:
            raise errors.StoreTransient(store='near')
        piece = self._reader.read(min(size, self._left))
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._reader.close()


class QuotaTest(CopyCase):
    overrides = {'user_storage_quota': str(2 * len(DATA))}

    def test_copies_count(self) -> None:
        image_id = self.active()
        self.assertEqual(413, self.ask(image_id, stores=['cheap', 'far']).status_int)
        self.pipeline.succeed(self.copy(image_id, stores=['far']))
        self.assertEqual(413, self.ask(image_id, stores=['cheap']).status_int)
        self.pipeline.call('DELETE', f'/v2/stores/fast/{image_id}', as_='admin')
        self.pipeline.succeed(self.copy(image_id, stores=['cheap']))
        self.assertEqual((2 * len(DATA), 0), self.pipeline.used())


class DeleteTest(CopyCase):
    def remove(self, store: str, image_id: str, *, as_: str = 'admin') -> object:
        return self.pipeline.call('DELETE', f'/v2/stores/{store}/{image_id}', as_=as_)

    def test_the_copy_in_one_store_is_gone(self) -> None:
        image_id = self.active('near', 'far')
        self.assertEqual(
            (204, b''), (self.remove('near', image_id).status_int, self.remove('fast', image_id).body)
        )
        self.assertEqual({'far'}, self.stores(image_id))
        self.assertEqual(({}, (len(DATA), 0)), (self.near.contents, self.pipeline.used()))
        self.assertEqual(DATA, self.pipeline.download(image_id))
        self.pipeline.check_records()

    def test_refusals(self) -> None:
        one, two, queued = self.active(), self.active('near'), self.pipeline.image()
        deactivated = self.active('near')
        self.pipeline.deactivate(deactivated)
        private = self.pipeline.image(visibility='private')
        for expected, store, image_id, caller in (
            (409, 'nowhere', two, 'admin'),
            (409, 'nowhere', uuidutils.generate_uuid(), 'admin'),  # the store comes first
            (404, 'near', uuidutils.generate_uuid(), 'admin'),
            (404, 'near', private, 'theirs'),
            (403, 'near', two, 'ours'),
            (403, 'near', two, 'reader'),
            (409, 'near', queued, 'admin'),
            (409, 'near', deactivated, 'admin'),
            (403, 'fast', one, 'admin'),
            (403, 'near', one, 'admin'),  # being the only location comes first
            (404, 'far', two, 'admin'),
        ):
            response = self.remove(store, image_id, as_=caller)
            self.assertEqual(expected, response.status_int, f'{store} {caller}: {response.text}')
        self.assertEqual({'fast', 'near'}, self.stores(two))

    def test_a_store_that_keeps_it(self) -> None:
        for failure, expected in ((errors.StoreInUse, 409), (errors.StoreDenied, 403)):
            image_id = self.active('near')
            self.near.fail_on('delete', failure)
            self.assertEqual(expected, self.remove('near', image_id).status_int)
            self.assertEqual({'fast', 'near'}, self.stores(image_id))
            self.near.heal()
            self.assertEqual(204, self.remove('near', image_id).status_int)
        self.pipeline.check_records()

    def test_a_store_that_does_not_answer_is_the_sweepers(self) -> None:
        image_id = self.active('near')
        self.near.fail_on('delete', errors.StoreTransient)
        self.assertEqual(204, self.remove('near', image_id).status_int)
        self.assertEqual({'fast'}, self.stores(image_id))
        states = {row.store: row.state for row in self.pipeline.locations(image_id)}
        self.assertEqual({'fast': 'active', 'near': LocationState.DELETING.value}, states)
        self.near.heal()
        wait_until(lambda: self.pipeline.sweep() or not self.near.contents, 'the sweeper finishes')
        self.assertEqual((len(DATA), 0), self.pipeline.used())
        self.pipeline.check_records()

    def test_two_at_once_leave_one(self) -> None:
        for _ in range(5):
            image_id = self.active('near')
            self.assertEqual([204, 403], self.removed_at_once(image_id, 'fast', 'near'))
            self.assertEqual(DATA, self.pipeline.download(image_id))
            self.pipeline.delete(image_id)
        self.pipeline.check_records()

    def removed_at_once(self, image_id: str, *stores: str) -> list[int]:
        """What the requests for these stores are answered, sent at the same time."""
        start = threading.Barrier(len(stores))

        def remove(store: str) -> int:
            start.wait()
            return self.remove(store, image_id).status_int

        with futures.ThreadPoolExecutor(len(stores)) as pool:
            return sorted(pool.map(remove, stores))


class OneStoreTest(testtools.TestCase):
    def test_nothing_can_be_copied_and_no_copy_deleted(self) -> None:
        overrides = {'enabled_backends': '', 'glance_store.default_backend': '',
                     'glance_store.filesystem_store_datadir': self.useFixture(TempDir()).path}  # fmt: skip
        pipeline = self.useFixture(PipelineFixture(self, works=False, overrides=overrides))
        image_id = pipeline.image()
        pipeline.put(image_id, b'data')
        for body in ({}, {'all_stores': True}, {'stores': ['file']}):
            response = pipeline.ask(image_id, method='copy-image', as_='admin', **body)
            self.assertEqual(409, response.status_int, response.text)
        self.assertEqual(404, pipeline.call('DELETE', f'/v2/stores/file/{image_id}', as_='admin').status_int)
