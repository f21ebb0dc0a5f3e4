"""What keeps imports from working counts only after minutes, and alike for every process."""

import shutil

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.api.app import Application
from imagepipe.availability import Availability
from imagepipe.db import schema
from imagepipe.db.database import Database
from imagepipe.db.hindrances import NO_STAGING, NO_WORKER
from imagepipe.db.transaction import Transaction
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import imports
from imagepipe.tests.fixtures.api import ApiFixture
from imagepipe.tests.fixtures.databases import DATABASES, DatabaseFixture

MINUTES = 600.0


def a_worker(tx: Transaction) -> None:
    """A worker gives a sign."""
    tx.workers.seen('host:1:x', host='host', pid=1, version='1')


def pass_time(db: Database, seconds: float) -> None:
    """So much time passes since everything that was noted."""

    def change(tx: Transaction) -> None:
        for table, column in ((schema.hindrances, 'since'), (schema.workers, 'seen')):
            tx.connection.execute(sa.update(table).values({column: table.c[column] - seconds}))

    db.run(change)


class HindrancesTestCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.db: Database = self.useFixture(DatabaseFixture(self, self.database_kind, migrated=True)).database

    def longest(self) -> float:
        return self.db.read(lambda tx: tx.hindrances.longest())

    def earlier(self, seconds: float) -> None:
        pass_time(self.db, seconds)

    def works(self) -> None:
        self.db.run(a_worker)

    def test_an_installation_has_time_to_get_its_first_worker(self) -> None:
        self.db.run(lambda tx: tx.hindrances.begins(NO_WORKER))  # the template may be old
        self.assertLess(self.longest(), 60)
        self.earlier(MINUTES)
        self.assertGreater(self.longest(), MINUTES - 1)
        self.works()
        self.assertLess(self.longest(), 60)

    def test_a_worker_that_stops_was_there_until_then(self) -> None:
        self.works()
        self.earlier(MINUTES)
        self.db.run(lambda tx: tx.workers.gone('host:1:x'))
        self.assertLess(self.longest(), 60)

    def test_a_worker_that_died_was_there_when_it_gave_its_last_sign(self) -> None:
        self.earlier(2 * MINUTES)
        self.works()
        self.earlier(MINUTES)
        self.assertTrue(MINUTES - 1 < self.longest() < MINUTES + 60)

    def test_staging_counts_from_the_first_failure_to_the_first_success(self) -> None:
        self.works()
        self.db.run(lambda tx: tx.hindrances.holds(NO_STAGING))
        self.earlier(MINUTES)
        self.works()
        self.db.run(lambda tx: tx.hindrances.holds(NO_STAGING))
        self.assertGreater(self.longest(), MINUTES - 1)
        self.db.run(lambda tx: tx.hindrances.ends(NO_STAGING))
        self.assertLess(self.longest(), 60)
        self.db.run(lambda tx: tx.hindrances.holds(NO_STAGING))
        self.assertLess(self.longest(), 60)


class _Hindered:
    """In place of a database: a hindrance of this age."""

    def __init__(self) -> None:
        self.age = 0.0
        self.asked = 0

    def read(self, _operation: object) -> float:
        self.asked += 1
        return self.age


class AvailabilityTestCase(testtools.TestCase):
    def test_it_is_asked_when_it_can_have_come_of_age_and_never_too_late(self) -> None:
        db, now = _Hindered(), [0.0]
        availability = Availability(db, patience=MINUTES, clock=lambda: now[0])
        answers = []
        for moment, age in ((0, 100), (1, 101), (499, 599), (500, 600), (501, 601), (502, 0), (503, 1)):
            now[0], db.age = moment, age
            answers.append((availability.imports_work(), db.asked))
        self.assertEqual(
            [(True, 1), (True, 1), (True, 1), (False, 2), (False, 3), (True, 4), (True, 4)], answers
        )


class DiscoveryTestCase(testtools.TestCase):
    """What clients are told by processes that have asked nothing before."""

    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, overrides={'api.unavailable_after': 10}))
        self.db = self.api.services.db
        self.db.run(lambda tx: tx.hindrances.begins(NO_WORKER))  # the template may be old

    def told(self) -> tuple[list[str], str | None]:
        self.api.application = Application(self.api.process())
        offered = self.api.call('GET', '/v2/info/import').json['import-methods']['value']
        created = self.api.call('POST', '/v2/images', {})
        self.assertEqual(201, created.status_int)
        return offered, created.headers.get('OpenStack-image-import-methods')

    def sweep(self) -> None:
        Sweeper(self.api.services, interval=30).sweep()

    def test_no_conductor(self) -> None:
        methods = ['glance-direct', 'web-download', 'copy-image']
        self.assertEqual((methods, ','.join(methods)), self.told())
        pass_time(self.db, 595)
        self.assertEqual((methods, ','.join(methods)), self.told())
        pass_time(self.db, 6)
        self.assertEqual(([], None), self.told())
        # It is told to nobody, and who asks for it all the same is served when there is one again.
        image_id = self.api.create(disk_format='raw', container_format='bare')['id']
        kind = {'Content-Type': 'application/octet-stream'}
        self.api.call('PUT', f'/v2/images/{image_id}/stage', raw=b'data', headers=kind)
        started = self.api.call(
            'POST', f'/v2/images/{image_id}/import', {'method': {'name': 'glance-direct'}}
        )
        self.assertEqual(202, started.status_int, started.text)
        self.db.run(a_worker)
        self.assertEqual((methods, ','.join(methods)), self.told())

    def test_staging_that_cannot_be_written(self) -> None:
        staging = self.api.services.staging.root
        self.sweep()
        shutil.rmtree(staging)
        staging.write_text('no directory')
        self.sweep()
        pass_time(self.db, 595)
        self.db.run(a_worker)
        self.sweep()
        self.assertNotEqual([], self.told()[0])
        pass_time(self.db, 6)
        self.db.run(a_worker)
        self.assertEqual(([], None), self.told())
        staging.unlink()
        self.sweep()
        self.assertNotEqual([], self.told()[0])

    def test_a_method_that_is_not_possible_is_never_told(self) -> None:
        """No Keystone is asked here, so nobody's rights can be handed on."""
        self.assertNotIn('glance-download', imports.methods(self.api.services))
