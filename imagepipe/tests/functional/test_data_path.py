"""Receiving and sending data: what is recorded, what fails, and that nothing is left then."""

import dataclasses
import hashlib
import io
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent import futures

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import context, errors
from imagepipe.db import schema
from imagepipe.domain.image import Image, Status
from imagepipe.domain.location import LocationState
from imagepipe.domain.ranges import RangeRequest
from imagepipe.domain.transfer import TransferState
from imagepipe.operations import data, deletion, transfers
from imagepipe.sources.intake import Intake
from imagepipe.stores.memory import InMemoryStore
from imagepipe.stores.store import Stores
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until

MIB = 1 << 20
NOTHING = ('size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value')


class Feed:
    """A request body that does something when it has given so many bytes."""

    def __init__(self, content: bytes, *, at: int = 0, then: Callable[[], None] = lambda: None) -> None:
        self._left = io.BytesIO(content)
        self._at = at
        self._then: Callable[[], None] | None = then

    def read(self, size: int = -1) -> bytes:
        if self._left.tell() >= self._at and self._then is not None:
            then, self._then = self._then, None
            then()
        return self._left.read(min(size, 100_000))

    def close(self) -> None:
        pass


class DataCase(testtools.TestCase):
    """Services with a file store `fast`, and a store in memory `far` that is streamed into."""

    overrides: Mapping[str, object] = {}
    database_kind = 'sqlite'
    patience = 5

    def setUp(self) -> None:
        super().setUp()
        overrides = {'transfers.delete_seconds': 5, **self.overrides}
        self.parts = self.useFixture(ServicesFixture(self, kind=self.database_kind, overrides=overrides))
        self.far = InMemoryStore('far', weight=10)
        self.near = InMemoryStore('near', weight=20)
        self.services = self.equipped(self.parts.services)
        self.context = context.RequestContext(
            is_admin=True,
            project_id='ours',
            user_id='user',
            roles=['admin', 'member', 'reader'],
            overwrite=False,
        )
        self.addCleanup(self.nothing_hangs)

    def equipped(self, services: object) -> object:
        """The services of one more process, with the stores in memory besides."""
        stores = Stores({**services.stores, 'far': self.far, 'near': self.near}, default='fast', multi=True)
        intake = Intake(
            stores=stores,
            staging=services.staging,
            rules=services.inspection_rules,
            algorithms=('sha512', 'sha256'),
            patience=self.patience,
        )
        return dataclasses.replace(services, stores=stores, intake=intake)

    def nothing_hangs(self) -> None:
        for thread in threading.enumerate():
            if thread.name.startswith(('put-', 'sink-', 'lease-')):
                thread.join(10)
                self.assertFalse(thread.is_alive(), f'{thread.name} is still there')

    # What is there.

    def image(self, **attributes: object) -> str:
        wanted = {'disk_format': 'raw', 'container_format': 'bare', 'owner': 'ours', **attributes}
        image = Image(id=str(uuid.uuid4()), **wanted)
        return self.services.db.run(lambda tx: tx.images.add(image)).id

    def find(self, image_id: str) -> Image:
        return self.services.db.read(lambda tx: tx.images.find(image_id))

    def used(self, scope: str) -> int:
        return self.services.db.read(lambda tx: tx.usages.used(scope, 'bytes'))

    def rows(self, image_id: str) -> list[object]:
        return self.services.db.read(lambda tx: tx.transfers.of_image(image_id))

    def locations(self, image_id: str) -> list[object]:
        return self.services.db.read(lambda tx: tx.locations.of_image(image_id))

    def events(self) -> list[tuple[str, str]]:
        """Type and priority of the events since the last call."""
        table = schema.outbox
        query = sa.select(table.c.id, table.c.event_type, table.c.priority).order_by(table.c.id)
        with self.services.db.engine.begin() as connection:
            found = connection.execute(query).all()
            connection.execute(sa.delete(table))
        return [(row.event_type, row.priority) for row in found]

    def leftovers(self) -> list[str]:
        """Every object and staged file."""
        stored = [f'{name}:{item}' for name, store in self.services.stores.items() for item in store.names()]
        staging = self.services.staging
        return stored + [f'staging:{name}' for name in (staging.names() if staging.root.exists() else ())]

    # What is done.

    def upload(self, image_id: str, body: bytes | Feed, **more: object) -> None:
        options = {'content_length': None, 'announced_size': None, 'store': None, **more}
        reader = io.BytesIO(body) if isinstance(body, bytes) else body
        data.upload(self.services, self.context, image_id, reader, **options)

    def stage(self, image_id: str, body: bytes | Feed, **more: object) -> None:
        options = {'content_length': None, 'announced_size': None, **more}
        reader = io.BytesIO(body) if isinstance(body, bytes) else body
        data.stage(self.services, self.context, image_id, reader, **options)

    def downloaded(self, image_id: str, range_: str | None = None, **more: object) -> bytes:
        wanted = None if range_ is None else RangeRequest(text=range_)
        found = data.download(self.services, self.context, image_id, range_=wanted, **more)
        try:
            return b''.join(found)
        finally:
            found.close()

    def assert_untouched(self, image_id: str) -> None:
        """Queued, without a trace of what was tried."""
        image = self.find(image_id)
        self.assertEqual(Status.QUEUED, image.status)
        self.assertEqual(dict.fromkeys(NOTHING), {name: getattr(image, name) for name in NOTHING})
        self.assertEqual(([], [], []), (self.leftovers(), self.rows(image_id), self.locations(image_id)))
        self.assertEqual((0, 0), (self.used('project:ours'), self.used('staging')))


