"""Transactions: repeated where that is safe, fenced by the claim, and nothing in between."""

import dataclasses
import os
import socket
import threading

import sqlalchemy as sa
import testtools
from oslo_db import exception as db_exc
from oslo_utils import uuidutils
from testscenarios import WithScenarios

from imagepipe import errors
from imagepipe.db import engines, schema
from imagepipe.db.database import Database
from imagepipe.domain.image import Image
from imagepipe.tests.fixtures.databases import DATABASES, use_database


def _kill(connection):
    query = 'SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()'
    return [f'KILL {number}' for number in connection.exec_driver_sql(query).scalars()]


def _terminate(_connection):
    return [
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
        'WHERE datname = current_database() AND pid <> pg_backend_pid()'
    ]


CLOSE_OTHERS = {'mariadb': _kill, 'postgresql': _terminate}


class TransactionsTest(WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        fixture = use_database(self)
        self.db, self.moments = fixture.database, fixture.moments
        self.admin = sa.create_engine(fixture.url, poolclass=sa.NullPool)

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
        self.db._pause = 0.0
        refused = (db_exc.DBError, errors.DatabaseUnavailable)
        self.assertRaises(refused, self.db.read, lambda tx: tx.images.add(Image(id=image_id)))
        self.assertRaises(errors.ImageNotFound, self.db.read, lambda tx: tx.images.find(image_id))

    def test_statements_of_a_snapshot_see_one_moment(self):
        self.assertEqual(['0', '0'], self._names_around_a_change(self.db.snapshot))

    def test_statements_of_a_read_see_a_moment_each(self):
        self.assertEqual(['0', '1'], self._names_around_a_change(self.db.read))
        self.assertRaises(AssertionError, self.moments.check)  # or this test would fail
        self.moments.torn.clear()

    def _names_around_a_change(self, read):
        """What the image is called by two statements of a read, between which it is given a new name."""
        image = self._image()

        def look(tx):
            before = tx.images.find(image.id)
            renamed = dataclasses.replace(before, name='1')
            other = threading.Thread(
                target=self.db.run, args=[lambda tx: tx.images.save(renamed, expected=before)]
            )
            other.start()
            other.join()
            return [before.name, tx.images.find(image.id).name]

        names = read(look)
        self.assertEqual('1', self.db.read(lambda tx: tx.images.find(image.id)).name)
        return names

    def test_a_snapshot_has_an_end_whatever_happens_in_it(self):
        def absent(tx):
            tx.images.find(uuidutils.generate_uuid())

        def wrong(tx):
            tx.connection.exec_driver_sql('SELECT absent FROM images')

        self.db._pause = 0.0
        refused = (db_exc.DBError, errors.DatabaseUnavailable)  # SQLite's might pass by itself
        for broken, error in ((absent, errors.ImageNotFound), (wrong, refused)):
            self.assertRaises(error, self.db.snapshot, broken)
            self.assertEqual(['0', '0'], self._names_around_a_change(self.db.snapshot))

    def test_a_migration_in_the_middle_of_a_snapshot(self):
        image = self._image()
        alter = ['ALTER TABLE tags ADD COLUMN flavour INTEGER']

        def look(tx):
            tx.connection.execute(sa.select(tx.clock))
            with self.admin.connect() as connection, connection.begin():
                while alter:
                    connection.exec_driver_sql(alter.pop())
            return tx.images.find(image.id)  # of which MariaDB says that it is to be tried again

        self.assertEqual(image, self.db.snapshot(look))

    def test_a_snapshot_cannot_write(self):
        image_id = uuidutils.generate_uuid()
        self.db._pause = 0.0
        refused = (db_exc.DBError, errors.DatabaseUnavailable)
        self.assertRaises(refused, self.db.snapshot, lambda tx: tx.images.add(Image(id=image_id)))
        self.assertRaises(errors.ImageNotFound, self.db.snapshot, lambda tx: tx.images.find(image_id))

    def test_what_passes_by_itself_is_tried_again(self):
        ends = errors.ImportEnding(image_id='an image', import_id='an import')
        for passing in (db_exc.DBDeadlock(), errors.ImageChanged(image_id='an image'), ends):
            for way in (self.db.run, self.db.snapshot):
                waiting = [passing, passing]

                def unlucky(tx, waiting=waiting):
                    if waiting:
                        raise waiting.pop()
                    return 'done'

                self.assertEqual('done', way(unlucky))

    def test_a_process_that_ends_is_not_patient_any_more(self):
        tries = []

        def never(tx):
            tries.append(tx)
            if len(tries) == 3:
                self.db.hurry()
            raise db_exc.DBDeadlock

        self.db._attempts = 10**9
        self.db._patience = 10**9
        self.assertRaises(errors.DatabaseUnavailable, self.db.run, never)
        self.assertGreater(len(tries), 3)

    def test_connections_that_the_server_has_closed_meanwhile_are_not_noticed(self):
        if self.database_kind not in CLOSE_OTHERS:
            return  # there is no server
        image = self._image()
        self.db.read(lambda tx: tx.images.find(image.id))
        with self.admin.connect() as connection:
            for statement in CLOSE_OTHERS[self.database_kind](connection):
                connection.exec_driver_sql(statement)
        self.assertEqual('0', self.db.read(lambda tx: tx.images.find(image.id)).name)
        self._image()

    def test_a_server_that_only_reads_for_a_while_is_asked_again(self):
        """As one does that a proxy leads to in the middle of a failover: reading works."""
        if self.database_kind != 'postgresql':
            return  # the others refuse connections then, or every server that they share would
        with self.db.engine.connect() as connection:
            connection.exec_driver_sql('SET default_transaction_read_only = on')
            connection.exec_driver_sql('COMMIT')
        self._image()

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

    def test_the_clock_does_not_depend_on_a_time_zone(self):
        if self.database_kind != 'mariadb':
            return
        with self.admin.connect() as connection:
            connection.exec_driver_sql('SET timestamp = 1793494800.123456')
            for zone in ('+00:00', '-11:00'):
                connection.exec_driver_sql(f"SET time_zone = '{zone}'")
                self.assertEqual(1793494800.123456, connection.execute(sa.select(self.db.now)).scalar_one())


def _unacknowledged(connection):
    """Seconds, which the kernel counts for PostgreSQL's client; 0: its own limit of a quarter of an hour."""
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        return wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) / 1000


