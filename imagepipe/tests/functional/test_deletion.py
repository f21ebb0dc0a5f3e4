"""Deleting images: in every status, with stores that refuse, fail or do not answer."""

import dataclasses
import sys
import threading
import uuid

import fixtures
import sqlalchemy as sa
import testscenarios

from imagepipe import context, errors
from imagepipe.db import schema
from imagepipe.domain.image import Status, Visibility
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.import_request import ImportRequest
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.representation import Representation
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import deletion, imports, removals
from imagepipe.stores.memory import InMemoryStore
from imagepipe.stores.store import Stores
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.workers import wait_until
from imagepipe.tests.functional.test_data_path import DataCase

ANYBODY = {'user_id': 'u', 'roles': ['member', 'reader']}


class DeletionCase(DataCase):
    def delete(self, image_id: str) -> None:
        deletion.delete(self.services, self.context, image_id)

    def assert_gone(self, image_id: str) -> None:
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual(([], [], []), (self.leftovers(), self.rows(image_id), self.locations(image_id)))
        representations = self.services.db.read(lambda tx: tx.locations.representations(image_id))
        self.assertEqual(([], 0, 0), (representations, self.used('project:ours'), self.used('staging')))

    def copied(self, *stores: str) -> str:
        """An active image in these stores."""
        image_id = self.image()
        self.upload(image_id, b'0123456789', store=stores[0])
        (first,) = self.locations(image_id)
        for store in stores[1:]:
            self.services.db.run(lambda tx, store=store: self.copy(tx, first, store))
        return image_id

    def copy(self, tx: object, first: Location, store: str) -> None:
        found = self.services.stores[store]
        found.contents[first.object_name] = b'0123456789'
        copy = dataclasses.replace(first, id=str(uuid.uuid4()), store=store, url=found.url(first.object_name))
        tx.locations.add(copy)
        self.services.quota.count(tx, 'ours', 10)


class DeletionTest(testscenarios.WithScenarios, DeletionCase):
    scenarios = DATABASES

    def test_an_image_with_data_in_several_stores(self) -> None:
        image_id = self.copied('fast', 'far', 'near')
        self.events()
        self.delete(image_id)
        self.assert_gone(image_id)
        self.assertEqual([('image.delete', 'INFO')], self.events())

    def test_an_image_without_data_and_a_staged_one(self) -> None:
        queued = self.image()
        self.delete(queued)
        self.assert_gone(queued)
        staged = self.image()
        self.stage(staged, b'x' * 1000)
        self.delete(staged)
        self.assert_gone(staged)

    def test_its_id_is_never_used_again(self) -> None:
        image_id = self.image()
        image = self.find(image_id)
        self.delete(image_id)
        self.assertRaises(errors.ImageNotFound, self.delete, image_id)
        self.assertRaises(errors.ImageIdTaken, self.services.db.run, lambda tx: tx.images.add(image))

    def test_an_import_on_the_way_is_reverted(self) -> None:
        image_id = self.image()
        self.stage(image_id, b'x' * 1000)
        request = ImportRequest.parse({'method': {'name': 'glance-direct'}}, store_header=None)
        started = imports.start(self.services, self.context, image_id, request)
        self.delete(image_id)
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        found = self.services.db.read(lambda tx: tx.imports.get(started.id))
        self.assertEqual(
            (ImportState.REVERTING, errors.ImageDeletedDuringImport.code), (found.state, found.error_code)
        )
        self.assertEqual((0, []), (self.used('staging'), self.leftovers()))


class RefusedTest(DeletionCase):
    def test_a_protected_image(self) -> None:
        image_id = self.image(protected=True)
        self.assertEqual(403, self.assertRaises(errors.ImageProtected, self.delete, image_id).status)
        self.assertEqual(Status.QUEUED, self.find(image_id).status)

    def test_somebody_else(self) -> None:
        seen, hidden = self.image(visibility=Visibility.PUBLIC), self.image(visibility=Visibility.PRIVATE)
        self.context = context.RequestContext(project_id='theirs', **ANYBODY)
        self.assertRaises(errors.PolicyForbids, self.delete, seen)
        self.assertRaises(errors.ImageNotFound, self.delete, hidden)

    def test_a_store_in_use_brings_the_image_back(self) -> None:
        for error, expected in ((errors.StoreInUse, 409), (errors.StoreDenied, 403)):
            image_id = self.image()
            self.upload(image_id, b'0123456789', store='far')
            failure = error(store='far', image_id=image_id)
            self.far.fail_on('delete', failure)
            refused = self.assertRaises(errors.ImagepipeError, self.delete, image_id)
            self.assertEqual(expected, refused.status)
            self.assertEqual(Status.ACTIVE, self.find(image_id).status)
            self.assertEqual(b'0123456789', self.downloaded(image_id))
            self.far.heal()
            self.delete(image_id)
            self.assert_gone(image_id)

    def test_copies_that_could_be_deleted_are_gone_even_then(self) -> None:
        image_id = self.copied('fast', 'far')
        self.far.fail_on('delete', errors.StoreInUse(store='far', image_id=image_id))
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assertEqual(
            [('far', LocationState.ACTIVE)], [(x.store, x.state) for x in self.locations(image_id)]
        )
        self.assertEqual((b'0123456789', 10), (self.downloaded(image_id), self.used('project:ours')))
        self.far.heal()
        self.delete(image_id)
        self.assert_gone(image_id)