class UploadTest(testscenarios.WithScenarios, DataCase):
    """Into a file store and into one that is streamed into, with and without a known size."""

    scenarios = testscenarios.multiply_scenarios(
        DATABASES,
        [(store, {'store': store}) for store in ('fast', 'far')],
        [('sized', {'sized': True}), ('unsized', {'sized': False})],
    )

    def test_makes_an_active_image_of_exactly_these_bytes(self) -> None:
        content = os.urandom(3 * MIB + 5)
        image_id = self.image()
        self.upload(image_id, content, store=self.store, content_length=len(content) if self.sized else None)
        image = self.find(image_id)
        self.assertEqual(
            (
                Status.ACTIVE,
                len(content),
                len(content),
                hashlib.md5(content).hexdigest(),
                'sha512',
                hashlib.sha512(content).hexdigest(),
                (self.store,),
            ),
            (
                image.status,
                image.size,
                image.virtual_size,
                image.checksum,
                image.os_hash_algo,
                image.os_hash_value,
                image.stores,
            ),
        )
        self.assertEqual(content, self.downloaded(image_id))
        (location,) = self.locations(image_id)
        self.assertEqual((LocationState.ACTIVE, len(content)), (location.state, location.size))
        primary = self.services.db.read(lambda tx: tx.locations.primary(image_id))
        self.assertEqual({'md5', 'sha512', 'sha256'}, set(primary.digests))
        self.assertEqual([f'{self.store}:{location.object_name}'], self.leftovers())
        self.assertEqual([], self.rows(image_id))
        self.assertEqual((len(content), 0), (self.used('project:ours'), self.used('staging')))

    def test_a_failure_leaves_nothing_and_the_next_upload_succeeds(self) -> None:
        def broken() -> None:
            raise errors.DataTruncated(found=7)

        image_id = self.image()
        size = 3 * MIB if self.sized else None
        body = Feed(b'x' * (3 * MIB), at=2 * MIB, then=broken)
        self.assertRaises(
            errors.DataTruncated, self.upload, image_id, body, store=self.store, content_length=size
        )
        self.assert_untouched(image_id)
        self.upload(image_id, b'other bytes', store=self.store)
        self.assertEqual(b'other bytes', self.downloaded(image_id))

    def test_its_events_come_in_order(self) -> None:
        image_id = self.image()
        self.events()
        self.upload(image_id, b'x', store=self.store)
        self.assertEqual(
            [
                (name, 'INFO')
                for name in (
                    'image.update',
                    'image.prepare',
                    'image.upload',
                    'image.activate',
                    'image.update',
                )
            ],
            self.events(),
        )