_PATIENCE = {'postgresql': _unacknowledged, 'mariadb': lambda connection: connection._read_timeout}


class SilentClientTest(WithScenarios, testtools.TestCase):
    """A host is cut off, or frozen, in the middle of a transaction."""

    scenarios = [scenario for scenario in DATABASES if scenario[0] != 'sqlite']

    def setUp(self):
        super().setUp()
        fixture = use_database(self)
        self.url, self.db = fixture.url, fixture.database

    def test_its_locks_end_and_its_transaction_is_run_again(self):
        silent = Database(engines.create(self.url, silence=1.0), self.db.engines[1])
        self.addCleanup(silent.close)
        image = Image(id=uuidutils.generate_uuid(), name='0')
        self.db.run(lambda tx: tx.images.add(image))
        attempts = []

        def rename(tx):
            attempts.append(None)
            self._name(tx, image, 'late')
            if len(attempts) == 1:
                self.db.run(lambda other: self._name(other, image, 'meanwhile'))
            self._name(tx, image, 'later')

        silent.run(rename)
        self.assertEqual(2, len(attempts))
        self.assertEqual('later', self.db.read(lambda tx: tx.images.find(image.id)).name)

    def test_a_server_that_is_cut_off_does_not_keep_whoever_has_asked_it(self):
        """No answer and no acknowledgement comes: there is nothing to wait for but the clock."""
        with self.db.engine.connect() as connection:
            seconds = _PATIENCE[self.database_kind](connection.connection.driver_connection)
        self.assertTrue(0 < seconds <= 60, seconds)

    def _name(self, tx, image, name):
        row = sa.update(schema.images).where(schema.images.c.id == image.id)
        tx.connection.execute(row.values(name=name))


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
