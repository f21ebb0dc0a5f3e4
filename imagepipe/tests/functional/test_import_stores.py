"""Stores that fail, staging that is lost, quota that ends: what an import does, and what is seen of it.

Failing stores are real directories that refuse, and the in-memory store with its switches.
"""

import os
import pathlib
import shutil
import threading

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.db import schema
from imagepipe.domain import names
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.stores.file import UNFINISHED
from imagepipe.stores.memory import InMemoryStore
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.fetching import some_bytes
from imagepipe.tests.fixtures.pipeline import PipelineFixture, step
from imagepipe.tests.fixtures.workers import wait_until

DATA = some_bytes(300_000)
BOTH = ('glance-direct', 'web-download')


def replaced(path: str) -> None:
    """Another file of the same size is there; what a store has taken over stays."""
    pathlib.Path(f'{path}.other').write_bytes(DATA[::-1])
    os.replace(f'{path}.other', path)


class ShortStore(InMemoryStore):
    """Says yes, and keeps a byte less."""

    def put(self, name: str, stream: object, size: int | None) -> str:
        url = super().put(name, stream, size)
        self.contents[name] = self.contents[name][:-1]
        return url


class HoldingStore(InMemoryStore):
    """Does not let go of some objects, as RBD does while the writer's watch lives on."""

    def __init__(self, store_id: str) -> None:
        super().__init__(store_id)
        self.held: set[str] = set()

    def discard(self, name: str) -> None:
        if name in self.held:
            raise errors.StoreInUse(image_id='', store=self.id)
        super().discard(name)


class Case(testtools.TestCase):
    """Imports of DATA into several stores."""

    def begin(self, pipe: PipelineFixture, method: str = 'glance-direct', **how: object) -> tuple[str, str]:
        """The ids of a new image and of its import."""
        image_id = pipe.image('raw')
        if method == 'web-download':
            return image_id, pipe.start(image_id, uri=pipe.serve(image_id, DATA), **how)
        pipe.stage(image_id, DATA)
        return image_id, pipe.start(image_id, **how)

    def progress(self, pipe: PipelineFixture, image_id: str) -> tuple[str, str, str]:
        """status, os_glance_importing_to_stores and os_glance_failed_import."""
        image = pipe.show(image_id)
        return image['status'], image['os_glance_importing_to_stores'], image['os_glance_failed_import']

    def results(self, found: dict) -> dict[str, tuple[str, str | None]]:
        """Status and error code by store."""
        return {each['store']: (each['status'], each['error_code']) for each in found['stores']}


class BrokenDirectoryTestCase(testscenarios.WithScenarios, Case):
    """The directory of one store is none any more: it refuses root too."""

    scenarios = testscenarios.multiply_scenarios(
        [(kind, {'database': kind}) for kind in KINDS], [(method, {'method': method}) for method in BOTH]
    )

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(
            PipelineFixture(self, kind=self.database, overrides={'transfers.delete_seconds': 0})
        )
        self.directory = self.pipe.cloud.path('stores', 'cheap')
        shutil.rmtree(self.directory)
        pathlib.Path(self.directory).touch()

    def test_a_store_that_may_fail_is_named_and_the_image_is_active_in_the_others(self):
        image_id, import_id = self.begin(
            self.pipe, self.method, stores=['cheap', 'fast'], all_stores_must_succeed=False
        )
        found = self.pipe.succeed(import_id)
        results = self.results(found)
        self.assertEqual(('ok', None), results['fast'])
        self.assertEqual('failed', results['cheap'][0])
        self.assertIn(results['cheap'][1], errors.REGISTRY)
        self.assertEqual('failed', step(found, 'store:cheap')['state'])
        self.assertEqual(('active', '', 'cheap'), self.progress(self.pipe, image_id))
        self.assertEqual('fast', self.pipe.show(image_id)['stores'])
        self.assertEqual(DATA, self.pipe.download(image_id))
        self.assertEqual((len(DATA), 0), self.pipe.used())
        self.assertEqual([], self.pipe.staged())
        self.repair()
        self.pipe.check_records()

    def test_a_store_that_must_succeed_reverts_the_other(self):
        image_id, import_id = self.begin(self.pipe, self.method, stores=['cheap', 'fast'])
        found = self.pipe.wait(import_id)
        self.assertEqual(('failed', 'store:cheap'), (found['state'], found['error']['step']))
        self.assertEqual(('queued', '', 'cheap,fast'), self.progress(self.pipe, image_id))
        self.assertEqual({'fast': [], 'cheap': []}, self.pipe.objects())
        self.assertEqual((0, 0), self.pipe.used())
        self.assertEqual([], self.pipe.staged())
        self.repair()
        self.pipe.stage(image_id, DATA)
        self.pipe.succeed(self.pipe.start(image_id, all_stores=True))
        self.assertEqual((2 * len(DATA), 0), self.pipe.used())
        self.pipe.check_records()

    def repair(self) -> None:
        """The directory is back, and the sweeper has seen to what could not be removed before."""
        os.unlink(self.directory)
        os.makedirs(os.path.join(self.directory, UNFINISHED))  # else it is taken for a bare mount point
        wait_until(self.swept, 'the sweeper has removed what the import could not')

    def swept(self) -> bool:
        Sweeper(self.pipe.services, interval=3600).sweep()
        return 'deleting' not in {row.state for row in self.pipe.locations()}