class UploadRefusedTest(DataCase):
    overrides = {'image_size_cap': 4 * MIB, 'user_storage_quota': '6MB'}

    def refused(
        self, error: type[Exception], body: bytes | Feed, image_id: str | None = None, **more: object
    ) -> None:
        image_id = image_id or self.image()
        for store in ('fast', 'far'):
            self.assertRaises(error, self.upload, image_id, body, **{'store': store, **more})
            self.assert_untouched(image_id)

    def test_beyond_the_cap(self) -> None:
        self.refused(errors.SizeCapExceeded, b'', content_length=4 * MIB + 1)
        self.refused(errors.SizeCapExceeded, b'x' * (4 * MIB + 1))

    def test_other_than_the_announced_size(self) -> None:
        for announced in (9, 11, 3 * MIB):
            self.refused(errors.SizeMismatch, b'0123456789', announced_size=announced)

    def test_wrong_content(self) -> None:
        self.refused(errors.FormatMismatch, b'x' * 1000, self.image(disk_format='qcow2'))

    def test_without_formats(self) -> None:
        self.refused(errors.FormatsNotSet, b'x', self.image(disk_format=None))

    def test_to_a_store_that_is_not_there_or_takes_nothing(self) -> None:
        self.refused(errors.UnknownStore, b'x', store='nowhere')
        self.far.read_only = True
        self.refused(errors.StoreReadOnly, b'x', store='far')

    def test_the_quota_counts_what_is_stored_and_what_is_coming(self) -> None:
        full = self.image()
        self.upload(full, b'x' * (4 * MIB), content_length=4 * MIB)
        for options in ({'content_length': 3 * MIB}, {}):
            image_id = self.image()
            body = b'x' * (3 * MIB)
            for store in ('fast', 'far'):
                self.assertRaises(errors.QuotaExceeded, self.upload, image_id, body, store=store, **options)
            self.assertEqual(Status.QUEUED, self.find(image_id).status)
            self.assertEqual(4 * MIB, self.used('project:ours'))
        self.upload(self.image(), b'x' * (2 * MIB))
        self.assertEqual(6 * MIB, self.used('project:ours'))

    def test_an_image_that_is_not_queued(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'here')
        self.assertRaises(errors.InvalidTransition, self.upload, image_id, b'again')
        self.assertEqual(b'here', self.downloaded(image_id))

    def test_a_second_upload_at_the_same_time(self) -> None:
        image_id = self.image()
        seen: list[type] = []

        def second() -> None:
            seen.append(type(self.assertRaises(errors.Conflict, self.upload, image_id, b'second')))

        self.upload(image_id, Feed(b'first', then=second))
        self.assertEqual([errors.InvalidTransition], seen)
        self.assertEqual(b'first', self.downloaded(image_id))

    def test_a_store_that_fails_at_once_or_in_the_middle(self) -> None:
        for after in (None, MIB + 1):
            self.far.fail_on_put(errors.StoreFull, after)
            image_id = self.image()
            for size in (3 * MIB, None):
                self.assertRaises(
                    errors.StoreFull,
                    self.upload,
                    image_id,
                    b'x' * (3 * MIB),
                    store='far',
                    content_length=size,
                )
                self.assert_untouched(image_id)

    def test_a_failure_is_notified_as_an_error(self) -> None:
        image_id = self.image()
        self.events()
        self.assertRaises(errors.SizeMismatch, self.upload, image_id, b'x', announced_size=2)
        self.assertIn(('image.upload', 'ERROR'), self.events())