class FormatsTest(DeletionCase):
    """An image in one format for everybody, and in another one that a store wanted."""

    overrides = {'transfers.delete_seconds': 0.5}

    def converted(self) -> str:
        """In `near` as GET file reads it, in `far` as it does not."""
        image_id = self.copied('near')
        (first,) = self.locations(image_id)
        other = Representation(
            id=str(uuid.uuid4()),
            image_id=image_id,
            primary=False,
            disk_format='qcow2',
            container_format='bare',
        )

        def add(tx: object) -> None:
            tx.locations.add_representation(other)
            self.copy(tx, dataclasses.replace(first, representation_id=other.id), 'far')

        self.services.db.run(add)
        return image_id

    def in_use(self, store: InMemoryStore, image_id: str) -> None:
        store.fail_on('delete', errors.StoreInUse(store=store.id, image_id=image_id))

    def states(self, image_id: str) -> dict[str, LocationState]:
        return {found.store: found.state for found in self.locations(image_id)}

    def assert_whole(self, image_id: str) -> None:
        active = LocationState.ACTIVE
        self.assertEqual({'near': active, 'far': active}, self.states(image_id))
        self.assertEqual((b'0123456789', 20), (self.downloaded(image_id), self.used('project:ours')))
        self.assertIsNone(self.find(image_id).condemned)

    def test_one_that_is_in_use_keeps_the_other(self) -> None:
        image_id = self.converted()
        self.in_use(self.far, image_id)
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assert_whole(image_id)
        self.far.heal()
        self.delete(image_id)
        self.assert_gone(image_id)

    def test_what_everybody_reads_does_without_the_other(self) -> None:
        image_id = self.converted()
        self.in_use(self.near, image_id)
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assertEqual({'near': LocationState.ACTIVE}, self.states(image_id))
        self.assertEqual((b'0123456789', 10), (self.downloaded(image_id), self.used('project:ours')))

    def test_a_store_that_does_not_answer_takes_half_of_the_time(self) -> None:
        gate = threading.Event()
        self.addCleanup(gate.set)
        image_id = self.converted()
        self.far.delete = lambda url: gate.wait()
        self.in_use(self.near, image_id)
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assertEqual({'near': LocationState.ACTIVE, 'far': LocationState.DELETING}, self.states(image_id))
        self.near.heal()
        self.delete(image_id)
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual({'far': LocationState.DELETING}, self.states(image_id))

    def test_a_delete_that_died_is_done_again_by_the_sweeper(self) -> None:
        image_id = self.converted()
        condemned = self.died(image_id)
        sweeper = Sweeper(self.services, interval=1)
        wait_until(lambda: sweeper.sweep() or self.find(image_id).condemned is None, 'it is back')
        self.assert_whole(image_id)
        # Another sweeper that has seen them condemned leaves them alone.
        self.assertEqual([False, False], [deletion.resume(self.services, each) for each in condemned])
        self.assert_goes_when_it_is_not_in_use(image_id)

    def test_a_delete_that_died_is_done_again_by_another(self) -> None:
        image_id = self.converted()
        self.died(image_id)
        wait_until(lambda: self.is_refused(image_id), 'it is in use')
        self.assert_whole(image_id)
        self.assert_goes_when_it_is_not_in_use(image_id)

    def died(self, image_id: str) -> list[Location]:
        """What a DELETE has condemned that died then; `far` is in use."""
        self.in_use(self.far, image_id)
        with fixtures.MonkeyPatch(f'{removals.__name__}.remove_bytes', lambda *_: sys.exit()):
            self.assertRaises(SystemExit, self.delete, image_id)
        return self.locations(image_id)

    def is_refused(self, image_id: str) -> bool:
        try:
            self.delete(image_id)
        except errors.ImageBeingDeleted:  # as long as the other one may be alive
            return False
        except errors.StoreInUse:
            return True
        self.fail('it is gone')

    def assert_goes_when_it_is_not_in_use(self, image_id: str) -> None:
        self.far.heal()
        self.delete(image_id)
        self.assert_gone(image_id)