class FailingStoreTestCase(Case):
    """What the in-memory store is told to do wrong."""

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self, memory=('slow', 'bad')))
        self.slow, self.bad = self.pipe.memory['slow'], self.pipe.memory['bad']

    def test_what_is_seen_while_one_store_has_it_one_failed_and_one_is_slow(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.slow.hang_on_put(gate)
        self.bad.fail_on_put(errors.StoreFull, after_bytes=1000)
        image_id, import_id = self.begin(
            self.pipe, stores=['fast', 'slow', 'bad'], all_stores_must_succeed=False
        )
        found = self.pipe.wait_for(
            import_id,
            lambda now: self.results(now)['fast'][0] == 'ok' and self.results(now)['bad'][0] == 'failed',
            'two of three stores are done',
        )
        self.assertTrue(self.slow.hanging.wait(60))
        self.assertEqual(('importing', 'slow', 'bad'), self.progress(self.pipe, image_id))
        self.assertEqual(('pending', None), self.results(found)['slow'])
        (task,) = self.pipe.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
        self.assertEqual('processing', task['status'])
        gate.set()
        found = self.pipe.succeed(import_id)
        self.assertEqual(
            {'fast': ('ok', None), 'slow': ('ok', None), 'bad': ('failed', 'imagepipe.store.full')},
            self.results(found),
        )
        self.assertEqual(('active', '', 'bad'), self.progress(self.pipe, image_id))
        (task,) = self.pipe.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
        self.assertEqual(('success', {'image_id': image_id}), (task['status'], task['result']))
        self.pipe.check_records()

    def test_a_full_store_that_must_succeed_fails_the_import(self):
        self.bad.fail_on_put(errors.StoreFull, after_bytes=1000)
        _, import_id = self.begin(self.pipe, stores=['fast', 'bad', 'cheap'])
        found = self.pipe.fail(import_id, 'imagepipe.store.full', step='store:bad')
        self.assertEqual("Store 'bad' has no room for this image.", found['error']['message'])
        self.assertEqual(1, step(found, 'store:bad')['attempt'])

    def test_every_store_fails_although_each_may(self):
        for store in (self.slow, self.bad):
            store.fail_on_put(errors.StoreDenied)
        _, import_id = self.begin(self.pipe, stores=['slow', 'bad'], all_stores_must_succeed=False)
        found = self.pipe.fail(import_id, 'imagepipe.import.all_stores_failed', step='activate')
        self.assertEqual(
            "None of the stores took the image: Store 'slow' denied the service access. "
            "Store 'bad' denied the service access.",
            found['error']['message'],
        )

    def test_a_store_that_is_busy_is_tried_again(self):
        self.bad.fail_on_put(errors.StoreTransient, times=2, after_bytes=1000)
        _, import_id = self.begin(self.pipe, stores=['bad', 'fast'])
        found = self.pipe.succeed(import_id)
        self.assertEqual((3, 1), (step(found, 'store:bad')['attempt'], step(found, 'store:fast')['attempt']))
        self.pipe.check_records()

    def test_a_store_that_stays_busy_is_given_up(self):
        self.bad.fail_on_put(errors.StoreTransient)
        _, import_id = self.begin(self.pipe, stores=['bad', 'fast'])
        found = self.pipe.fail(import_id, 'imagepipe.store.transient', step='store:bad')
        self.assertEqual(3, step(found, 'store:bad')['attempt'])

    def test_a_store_that_stays_busy_and_may_fail_is_named(self):
        self.bad.fail_on_put(errors.StoreTransient)
        image_id, import_id = self.begin(self.pipe, stores=['bad', 'fast'], all_stores_must_succeed=False)
        found = self.pipe.succeed(import_id)
        self.assertEqual(3, step(found, 'store:bad')['attempt'])
        self.assertEqual(('failed', 'imagepipe.store.transient'), self.results(found)['bad'])
        self.assertEqual(('active', '', 'bad'), self.progress(self.pipe, image_id))
        self.pipe.check_records()

    def test_a_store_that_does_not_know_what_it_was_given_is_noticed(self):
        self.bad.fail_on('size', errors.StoreObjectMissing)
        _, import_id = self.begin(self.pipe, stores=['bad', 'fast'])
        self.pipe.fail(import_id, 'imagepipe.store.object_missing', step='store:bad')

    def test_the_error_is_that_of_the_step_for_which_the_import_was_reverted(self):
        # 'slow' fails in passing, after 'bad' failed for good and before that was decided over.
        failed = threading.Event()
        self.addCleanup(failed.set)
        self.bad.fail_on_put(lambda: failed.set() or errors.StoreFull(store='bad'))
        self.slow.fail_on_put(lambda: failed.wait(60) and errors.StoreTransient(store='slow'))
        for _ in range(5):
            failed.clear()
            _, import_id = self.begin(self.pipe, stores=['bad', 'slow'])
            self.pipe.fail(import_id, 'imagepipe.store.full', step='store:bad', again=None)

    def test_a_defect_of_a_driver_is_an_internal_error_and_leaves_nothing(self):
        self.bad.fail_on_put(ZeroDivisionError)
        _, import_id = self.begin(self.pipe, stores=['bad', 'fast'])
        self.pipe.fail(import_id, 'imagepipe.internal', step='store:bad')

    def test_cancelled_while_a_store_is_written(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.slow.hang_on_put(gate)
        _, import_id = self.begin(self.pipe, stores=['slow', 'fast'])
        self.assertTrue(self.slow.hanging.wait(60))
        response = self.pipe.call('POST', f'/v2/imports/{import_id}/cancel')
        self.assertEqual((202, 'reverting'), (response.status_int, response.json['state']))
        gate.set()
        self.pipe.fail(import_id, 'imagepipe.import.cancelled', state='cancelled')
        self.assertEqual(409, self.pipe.call('POST', f'/v2/imports/{import_id}/cancel').status_int)

    def test_the_image_is_deleted_while_a_store_is_written(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.slow.hang_on_put(gate)
        image_id, import_id = self.begin(self.pipe, stores=['slow', 'fast'])
        self.assertTrue(self.slow.hanging.wait(60))
        self.pipe.delete(image_id)
        gate.set()
        found = self.pipe.wait(import_id)
        self.assertEqual(
            ('failed', 'imagepipe.import.image_deleted'), (found['state'], found['error']['code'])
        )
        self.assertEqual(404, self.pipe.call('GET', f'/v2/images/{image_id}').status_int)
        self.pipe.check_records()


class ShortStoreTestCase(Case):
    """A store that is not to be believed."""

    def test_a_store_that_keeps_less_than_it_was_given_is_noticed(self):
        pipe = self.useFixture(PipelineFixture(self, memory=(ShortStore('short'),)))
        _, import_id = self.begin(pipe, stores=['short', 'fast'])
        found = pipe.fail(import_id, 'imagepipe.store.data_differs', step='store:short')
        self.assertEqual("Store 'short' holds other data than was sent to it.", found['error']['message'])


class HoldingStoreTestCase(Case):
    """A worker has died while it wrote, and the store does not know yet."""

    def test_the_next_worker_writes_and_the_sweeper_removes_what_the_dead_one_wrote(self):
        store = HoldingStore('held')
        pipe = self.useFixture(PipelineFixture(self, memory=(store,), works=False))
        image_id, import_id = self.begin(pipe, stores=['held', 'fast'])
        pipe.services.db.run(
            lambda tx: tx.connection.execute(sa.update(schema.imports).values(epoch=1))  # the dead one's
        )
        left = names.object_name(image_id, import_id, 1, 'raw')
        store.contents[left] = DATA[:1000]
        store.held.add(left)
        pipe.work()
        found = pipe.succeed(import_id)
        self.assertEqual(1, step(found, 'store:held')['attempt'])
        self.assertEqual(DATA, pipe.download(image_id))
        self.assertIn(left, store.contents)
        store.held.clear()
        pipe.sweep()
        pipe.check_records()


class LostStagingTestCase(testscenarios.WithScenarios, Case):
    """The staged file vanishes, or is another one, when the store is about to read it."""

    scenarios = [
        ('removed', {'harm': os.unlink}),
        ('changed', {'harm': replaced}),
    ]

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self, memory=('slow',)))
        # The first put harms the staged data and fails in passing; the next one finds the harm.
        self.pipe.memory['slow'].fail_on_put(self.lose, times=1)

    def lose(self) -> Exception:
        for name in self.pipe.staged():
            self.harm(self.pipe.cloud.path('staging', name))
        return errors.StoreTransient(store='slow')

    def test_what_can_be_fetched_again_is_fetched_again(self):
        image_id, import_id = self.begin(self.pipe, 'web-download', stores=['slow', 'fast'])
        self.pipe.succeed(import_id)
        self.assertEqual(2, len(self.pipe.source.requests_to(f'/{image_id}')))
        self.assertEqual(DATA, self.pipe.download(image_id))
        self.pipe.check_records()

    def test_an_upload_is_lost_and_says_so(self):
        image_id, import_id = self.begin(self.pipe, stores=['slow'])
        found = self.pipe.fail(import_id, 'imagepipe.staging.lost')
        self.assertEqual(
            f'The staged data of image {image_id} is no longer there; stage or upload it again.',
            found['error']['message'],
        )

    def test_a_source_that_is_lost_again_and_again_is_given_up(self):
        self.pipe.memory['slow'].fail_on_put(self.lose)
        image_id, import_id = self.begin(self.pipe, 'web-download', stores=['slow'])
        self.pipe.fail(import_id, 'imagepipe.staging.lost')
        self.assertEqual(2, len(self.pipe.source.requests_to(f'/{image_id}')))


class LostBeforeTestCase(Case):
    """The staged file vanishes before a worker comes."""

    def test_staged_data_that_is_gone_before_the_import_runs(self):
        pipe = self.useFixture(PipelineFixture(self, works=False))
        _, import_id = self.begin(pipe)
        (name,) = pipe.staged()
        os.unlink(pipe.cloud.path('staging', name))
        pipe.work()
        pipe.fail(import_id, 'imagepipe.staging.lost', step='stage')


class QuotaTestCase(Case):
    """The project's storage quota ends in the middle of an import."""

    def quota(self, limit: int, **options: object) -> PipelineFixture:
        return self.useFixture(
            PipelineFixture(self, overrides={'user_storage_quota': f'{limit}B', **options})
        )

    def test_the_size_of_a_source_is_known_when_it_was_fetched(self):
        pipe = self.quota(2 * len(DATA) - 1)
        image_id, import_id = self.begin(pipe, 'web-download', stores=['fast', 'cheap'])
        found = pipe.fail(import_id, 'imagepipe.quota.storage', step='introspect', again=None)
        self.assertEqual(
            'The image does not fit into the storage quota of the project: 600000 bytes more than the '
            '599999 allowed bytes minus 0 used.',
            found['error']['message'],
        )
        pipe.retry(image_id, DATA)

    def test_a_raw_image_that_would_be_too_large_is_not_made(self):
        images.needs(self, 'qcow2')
        data = images.content('qcow2')
        pipe = self.quota(len(data) + 1, **{'import_flow.target_formats': 'cheap:raw'})
        image_id = pipe.image('qcow2')
        pipe.stage(image_id, data)
        import_id = pipe.start(image_id, stores=['cheap'])
        pipe.fail(import_id, 'imagepipe.quota.storage', step='convert:raw', again=data)

    def test_an_import_that_exactly_fits(self):
        pipe = self.quota(2 * len(DATA))
        _, import_id = self.begin(pipe, stores=['fast', 'cheap'])
        pipe.succeed(import_id)
        self.assertEqual((2 * len(DATA), 0), pipe.used())
        pipe.check_records()