class HangingStoreTest(DataCase):
    """A store that does not answer in time, and completes what it was given up for."""

    patience = 0.5

    def setUp(self) -> None:
        super().setUp()
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        self.far.hang_on_put(self.gate)
        self.image_id = self.image()
        self.assertRaises(
            errors.StoreTransient, self.upload, self.image_id, b'x' * 10, store='far', content_length=10
        )

    def sweep(self) -> None:
        """The sweeper of another process, after the transfer's lease."""
        with self.services.db.engine.begin() as connection:
            connection.execute(sa.update(schema.transfers).values(expires=0))
        self.assertEqual(1, transfers.sweep(self.equipped(self.parts.build())))

    def until_complete(self) -> None:
        self.gate.set()
        wait_until(
            lambda: not any(thread.name.startswith('put-') for thread in threading.enumerate()),
            'the store has completed the put',
        )

    def test_it_does_not_keep_the_request_for_ever(self) -> None:
        self.assertEqual(Status.QUEUED, self.find(self.image_id).status)

    def test_what_comes_after_the_sweep_is_removed_when_it_comes(self) -> None:
        self.sweep()
        self.until_complete()
        self.assert_untouched(self.image_id)

    def test_what_cannot_be_removed_then_is_removed_by_the_sweep(self) -> None:
        self.far.fail_on('discard', errors.StoreTransient)
        self.until_complete()
        self.assertEqual(1, len(self.leftovers()))
        self.far.heal()
        self.sweep()
        self.assert_untouched(self.image_id)


class DeletedMeanwhileTest(testscenarios.WithScenarios, DataCase):
    """Delete wins over an upload in the middle: 410, and no byte stays."""

    scenarios = testscenarios.multiply_scenarios(
        DATABASES, [(store, {'store': store}) for store in ('fast', 'far', 'staging')]
    )
    overrides = {'transfers.lease_seconds': 3}

    def test_the_upload_ends_with_410(self) -> None:
        image_id = self.image()

        def gone() -> None:
            deletion.delete(self.services, self.context, image_id)

        body = Feed(b'x' * (2 * MIB), at=MIB, then=gone)
        if self.store == 'staging':
            error = self.assertRaises(errors.ImageGone, self.stage, image_id, body)
        else:
            error = self.assertRaises(errors.ImageGone, self.upload, image_id, body, store=self.store)
        self.assertEqual(410, error.status)
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual(([], [], []), (self.leftovers(), self.rows(image_id), self.locations(image_id)))
        self.assertEqual((0, 0), (self.used('project:ours'), self.used('staging')))


class LostLeaseTest(DataCase):
    overrides = {'transfers.lease_seconds': 3}

    def expire(self) -> None:
        """The transfer's lease is over, as after a long SIGSTOP."""
        with self.services.db.engine.begin() as connection:
            connection.execute(sa.update(schema.transfers).values(expires=0))

    def test_a_transfer_that_was_swept_changes_nothing_when_it_goes_on(self) -> None:
        for store in ('fast', 'far'):
            image_id = self.image()

            def sweep() -> None:
                self.expire()
                self.assertEqual(1, transfers.sweep(self.equipped(self.parts.build())))

            body = Feed(b'x' * (2 * MIB), at=MIB, then=sweep)
            self.assertRaises(errors.TransferLost, self.upload, image_id, body, store=store)
            self.assert_untouched(image_id)

    def test_it_does_not_harm_the_upload_that_came_after_it(self) -> None:
        image_id = self.image()

        def overtake() -> None:
            self.expire()
            transfers.sweep(self.equipped(self.parts.build()))
            self.upload(image_id, b'the new one')

        body = Feed(b'x' * (2 * MIB), at=MIB, then=overtake)
        self.assertRaises(errors.TransferLost, self.upload, image_id, body)
        self.assertEqual(b'the new one', self.downloaded(image_id))
        self.assertEqual(1, len(self.leftovers()))

    def test_what_a_store_would_not_remove_is_removed_by_the_sweeper(self) -> None:
        self.far.fail_on_put(errors.StoreFull, 10)
        self.far.fail_on('discard', errors.StoreTransient)
        image_id = self.image()
        self.assertRaises(
            errors.StoreFull, self.upload, image_id, b'x' * MIB, store='far', content_length=MIB
        )
        self.assertEqual(Status.QUEUED, self.find(image_id).status)
        self.assertEqual([TransferState.ENDED], [transfer.state for transfer in self.rows(image_id)])
        self.far.heal()
        self.expire()
        self.assertEqual(1, transfers.sweep(self.services))
        self.assert_untouched(image_id)

    def test_the_sweeper_leaves_a_live_transfer_alone(self) -> None:
        image_id = self.image()
        self.upload(image_id, Feed(b'x', then=lambda: self.assertEqual(0, transfers.sweep(self.services))))
        self.assertEqual(b'x', self.downloaded(image_id))

    def test_an_answer_lost_in_the_commit_does_not_remove_the_bytes(self) -> None:
        image_id = self.image()
        run = self.services.db.run

        class Losing:
            """A database whose answer to the commit of an upload is lost on the way."""

            engine, read = self.services.db.engine, self.services.db.read

            @staticmethod
            def run(operation: Callable) -> object:
                result = run(operation)
                active = self.services.db.read(lambda tx: tx.images.find(image_id)).status is Status.ACTIVE
                if active and not lost:
                    lost.append(None)
                    raise errors.DatabaseUnavailable()
                return result

        lost: list[None] = []
        whole = self.services
        self.services = dataclasses.replace(whole, db=Losing())
        self.assertRaises(errors.DatabaseUnavailable, self.upload, image_id, b'kept', store='far')
        self.services = whole
        self.assertEqual([None], lost)
        self.assertEqual(Status.ACTIVE, self.find(image_id).status)
        self.assertEqual(b'kept', self.downloaded(image_id))


