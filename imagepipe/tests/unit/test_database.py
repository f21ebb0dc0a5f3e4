"""Transactions: repeated where that is safe, fenced by the claim, and nothing in between."""

import threading

import sqlalchemy as sa
import testtools
from oslo_db import exception as db_exc
from oslo_utils import uuidutils
from testscenarios import WithScenarios

from imagepipe import errors
from imagepipe.domain.image import Image
from imagepipe.tests.fixtures.databases import DATABASES, use_database


class TransactionsTest(WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        self.db = use_database(self).database

    def _image(self):
        return self.db.run(lambda tx: tx.images.add(Image(id=uuidutils.generate_uuid(), name='0')))

    def test_no_update_is_lost_between_concurrent_writers(self):
        image, rounds, writers = self._image(), 10, 4

        def count(tx):
            found = tx.images.find(image.id)
            changed = Image(**{**vars(found), 'name': str(int(found.name) + 1)})
            tx.images.save(changed, expected=found)

        failures = []

        def write():
            try:
                for _ in range(rounds):
                    self.db.run(count)
            except Exception as error:  # noqa: BLE001  told by the test below
                failures.append(error)

        threads = [threading.Thread(target=write) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        self.assertEqual(str(rounds * writers), self.db.read(lambda tx: tx.images.find(image.id)).name)

    def test_a_failed_operation_leaves_nothing(self):
        image_id = uuidutils.generate_uuid()

        def fail(tx):
            tx.images.add(Image(id=image_id))
            raise errors.QuotaExceeded(requested=1, limit=1, used=1)

        self.assertRaises(errors.QuotaExceeded, self.db.run, fail)
        self.assertRaises(errors.ImageNotFound, self.db.read, lambda tx: tx.images.find(image_id))

    def test_a_reading_operation_cannot_write(self):
        image_id = uuidutils.generate_uuid()
        self.db.read(lambda tx: tx.images.add(Image(id=image_id)))
        self.assertRaises(errors.ImageNotFound, self.db.read, lambda tx: tx.images.find(image_id))

    def test_a_deadlock_is_tried_again(self):
        tries = []

        def unlucky(tx):
            tries.append(tx)
            if len(tries) < 3:
                raise db_exc.DBDeadlock()
            return 'done'

        self.assertEqual('done', self.db.run(unlucky))
        self.assertEqual(3, len(tries))

    def test_a_database_that_stays_away_is_said_to_be_unavailable(self):
        def away(tx):
            raise db_exc.DBConnectionError()

        self.db._pause = 0.0
        self.assertRaises(errors.DatabaseUnavailable, self.db.run, away)

    def test_three_names_that_differ_in_case_and_blanks_are_three(self):
        image = self._image()
        names = ('Foo', 'foo', 'foo ')
        tagged = Image(**{**vars(image), 'tags': frozenset(names)})
        self.db.run(lambda tx: tx.images.save(tagged, expected=image))
        self.assertEqual(frozenset(names), self.db.read(lambda tx: tx.images.find(image.id)).tags)

    def test_the_clock_is_seconds_and_moves(self):
        def now(tx):
            return tx.connection.execute(sa.select(tx.clock)).scalar_one()

        first, second = self.db.read(now), self.db.read(now)
        self.assertGreaterEqual(second, first)
        self.assertGreater(first, 1.7e9)


class BusySQLiteTest(testtools.TestCase):
    def test_a_writer_waits_for_a_writer_of_another_process(self):
        fixture = use_database(self)
        fixture.engine.dispose()
        other = sa.create_engine(fixture.url)
        self.addCleanup(other.dispose)
        with other.connect() as held:
            held.exec_driver_sql('BEGIN IMMEDIATE')
            released = threading.Timer(0.3, held.rollback)
            connection = fixture.engine.raw_connection()
            connection.execute('PRAGMA busy_timeout=10')
            connection.close()
            released.start()
            image = fixture.database.run(lambda tx: tx.images.add(Image(id=uuidutils.generate_uuid())))
            released.join()
        self.assertEqual(image.id, fixture.database.read(lambda tx: tx.images.find(image.id)).id)