class LeftoversTest(DeletionCase):
    """What an import left in a store, or a DELETE of one copy, is on its way out beside the image."""

    overrides = {'transfers.delete_seconds': 0.5}

    def leave(self, image_id: str, store: str, **columns: object) -> str:
        """One more location of the image, condemned before."""
        (first,) = self.locations(image_id)
        left = dataclasses.replace(
            first, id=str(uuid.uuid4()), store=store, state=LocationState.DELETING, **columns
        )
        self.services.db.run(lambda tx: tx.locations.add(left))
        return left.id

    def state(self, location_id: str, image_id: str) -> LocationState:
        return next(found.state for found in self.locations(image_id) if found.id == location_id)

    def test_a_leftover_was_never_the_images(self) -> None:
        image_id = self.copied('far')
        left = self.leave(image_id, 'near', url=None)
        self.near.fail_on('discard', errors.StoreDenied(store='near', image_id=image_id))
        self.far.fail_on('delete', errors.StoreInUse(store='far', image_id=image_id))
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assertEqual(LocationState.DELETING, self.state(left, image_id))
        self.far.heal()
        self.copied('fast')
        self.delete(image_id)
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual(10, self.used('project:ours'))

    def test_the_last_copy_ends_a_delete_that_died_whatever_was_left(self) -> None:
        image_id = self.copied('far')
        self.leave(image_id, 'near', url=None)
        (copy,) = (found for found in self.locations(image_id) if found.store == 'far')
        with fixtures.MonkeyPatch(f'{removals.__name__}.remove_bytes', lambda *_: sys.exit()):
            self.assertRaises(SystemExit, self.delete, image_id)
        self.services.db.run(lambda tx: deletion.conclude(self.services, tx, copy))
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual(0, self.used('project:ours'))

    def test_a_copy_that_was_deleted_before_does_not_come_back(self) -> None:
        image_id = self.copied('far')
        left = self.leave(image_id, 'near')
        self.near.fail_on('delete', errors.StoreTransient)
        self.far.fail_on('delete', errors.StoreInUse(store='far', image_id=image_id))
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assertEqual(LocationState.DELETING, self.state(left, image_id))

    def test_a_copy_that_a_slow_store_may_have_deleted_by_now_does_not_come_back(self) -> None:
        gate = threading.Event()
        self.addCleanup(gate.set)
        image_id = self.copied('far', 'near')
        self.near.delete = lambda url: gate.wait()
        self.far.fail_on('delete', errors.StoreInUse(store='far', image_id=image_id))
        self.assertRaises(errors.StoreInUse, self.delete, image_id)
        self.assertEqual(
            {'far': LocationState.ACTIVE, 'near': LocationState.DELETING},
            {found.store: found.state for found in self.locations(image_id)},
        )

    def test_data_that_came_while_the_stores_were_asked_goes_too(self) -> None:
        image_id = self.copied('far')
        (first,) = self.locations(image_id)
        remove = self.far.delete

        def interrupted(url: str) -> None:
            self.services.db.run(lambda tx: self.copy(tx, first, 'near'))
            remove(url)

        self.far.delete = interrupted
        self.delete(image_id)
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual([LocationState.DELETING], [found.state for found in self.locations(image_id)])
        self.assertEqual(0, self.used('project:ours'))


class UnwillingStoreTest(DeletionCase):
    """204 all the same; the location stays `deleting` until the sweeper has had its way."""

    overrides = {'transfers.delete_seconds': 0.5}

    def assert_left_to_the_sweeper(self, image_id: str) -> None:
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual([LocationState.DELETING], [found.state for found in self.locations(image_id)])
        self.assertEqual(0, self.used('project:ours'))

    def test_a_store_that_is_away(self) -> None:
        image_id = self.copied('far')
        self.far.fail_on('delete', errors.StoreTransient)
        self.delete(image_id)
        self.assert_left_to_the_sweeper(image_id)

    def test_a_store_that_does_not_answer(self) -> None:
        gate = threading.Event()
        self.addCleanup(gate.set)
        image_id = self.copied('far')
        self.far.delete = lambda url: gate.wait()
        self.delete(image_id)
        self.assert_left_to_the_sweeper(image_id)

    def test_a_store_that_is_not_configured_any_more(self) -> None:
        image_id = self.copied('far')
        known = Stores({'fast': self.services.stores['fast']}, default='fast', multi=True)
        self.services = dataclasses.replace(self.services, stores=known)
        self.delete(image_id)
        self.assert_left_to_the_sweeper(image_id)

    def test_a_store_that_is_only_read_keeps_what_was_never_ours(self) -> None:
        image_id = self.copied('far')
        self.far.read_only = True
        self.delete(image_id)
        self.assertRaises(errors.ImageNotFound, self.find, image_id)
        self.assertEqual([], self.locations(image_id))


class TwiceAtOnceTest(testscenarios.WithScenarios, DeletionCase):
    scenarios = DATABASES

    def test_two_deletes_remove_one_image(self) -> None:
        image_id = self.copied('far', 'near')
        start = threading.Barrier(2)
        outcomes: list[str] = []

        def delete() -> None:
            start.wait()
            try:
                self.delete(image_id)
            except errors.ImageNotFound:
                outcomes.append('not found')
            else:
                outcomes.append('deleted')

        threads = [threading.Thread(target=delete) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIn('deleted', outcomes)
        self.assert_gone(image_id)
        with self.services.db.engine.connect() as connection:
            count = sa.select(sa.func.count()).select_from(schema.outbox)
            deletes = connection.execute(count.where(schema.outbox.c.event_type == 'image.delete')).scalar()
        self.assertEqual(1, deletes)