class Away:
    """A database that cannot be used a few times by whoever prolongs a lease."""

    def __init__(self, database: object) -> None:
        self._database = database
        self.left = 2

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    def run(self, operation: Callable) -> object:
        if self.left and threading.current_thread().name.startswith('lease-'):
            self.left -= 1
            raise errors.DatabaseUnavailable()
        return self._database.run(operation)


class SlowStoreCase(DataCase):
    """A store that has all of the data, and takes longer than a lease for its last word."""

    overrides = {'transfers.lease_seconds': 3}
    patience = 60

    def setUp(self) -> None:
        super().setUp()
        self.requests = futures.ThreadPoolExecutor(1)
        self.addCleanup(self.requests.shutdown)
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        self.far.hang_on_put(self.gate)
        self.image_id = self.image()

    def send(self) -> futures.Future:
        """An upload of which the store has every byte."""
        sending = self.requests.submit(self.upload, self.image_id, b'x' * 10, store='far', content_length=10)
        self.assertTrue(self.far.hanging.wait(30))
        return sending

    def until_let_go(self) -> None:
        wait_until(
            lambda: not any(thread.name.startswith('lease-') for thread in threading.enumerate()),
            'nobody prolongs the lease',
        )


class SlowStoreTest(SlowStoreCase):
    def expires(self) -> float:
        with self.services.db.engine.connect() as connection:
            return connection.execute(sa.select(schema.transfers.c.expires)).scalar_one()

    def test_the_upload_is_kept_alive(self) -> None:
        away = Away(self.services.db)
        self.services = dataclasses.replace(self.services, db=away)
        sending = self.send()
        first = self.expires()
        wait_until(lambda: self.expires() > first + self.overrides['transfers.lease_seconds'], 'it is kept')
        self.assertEqual((0, 0), (away.left, transfers.sweep(self.services)))
        self.gate.set()
        sending.result(30)
        self.assertEqual(b'x' * 10, self.downloaded(self.image_id))

    def test_an_upload_that_was_ended_is_not(self) -> None:
        sending = self.send()
        deletion.delete(self.services, self.context, self.image_id)
        self.until_let_go()
        self.gate.set()
        self.assertRaises(errors.ImageGone, sending.result, 30)
        self.assertEqual(([], []), (self.leftovers(), self.rows(self.image_id)))


class DeadStoreTest(SlowStoreCase):
    overrides = {
        'transfers.lease_seconds': 3,
        'transfers.store_timeout': 1,
        'transfers.client_timeout': 1,
    }

    def test_an_upload_that_hangs_for_ever_is_given_up(self) -> None:
        sending = self.send()
        self.until_let_go()
        self.assertFalse(sending.done())


