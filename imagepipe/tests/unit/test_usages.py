"""Counters of limited resources, and the quotas over them."""

import datetime
import threading

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import errors, quota
from imagepipe.db import schema
from imagepipe.tests.fixtures.databases import DATABASES, use_database


class UsagesTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.db = use_database(self).database

    def reserve(self, amount: int, limit: int | None, scope: str = 'project:a') -> None:
        self.db.run(lambda tx: tx.usages.reserve(scope, 'bytes', amount, limit))

    def used(self, scope: str = 'project:a') -> int:
        return self.db.read(lambda tx: tx.usages.used(scope, 'bytes'))

    def test_a_reservation_fits_up_to_the_limit_and_not_a_byte_more(self) -> None:
        self.reserve(60, 100)
        self.reserve(40, 100)
        error = self.assertRaises(errors.QuotaExceeded, self.reserve, 1, 100)
        self.assertEqual({'requested': 1, 'limit': 100, 'used': 100}, error.facts)
        self.assertEqual(100, self.used())

    def test_the_first_reservation_may_be_too_large(self) -> None:
        self.assertRaises(errors.QuotaExceeded, self.reserve, 101, 100)
        self.assertEqual(0, self.used())

    def test_without_a_limit_everything_is_counted(self) -> None:
        self.reserve(2**62, None)
        self.assertEqual(2**62, self.used())

    def test_projects_and_names_that_differ_in_case_are_apart(self) -> None:
        self.reserve(1, 1, 'project:a')
        self.reserve(1, 1, 'project:A')
        self.assertEqual((1, 1), (self.used('project:a'), self.used('project:A')))

    def test_a_counter_never_goes_below_zero(self) -> None:
        self.reserve(5, None)
        self.db.run(lambda tx: tx.usages.release('project:a', 'bytes', 9))
        self.assertEqual(0, self.used())

    def test_a_recount_replaces_the_counter(self) -> None:
        for used in (5, 3):
            self.db.run(lambda tx, used=used: tx.usages.set('project:a', 'bytes', used))
            self.assertEqual(used, self.used())

    def test_nobody_reserves_from_a_counter_that_is_held(self) -> None:
        """Nor makes the first reservation of a project, whose counter was never touched."""
        for before in (0, 5):
            reserved = threading.Event()
            other = threading.Thread(target=lambda: (self.reserve(5, None), reserved.set()))  # noqa: B023

            def hold(tx: object) -> tuple[int, bool]:
                used = tx.usages.hold('project:a', 'bytes')
                other.start()  # noqa: B023
                return used, reserved.wait(0.3)  # noqa: B023

            self.assertEqual((before, False), self.db.run(hold))
            other.join()
            self.assertEqual(before + 5, self.used())

    def test_a_refused_reservation_leaves_nothing_of_its_transaction(self) -> None:
        def change(tx: object) -> None:
            tx.usages.reserve('staging', 'bytes', 10, None)
            tx.usages.reserve('project:a', 'bytes', 10, 5)

        self.assertRaises(errors.QuotaExceeded, self.db.run, change)
        self.assertEqual(0, self.used('staging'))

    def test_many_at_once_never_pass_the_limit(self) -> None:
        start = threading.Barrier(8)
        outcomes: list[bool] = []

        def reserve() -> None:
            start.wait()
            try:
                self.reserve(10, 50)
            except errors.QuotaExceeded:
                outcomes.append(False)
            else:
                outcomes.append(True)

        threads = [threading.Thread(target=reserve) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((5, 3, 50), (outcomes.count(True), outcomes.count(False), self.used()))

    def test_a_full_staging_area_is_its_own_error(self) -> None:
        limits = quota.Quota(staging=10)
        self.db.run(lambda tx: limits.reserve_staging(tx, 10))
        self.assertRaises(errors.StagingFull, self.db.run, lambda tx: limits.reserve_staging(tx, 1))
        self.db.run(lambda tx: limits.release_staging(tx, 10))
        self.db.run(lambda tx: limits.reserve_staging(tx, 1))


class SizesTest(testtools.TestCase):
    def test_units_are_binary(self) -> None:
        found = {
            text: quota.parse_size(text, option='o')
            for text in ('0', '7', '7B', '2KB', '3 MB', ' 1GB ', '1TB')
        }
        self.assertEqual(
            {'0': None, '7': 7, '7B': 7, '2KB': 2048, '3 MB': 3 << 20, ' 1GB ': 1 << 30, '1TB': 1 << 40},
            found,
        )

    def test_anything_else_names_the_option(self) -> None:
        for text in ('', '-1', '1.5GB', '10 GiB', 'many'):
            error = self.assertRaises(
                errors.ConfigurationInvalid, quota.parse_size, text, option='user_storage_quota'
            )
            self.assertIn('user_storage_quota', str(error))


class FirstOfTwoTest(testtools.TestCase):
    """Two transactions make the first reservation of a project at the same moment."""

    database_kind = 'postgresql'

    def test_the_row_appears_between_two_looks_at_it(self) -> None:
        parts = use_database(self)
        other = parts.engine.connect()
        self.addCleanup(other.close)
        row = {
            'scope': 'project:p',
            'resource': 'bytes',
            'used': 7,
            'updated_at': datetime.datetime(2026, 1, 1),
        }
        other.execute(schema.usages.insert().values(row))

        def commit_first(_connection, _cursor, statement, *_others) -> None:
            if statement.startswith('SELECT usages.used') and other.in_transaction():
                other.commit()

        sa.event.listen(parts.engine, 'before_cursor_execute', commit_first)
        parts.database.run(lambda tx: tx.usages.reserve('project:p', 'bytes', 5, None))
        self.assertFalse(other.in_transaction())
        self.assertEqual(12, parts.database.read(lambda tx: tx.usages.used('project:p', 'bytes')))
