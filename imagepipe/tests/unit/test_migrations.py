"""Migrations: they make the schema that the code declares, beside TaskFlow's own, however often."""

import datetime
import sys
from concurrent import futures

import fixtures
import sqlalchemy as sa
import testtools
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from testscenarios import WithScenarios

from imagepipe.db import engines, migrate, schema
from imagepipe.db.database import Database
from imagepipe.tests.fixtures import commands
from imagepipe.tests.fixtures.databases import DATABASES, use_database

TASKFLOW = {'logbooks', 'flowdetails', 'atomdetails', 'alembic_version'}
IMAGE = '11111111-2222-4333-8444-555555555555'
#: As the first release wrote it, less what is the same in every plan.
PLAN = """{"disk_format": "raw", "container_format": "bare", "targets": [], "must_succeed": true,
"digests": ["md5"], "os_hash_algo": "md5", "transfer_id": "11111111-2222-4333-8444-555555555555"}"""


def _ours(_object, name, kind, _reflected, _compared):
    return not (kind == 'table' and name in TASKFLOW)


class MigrationsTest(WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        self.url = use_database(self, create_schema=False).url

    def _engine(self):
        engine = engines.create(self.url, translate=False)
        self.addCleanup(engine.dispose)
        return engine

    def test_the_migrated_schema_is_the_declared_one(self):
        migrate.sync(self.url)
        with self._engine().connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    'version_table': migrate.VERSION_TABLE,
                    'compare_type': True,
                    'include_object': _ours,
                },
            )
            self.assertEqual([], compare_metadata(context, schema.metadata))

    def test_data_of_the_first_schema_is_carried_over(self):
        engine, now = self._engine(), datetime.datetime(2026, 1, 1)
        times = {'created_at': now, 'updated_at': now}
        settings = migrate._config()
        with engine.begin() as connection:
            settings.attributes['connection'] = connection
            command.upgrade(settings, '0001')
            tables = sa.MetaData()
            tables.reflect(connection, only=['images', 'transfers', 'imports'])
            image, transfer, record = (tables.tables[name] for name in ('images', 'transfers', 'imports'))
            connection.execute(image.insert().values(
                id=IMAGE, status='importing', visibility='shared', owner='p', protected=False,
                os_hidden=False, min_disk=0, min_ram=0, **times,
            ))  # fmt: skip
            connection.execute(transfer.insert().values(
                id=IMAGE, image_id=IMAGE, kind='stage', state='finished', object_name='x', owner='host',
                epoch=1, reserved=5, digests='{}', **times,
            ))  # fmt: skip
            connection.execute(record.insert().values(
                id=IMAGE, image_id=IMAGE, live_image_id=IMAGE, owner='p', method='glance-direct',
                state='accepted', plan=PLAN, flow_version=1, logbook_id=IMAGE, flow_id=IMAGE, reserved=5,
                staged='{}', source_digests='{}', result='{}', epoch=0, **times,
            ))  # fmt: skip
        migrate.sync(self.url)
        db = Database(engines.create(self.url), engines.create(self.url, reading=True))
        self.addCleanup(db.close)
        found = db.read(lambda tx: tx.imports.get(IMAGE))
        self.assertEqual((None, None, True), (found.trust_id, found.task_input, found.plan.secure_hash))
        self.assertEqual('p', db.read(lambda tx: tx.transfers.get(IMAGE)).project)
        (waiting,) = db.read(lambda tx: tx.imports.claimable(10, [1]))
        self.assertEqual((IMAGE, False), (waiting.id, waiting.small))
        used = db.snapshot(lambda tx: tx.accounts.of_project('p'))
        self.assertEqual({'images': 1, 'uploading': 1, 'bytes': 5, 'staged': 5}, used)

    def test_a_difference_would_be_seen(self):
        migrate.sync(self.url)
        engine = self._engine()
        with engine.begin() as connection:
            connection.exec_driver_sql('DROP TABLE workers')
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={'version_table': migrate.VERSION_TABLE, 'include_object': _ours}
            )
            self.assertNotEqual([], compare_metadata(context, schema.metadata))

    def test_sync_again_changes_nothing_and_says_the_revision(self):
        self.assertIsNone(migrate.version(self.url))
        migrate.sync(self.url)
        migrate.sync(self.url)
        self.assertEqual(migrate.head(), migrate.version(self.url))

    def test_taskflow_keeps_its_own_version_table_and_gets_the_missing_indexes(self):
        migrate.sync(self.url)
        inspector = sa.inspect(self._engine())
        self.assertIn(migrate.VERSION_TABLE, inspector.get_table_names())
        for name, (table, _column) in migrate.TASKFLOW_INDEXES.items():
            self.assertIn(name, {index['name'] for index in inspector.get_indexes(table)})


class ConcurrentSyncTest(WithScenarios, testtools.TestCase):
    scenarios = [scenario for scenario in DATABASES if scenario[0] != 'sqlite']

    def test_processes_that_sync_together_wait_for_each_other(self):
        url = use_database(self, create_schema=False).url
        script = f'from imagepipe.db import migrate; migrate.sync({url!r})'
        with futures.ThreadPoolExecutor() as pool:
            runs = [pool.submit(commands.run, self, sys.executable, '-c', script) for _ in range(3)]
        for run in runs:
            run.result()
        self.assertEqual(migrate.head(), migrate.version(url))


class PatienceTest(testtools.TestCase):
    """MariaDB keeps what a sync has done that was broken off in its middle: the next one could not go on."""

    database_kind = 'mariadb'

    def setUp(self):
        super().setUp()
        self.url = use_database(self, create_schema=False).url
        engine = engines.create(self.url, translate=False)
        self.addCleanup(engine.dispose)
        self.other = engine.connect()
        self.addCleanup(self.other.close)
        self.useFixture(fixtures.MockPatchObject(engines, 'ANSWER', 1))
        self.useFixture(fixtures.MockPatchObject(migrate, 'LOCK_WAIT', 2))
        self.other.execute(sa.select(sa.func.get_lock(migrate._LOCK, 60)))
        self.addCleanup(self.release)

    def release(self):
        self.other.execute(sa.select(sa.func.release_lock(migrate._LOCK)))

    def test_a_statement_takes_as_long_as_it_takes(self):
        with futures.ThreadPoolExecutor() as pool:
            run = pool.submit(migrate.sync, self.url)
            try:
                self.assertRaises(futures.TimeoutError, run.result, 3 * engines.ANSWER)
                self.assertEqual([], sa.inspect(self.other).get_table_names(), 'it waits for the other sync')
            finally:
                self.release()
            run.result()
        self.assertEqual(migrate.head(), migrate.version(self.url))