class StageTest(testscenarios.WithScenarios, DataCase):
    scenarios = DATABASES
    overrides = {'staging.capacity': 8 * MIB, 'image_size_cap': 10 * MIB}

    def test_records_what_an_import_needs_to_know(self) -> None:
        content = os.urandom(2 * MIB + 1)
        image_id = self.image(disk_format=None, container_format=None)
        self.stage(image_id, content)
        image = self.find(image_id)
        self.assertEqual((Status.UPLOADING, len(content), None), (image.status, image.size, image.checksum))
        staged = self.services.db.read(lambda tx: tx.transfers.staged(image_id))
        self.assertEqual(hashlib.sha256(content).hexdigest(), staged.digests['sha256'])
        self.assertEqual('raw', staged.verdict['format'])
        self.assertEqual(self.services.staging.identity(staged.object_name), staged.identity)
        self.assertEqual(content, self.services.staging.path(staged.object_name).read_bytes())
        self.assertEqual((0, len(content)), (self.used('project:ours'), self.used('staging')))

    def test_cannot_be_done_twice_nor_followed_by_an_upload(self) -> None:
        image_id = self.image()
        self.stage(image_id, b'once')
        self.assertRaises(errors.InvalidTransition, self.stage, image_id, b'twice')
        self.assertRaises(errors.InvalidTransition, self.upload, image_id, b'twice')

    def test_a_full_staging_area_is_413_before_a_byte_or_in_the_middle(self) -> None:
        self.stage(self.image(), b'x' * (6 * MIB))
        before = self.leftovers()
        for size in (3 * MIB, None):
            image_id = self.image()
            self.assertRaises(errors.StagingFull, self.stage, image_id, b'x' * (3 * MIB), content_length=size)
            self.assertEqual(Status.QUEUED, self.find(image_id).status)
            self.assertEqual((before, 6 * MIB), (self.leftovers(), self.used('staging')))
        self.stage(self.image(), b'x' * (2 * MIB))

    def test_wrong_sizes_leave_nothing(self) -> None:
        image_id = self.image()
        for announced in (1, 11):
            self.assertRaises(
                errors.SizeMismatch, self.stage, image_id, b'0123456789', announced_size=announced
            )
            self.assert_untouched(image_id)


class StagingDisabledTest(DataCase):
    overrides = {'enabled_import_methods': '[web-download]'}

    def test_is_404(self) -> None:
        self.assertEqual(
            404, self.assertRaises(errors.StagingDisabled, self.stage, self.image(), b'x').status
        )


