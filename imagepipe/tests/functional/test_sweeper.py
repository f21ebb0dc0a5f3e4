"""The sweeper: what dead processes left is ended, removed and counted right."""

import datetime
import os

import sqlalchemy as sa
import testtools
from oslo_utils import uuidutils
from testscenarios import WithScenarios

from imagepipe import errors, quota
from imagepipe.db.schema import images, locations
from imagepipe.domain import names
from imagepipe.domain.image import Image, Status
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.representation import Representation
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.services import ServicesFixture


def _stores(tx):
    return tx.connection.execute(sa.select(locations.c.store)).scalars().all()


class SweeperTest(WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(
            ServicesFixture(
                self,
                kind=self.database_kind,
                overrides={'staging.grace': 300},
            )
        )
        self.services = self.fixture.services
        self.sweeper = Sweeper(self.services, interval=1.0)

    def run_in(self, operation):
        return self.services.db.run(operation)

    def a_stored_image(self, *, state=LocationState.ACTIVE, data=b'bytes', condemned=None):
        """An active image with its bytes in the store `fast`. condemned: by a DELETE, which has died."""
        image_id, transfer_id = uuidutils.generate_uuid(), uuidutils.generate_uuid()
        name = names.object_name(image_id, transfer_id, 1, 'data')
        path = self.fixture.path('stores', 'fast', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data)
        representation = uuidutils.generate_uuid()

        def add(tx):
            tx.images.add(
                Image(id=image_id, status=Status.ACTIVE, owner='p', size=len(data), condemned=condemned)
            )
            tx.locations.add_representation(
                Representation(
                    id=representation,
                    image_id=image_id,
                    primary=True,
                    disk_format='raw',
                    container_format='bare',
                )
            )
            tx.locations.add(
                Location(
                    id=uuidutils.generate_uuid(),
                    image_id=image_id,
                    representation_id=representation,
                    store='fast',
                    state=state,
                    object_name=name,
                    epoch=1,
                    url=f'file://{path}',
                    size=len(data),
                )
            )
            self.services.quota.count(tx, 'p', len(data))

        self.run_in(add)
        return image_id, path

    def age(self):
        """Let every image and every location have been as it is for a long time."""

        def change(tx):
            for table in (images, locations):
                tx.connection.execute(table.update().values(updated_at=tx.now - datetime.timedelta(days=1)))

        self.run_in(change)

    def used(self, owner='p'):
        return self.run_in(lambda tx: tx.usages.used(quota.project(owner), quota.BYTES))

    def test_a_delete_that_died_in_the_middle_is_finished(self):
        image_id, path = self.a_stored_image(
            state=LocationState.DELETING, condemned=uuidutils.generate_uuid()
        )
        self.age()
        self.sweeper.sweep()
        self.assertFalse(os.path.exists(path))
        self.assertRaises(errors.ImageNotFound, self.run_in, lambda tx: tx.images.find(image_id))
        self.assertEqual(0, self.used())

    def test_a_location_that_goes_by_itself_does_not_take_its_image(self):
        image_id, path = self.a_stored_image(state=LocationState.DELETING)
        self.age()
        self.sweeper.sweep()
        self.assertFalse(os.path.exists(path))
        self.assertIs(Status.ACTIVE, self.run_in(lambda tx: tx.images.find(image_id)).status)
        self.assertEqual(0, self.used())

    def test_data_that_cannot_be_deleted_does_not_keep_the_sweeper_from_other_data(self):
        stuck = [self.a_stored_image(state=LocationState.DELETING)[0] for _ in range(3)]
        self.run_in(
            lambda tx: tx.connection.execute(
                locations.update().where(locations.c.image_id.in_(stuck)).values(store='unplugged')
            )
        )
        self.age()
        paths = [self.a_stored_image(state=LocationState.DELETING)[1] for _ in range(3)]
        self.run_in(
            lambda tx: tx.connection.execute(
                locations.update()
                .where(locations.c.store == 'fast')
                .values(updated_at=tx.now.replace(year=tx.now.year - 1))
            )
        )
        Sweeper(self.services, interval=1.0, page=2).sweep()
        self.assertEqual([], [path for path in paths if os.path.exists(path)])
        self.assertEqual({'unplugged'}, set(self.run_in(_stores)))

    def test_a_delete_that_still_waits_is_left_alone(self):
        _, path = self.a_stored_image(state=LocationState.DELETING)
        self.sweeper.sweep()
        self.assertTrue(os.path.exists(path))

    def test_an_active_image_is_left_alone(self):
        image_id, path = self.a_stored_image()
        self.age()
        self.sweeper.sweep()
        self.assertTrue(os.path.exists(path))
        self.assertIs(Status.ACTIVE, self.run_in(lambda tx: tx.images.find(image_id)).status)

    def test_a_counter_that_is_wrong_is_put_right(self):
        self.a_stored_image(data=b'12345')
        self.run_in(lambda tx: tx.usages.set(quota.project('p'), quota.BYTES, 999))
        self.run_in(lambda tx: tx.usages.set(quota.STAGING, quota.BYTES, 7))
        self.sweeper.sweep()
        self.assertEqual(5, self.used())
        self.assertEqual(0, self.run_in(lambda tx: tx.usages.used(quota.STAGING, quota.BYTES)))

    def test_a_staged_file_that_nobody_knows_goes_when_it_is_old(self):
        staging = self.services.staging
        name = names.object_name(uuidutils.generate_uuid(), uuidutils.generate_uuid(), 1, 'data')
        staging.new(name).write_bytes(b'x')
        self.sweeper.sweep()
        self.assertEqual([name], list(staging.names()))
        os.utime(staging.path(name), (1, 1))
        self.sweeper.sweep()
        self.assertEqual([], list(staging.names()))

    def test_files_that_are_not_ours_are_never_touched(self):
        staging = self.services.staging
        staging.new('notes').write_bytes(b'x')
        os.utime(staging.path('notes'), (1, 1))
        self.sweeper.sweep()
        self.assertTrue(os.path.exists(staging.path('notes')))
