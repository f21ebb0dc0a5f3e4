"""imagepipe-manage stores: over every driver that it can list, nobody's objects go and no others."""

import io
import json

import sqlalchemy as sa
import testtools
from oslo_utils import uuidutils

from imagepipe.db import schema
from imagepipe.domain import names
from imagepipe.domain.image import Image, Status
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.transfer import Transfer, TransferKind, TransferState
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.tests.fixtures import stores
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.endings import end
from imagepipe.tests.fixtures.stories import Story

_TWO_DAYS = 2 * 86400


def name_of(owner_id: str) -> str:
    """The name of an object that this import or transfer has written."""
    return names.object_name(uuidutils.generate_uuid(), owner_id, 1, 'data')


class GarbageConformance:
    """Mixed into a TestCase for each driver."""

    def backend(self) -> stores.Backend:
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()
        self.driver = self.useFixture(self.backend())
        options = {f'fast.{name}': value for name, value in self.driver.options.items()}
        overrides = {'enabled_backends': f'fast:{self.driver.kind}', **options}
        self.story = self.useFixture(Story(self, stores=('fast',), convert=False, overrides=overrides))
        self.db = self.story.db

    def manage(self, *words: str, expect: int = 0) -> dict[str, object]:
        """What a command says, as programs read it."""
        status, out, err = called(self.story.cloud.config_file(), 'stores', *words, '--format', 'json')
        self.assertEqual((expect, ''), (status, err), out)
        return json.loads(out)

    def put(self, owner_id: str) -> str:
        """A whole object of this owner; its name."""
        name = name_of(owner_id)
        self.driver.store.put(name, io.BytesIO(b'bytes'), 5)
        return name

    def plant(self, owner_id: str) -> str:
        """Parts that this owner has left in the middle of writing."""
        name = name_of(owner_id)
        self.driver.plant_parts(name)
        return name

    def ended(self) -> str:
        _, import_id = self.story.begin()
        end(self.story.services, import_id)
        return import_id

    def uploading(self) -> str:
        """The id of a PUT file that writes now."""
        transfer_id = uuidutils.generate_uuid()

        def change(tx: object) -> None:
            transfer = Transfer(
                id=transfer_id, image_id=self.story.image_id, kind=TransferKind.UPLOAD,
                state=TransferState.OPEN, object_name=name_of(transfer_id), store='fast',
            )  # fmt: skip
            tx.transfers.add(transfer, 600)

        self.db.run(change)
        return transfer_id

    def locate(self, name: str) -> None:
        """An image has this object as its location; of whoever wrote it nothing is known any more."""
        image_id = uuidutils.generate_uuid()

        def change(tx: object) -> None:
            tx.images.add(Image(id=image_id, status=Status.ACTIVE))
            tx.locations.add(
                Location(
                    id=uuidutils.generate_uuid(), image_id=image_id, representation_id=image_id,
                    store='fast', state=LocationState.ACTIVE, object_name=name, url='x://y',
                )
            )  # fmt: skip

        self.db.run(change)

    def age_strays(self) -> None:
        """All that is noted was noted two days ago."""
        since = schema.strays.c.since - _TWO_DAYS
        self.db.run(lambda tx: tx.connection.execute(sa.update(schema.strays).values(since=since)))

    def listed(self) -> set[str]:
        """The names of what is there, whole or in parts."""
        return set(self.driver.store.names())

    def test_what_nobody_owns_goes_and_nothing_else(self) -> None:
        self.assertEqual(['ok'], [store['state'] for store in self.manage('check')['stores']])
        ended, stranger = self.ended(), uuidutils.generate_uuid()
        left = {self.put(ended), self.plant(ended)}
        unknown = {self.put(stranger), self.plant(stranger)}
        live = {self.put(self.story.import_id), self.plant(self.story.import_id)}
        uploading = self.uploading()
        live |= {self.put(uploading), self.plant(uploading)}
        named = self.put(uuidutils.generate_uuid())
        self.locate(named)
        self.driver.store.put('notes', io.BytesIO(b'mine'), 4)
        wanted = {*live, named, 'notes'}
        told = self.manage('gc', '--unknown', '--dry-run')
        self.assertEqual({*left, *unknown}, {find['name'] for find in told['found']})
        self.assertEqual(left, {find['name'] for find in told['found'] if find['due']})
        self.age_strays()

        everything = sorted(self.driver.leftovers())
        self.driver.break_listing()
        told = self.manage('gc', '--unknown', expect=1)
        self.assertEqual(([], ['fast']), (told['found'], [store['store'] for store in told['not_listed']]))
        self.driver.mend_listing()
        self.assertEqual(everything, sorted(self.driver.leftovers()))

        told = self.manage('gc', '--unknown', '--dry-run')
        self.assertEqual({*left, *unknown}, {find['name'] for find in told['found'] if find['due']})
        self.assertEqual(everything, sorted(self.driver.leftovers()))

        told = self.manage('gc')
        self.assertEqual(left, {find['name'] for find in told['found'] if find['removed']})
        self.assertEqual({*wanted, *unknown}, self.listed())
        again = self.put(ended)
        Sweeper(self.story.services, interval=3600).sweep()
        self.assertNotIn(again, self.listed())
        self.assertEqual({*wanted, *unknown}, self.listed())

        told = self.manage('gc', '--unknown')
        self.assertEqual(unknown, {find['name'] for find in told['found'] if find['removed']})
        self.assertEqual(wanted, self.listed())
        for name in wanted:
            self.driver.store.discard(name)
        self.assertEqual([], self.driver.leftovers())


class FileTest(GarbageConformance, testtools.TestCase):
    def backend(self) -> stores.Backend:
        return stores.File()


class SwiftTest(GarbageConformance, testtools.TestCase):
    def backend(self) -> stores.Backend:
        return stores.Swift()


class S3Test(GarbageConformance, testtools.TestCase):
    def backend(self) -> stores.Backend:
        return stores.S3(self)