class DownloadTest(DataCase):
    def copies(self, content: bytes) -> str:
        """An image with a copy in `near`, `far` and `fast`, in this order of weight."""
        image_id = self.image()
        self.upload(image_id, content, store='fast')
        (first,) = self.locations(image_id)
        for store in (self.near, self.far):
            url = store.put(first.object_name, io.BytesIO(content), None)
            location = dataclasses.replace(first, id=str(uuid.uuid4()), store=store.id, url=url)
            self.services.db.run(lambda tx, location=location: tx.locations.add(location))
        return image_id

    def test_the_heaviest_store_is_asked_first_and_the_preferred_before_it(self) -> None:
        image_id = self.copies(b'0123456789')
        for store in (self.near, self.far):
            store.contents = {name: store.id.encode().ljust(10) for name in store.contents}
        self.assertEqual(b'near      ', self.downloaded(image_id))
        self.assertEqual(b'far       ', self.downloaded(image_id, prefer=['far']))
        self.assertEqual(b'0123456789', self.downloaded(image_id, prefer=['fast', 'far']))
        self.assertRaises(errors.UnknownStore, self.downloaded, image_id, prefer=['nowhere'])

    def test_the_next_store_goes_on_where_one_failed(self) -> None:
        content = os.urandom(3 * MIB)
        image_id = self.copies(content)
        self.near.contents = {name: item[: MIB + 7] for name, item in self.near.contents.items()}
        self.far.fail_on('open', errors.StoreTransient)
        self.assertEqual(content, self.downloaded(image_id))
        self.assertEqual(content[5:-5], self.downloaded(image_id, f'bytes=5-{len(content) - 6}'))

    def test_data_that_no_store_has_to_its_end_is_an_error(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'x' * MIB, store='far')
        self.far.contents = {name: item[:1000] for name, item in self.far.contents.items()}
        self.events()
        self.assertRaises(errors.DataUnavailable, self.downloaded, image_id)
        self.assertEqual([('image.send', 'ERROR')], self.events())

    def test_objects_that_are_gone_are_no_data_and_a_store_that_is_away_is_503(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'x', store='far')
        self.far.fail_on('open', errors.StoreTransient)
        error = self.assertRaises(errors.DataUnavailable, self.downloaded, image_id)
        self.assertEqual(503, error.status)
        self.far.heal()
        self.far.contents.clear()
        self.assertIsNone(data.download(self.services, self.context, image_id, range_=None))

    def test_a_store_that_is_not_configured_any_more_is_503(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'x', store='far')
        known = Stores({'fast': self.services.stores['fast']}, default='fast', multi=True)
        self.services = dataclasses.replace(self.services, stores=known)
        self.assertRaises(errors.DataUnavailable, self.downloaded, image_id)

    def test_without_data_there_is_nothing(self) -> None:
        queued, staged = self.image(), self.image()
        self.stage(staged, b'x')
        for image_id in (queued, staged):
            self.assertIsNone(data.download(self.services, self.context, image_id, range_=None))

    def test_a_deactivated_image_is_for_administrators(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'x')
        self.services.db.run(lambda tx: self.deactivate(tx, image_id))
        self.assertEqual(b'x', self.downloaded(image_id))
        self.context = context.RequestContext(project_id='ours', user_id='u', roles=['member', 'reader'])
        self.assertRaises(errors.ImageDeactivated, self.downloaded, image_id)

    @staticmethod
    def deactivate(tx: object, image_id: str) -> None:
        image = tx.images.find(image_id)
        tx.images.save(image.to(Status.DEACTIVATED), expected=image)

    def test_a_reader_without_member_may_not(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'x')
        self.context = context.RequestContext(project_id='ours', user_id='u', roles=['reader'])
        self.assertRaises(errors.PolicyForbids, self.downloaded, image_id)

    def test_a_whole_file_is_given_to_the_server_as_a_file(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'0123456789')
        found = data.download(self.services, self.context, image_id, range_=None)
        file = found.file()
        self.assertEqual(b'0123456789', os.pread(file.fileno(), 100, 0))
        self.events()
        file.close()
        self.assertEqual([('image.send', 'INFO')], self.events())
        ranged = data.download(
            self.services, self.context, image_id, range_=RangeRequest(text='bytes=1-'), prefer=()
        )
        self.assertIsNone(ranged.file())
        ranged.close()

    def test_a_download_that_the_client_left_is_notified_as_an_error(self) -> None:
        image_id = self.image()
        self.upload(image_id, b'x' * (2 * MIB))
        found = data.download(self.services, self.context, image_id, range_=None)
        next(found)
        self.events()
        found.close()
        found.close()
        self.assertEqual([('image.send', 'ERROR')], self.events())


class ChangedMeanwhileTest(DataCase):
    def test_a_change_of_metadata_does_not_disturb_an_upload(self) -> None:
        image_id = self.image()

        def rename(tx: object) -> None:
            image = tx.images.find(image_id)
            tx.images.save(dataclasses.replace(image, name='new', owner='theirs'), expected=image)

        self.upload(image_id, Feed(b'x' * MIB, at=100, then=lambda: self.services.db.run(rename)))
        image = self.find(image_id)
        self.assertEqual(('new', Status.ACTIVE), (image.name, image.status))
        self.assertEqual((0, MIB), (self.used('project:ours'), self.used('project:theirs')))
