"""imagepipe-manage as an operator calls it, on each database."""

import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools
from taskflow.persistence import models

from imagepipe.db import engines, migrate, schema
from imagepipe.domain.event import Event
from imagepipe.domain.image import Status
from imagepipe.domain.import_ import ImportQuery, ImportState, Method
from imagepipe.domain.remote import RemoteImage
from imagepipe.jobs.persistence import Persistence
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.databases import DATABASES, use_database
from imagepipe.tests.fixtures.endings import end
from imagepipe.tests.fixtures.services import ServicesFixture, write_config
from imagepipe.tests.fixtures.stories import Story

TASKFLOW = ('logbooks', 'flowdetails', 'atomdetails')


class DatabaseTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.config = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'imagepipe.conf')
        self.database = use_database(self, create_schema=False)
        write_config(str(self.config), {'database.connection': self.database.url})

    def test_sync_and_version(self) -> None:
        status, out, err = called(self.config, 'db', 'version', '--format', 'json')
        self.assertEqual((1, {'revision': None, 'needed': migrate.head()}), (status, json.loads(out)))
        status, out, err = called(self.config, 'db', 'version')
        self.assertEqual((1, ''), (status, out))
        self.assertEqual(
            f'imagepipe-manage: The database is at revision none, this release needs {migrate.head()}: '
            'run imagepipe-manage db sync. (imagepipe.database.not_synced)\n', err,
        )  # fmt: skip
        self.assertEqual(
            (0, f'The database is at revision {migrate.head()} now; it was at none.\n', ''),
            called(self.config, 'db', 'sync'),
        )
        self.assertEqual((0, f'{migrate.head()}\n', ''), called(self.config, 'db', 'version'))
        status, out, err = called(self.config, 'db', 'version', '--format', 'json')
        self.assertEqual((0, ''), (status, err))
        self.assertEqual({'revision': migrate.head(), 'needed': migrate.head()}, json.loads(out))
        self.assertEqual(
            (0, f'The database was at revision {migrate.head()} already.\n', ''),
            called(self.config, 'db', 'sync'),
        )

    def test_a_database_of_a_newer_release(self) -> None:
        called(self.config, 'db', 'sync')
        version = sa.table(migrate.VERSION_TABLE, sa.column('version_num'))
        with self.database.engine.begin() as connection:
            connection.execute(sa.update(version).values(version_num='9999'))
        told = (
            'imagepipe-manage: The database is at revision 9999, which this release does not know: a newer '
            'release has synced it. Use the commands of that one. (imagepipe.database.newer)\n'
        )
        self.assertEqual((1, '9999\n', told), called(self.config, 'db', 'version'))
        for command in (('db', 'sync'), ('imports', 'list')):
            self.assertEqual((1, '', told), called(self.config, *command))

    def test_imports_of_a_database_that_was_never_synced(self) -> None:
        status, out, err = called(self.config, 'imports', 'list')
        self.assertEqual((1, ''), (status, out))
        self.assertIn('imagepipe-manage db sync. (imagepipe.database.not_synced)', err)


class BadDatabaseTest(testtools.TestCase):
    def said(self, url, *words):
        config = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'imagepipe.conf')
        write_config(str(config), {'database.connection': url} if url else {})
        status, out, err = called(config, *words)
        self.assertEqual((1, '', 1), (status, out, err.count('\n')), err)
        return err

    def test_each_is_one_sentence_with_its_code(self) -> None:
        for words in (['db', 'sync'], ['db', 'version'], ['imports', 'list'], ['db', 'purge']):
            said = self.said('postgresql+psycopg2://nobody:planted@127.0.0.1:1/none', *words)
            self.assertIn('onnection refused', said)
            self.assertIn('(imagepipe.database.unusable)', said)
            self.assertNotIn('planted', said)
            self.assertIn('[database] connection', self.said('no url', *words))
            self.assertIn('[database] connection is not set', self.said(None, *words))
            self.assertIn('unable to open', self.said('sqlite:////nowhere/at/all.db', *words))


class TerminalTest(testtools.TestCase):
    def ended(self, *words: object) -> tuple[int, bytes]:
        """Exit status and errors of the command when nobody reads what it prints."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = subprocess.run(
                [sys.executable, '-m', 'imagepipe.cmd.manage', *words],
                stdout=writing,
                stderr=subprocess.PIPE,
                timeout=120,
                check=False,
            )
        finally:
            os.close(writing)
        return done.returncode, done.stderr

    def test_a_reader_that_has_gone(self) -> None:
        self.assertEqual((128 + signal.SIGPIPE, b''), self.ended('version'))

    def test_an_argument_that_is_no_text(self) -> None:
        status, err = self.ended('explain', b'\xff')
        self.assertEqual((1, 1), (status, err.count(b'\n')), err)
        self.assertIn(b'An argument is no text', err)


class ImportsTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.story = self.useFixture(Story(self, kind=self.database_kind))

    def manage(self, *words):
        return called(self.story.cloud.config_file(), *words)

    def json(self, *words):
        status, out, err = self.manage(*words, '--format', 'json')
        self.assertEqual((0, ''), (status, err))
        return json.loads(out)

    def test_an_import_is_seen_and_cancelled(self) -> None:
        import_id = self.story.import_id
        status, out, err = self.manage('imports', 'list')
        self.assertEqual((0, ''), (status, err))
        headers, row = out.splitlines()
        self.assertEqual(
            ['ID', 'IMAGE', 'METHOD', 'STATE', 'STEP', 'OWNER', 'CREATED', 'ERROR'], headers.split()
        )
        *cells, day, time, _ = row.split()
        self.assertEqual(
            [import_id, self.story.image_id, 'glance-direct', 'accepted', '-', 'project-a'], cells
        )
        self.assertRegex(f'{day} {time}', r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$')
        status, out, err = self.manage('imports', 'show', import_id)
        self.assertEqual((0, ''), (status, err))
        for word in (import_id, 'store:fast', 'convert:raw', 'STORE', 'pending'):
            self.assertIn(word, out)

        status, out, err = self.manage('imports', 'cancel', import_id)
        self.assertEqual((0, ''), (status, err))
        self.assertEqual(f'Import {import_id} is reverting; a conductor undoes its steps.\n', out)
        self.story.workers.start()
        self.assertEqual(ImportState.CANCELLED, self.story.wait_end().state)
        status, out, err = self.manage('imports', 'cancel', import_id)
        self.assertEqual((1, ''), (status, out))
        self.assertEqual(
            f'imagepipe-manage: Import {import_id} is cancelled and cannot be cancelled. '
            '(imagepipe.import.not_cancellable)\n', err,
        )  # fmt: skip
        self.assertEqual('cancelled', self.json('imports', 'show', import_id)['state'])
        self.assertIn('imagepipe.import.cancelled', self.manage('imports', 'list')[1])

    def test_the_image_of_another_region_is_shown(self) -> None:
        remote = RemoteImage(region='north', interface='public', image_id=self.story.image_id)
        self.story.db.run(lambda tx: tx.imports.record(self.story.import_id, source_image=remote))
        out = self.manage('imports', 'show', self.story.import_id)[1]
        self.assertRegex(out, f'(?m)^source image +{self.story.image_id} in north$')

    def test_filters_and_pages(self) -> None:
        _, other = self.story.begin()
        newest, oldest = self.json('imports', 'list')['imports']
        self.assertEqual([other, self.story.import_id], [newest['id'], oldest['id']])
        of_image = self.json('imports', 'list', '--image', self.story.image_id)['imports']
        self.assertEqual([self.story.import_id], [found['id'] for found in of_image])
        status, out, _ = self.manage('imports', 'list', '--limit', '1')
        self.assertIn(f'There may be more: --marker {other}', out)
        page = self.json('imports', 'list', '--limit', '1', '--marker', other)['imports']
        self.assertEqual([self.story.import_id], [found['id'] for found in page])
        self.assertEqual([], self.json('imports', 'list', '--state', 'failed')['imports'])
        status, out, _ = self.manage('imports', 'list', '--state', 'failed')
        self.assertEqual((0, 'There are no such imports.\n'), (status, out))

    def test_a_failed_import_is_retried(self) -> None:
        story = self.useFixture(Story(self, kind=self.database_kind, method=Method.WEB_DOWNLOAD))
        end(story.services, story.import_id)
        words = ('imports', 'retry', story.import_id)
        status, out, err = called(story.cloud.config_file(), *words)
        self.assertEqual((0, ''), (status, err))
        query = ImportQuery(limit=10, image_id=story.image_id)
        new, old = story.db.read(lambda tx: tx.imports.search(query))
        self.assertEqual((story.import_id, new.id), (new.retry_of, out.split()[1]))
        self.assertEqual(f'Import {new.id} is accepted; it is a retry of {old.id}.\n', out)
        shown = called(story.cloud.config_file(), 'imports', 'show', new.id)[1]
        self.assertRegex(shown, f'(?m)^retry of +{old.id}$')
        status, out, err = called(story.cloud.config_file(), *words)
        self.assertEqual((1, ''), (status, out))
        self.assertIn('(imagepipe.import.in_progress)', err)

    def test_an_import_is_taken_away_from_a_worker_that_is_stopped(self) -> None:
        import_id = self.story.import_id
        status, out, err = self.manage('imports', 'release', import_id)
        self.assertEqual(
            f'imagepipe-manage: Import {import_id} is accepted, and no worker has claimed it. '
            '(imagepipe.import.not_claimed)\n', err,
        )  # fmt: skip
        frozen = self.story.workers.start(point='store:fast:execute.inside', stop=True)
        frozen.wait_stopped()
        holder = self.story.record.claim_owner
        self.story.workers.start()
        status, out, err = self.manage('imports', 'release', import_id)
        self.assertEqual((0, ''), (status, err))
        self.assertEqual(
            f'Import {import_id} is not claimed by {holder} any more; another worker takes it.\n', out
        )
        ended = self.story.wait_end()
        self.assertEqual((ImportState.SUCCEEDED, 2), (ended.state, ended.epoch))
        crashes = self.story.db.read(lambda tx: tx.steps.of_imports([import_id]))[import_id]
        self.assertEqual({0}, {step.crashes for step in crashes})
        frozen.go_on()
        self.story.workers.wait_let_go(import_id, worker=frozen)

    def test_an_unknown_import(self) -> None:
        for verb in ('show', 'cancel', 'retry', 'release'):
            self.assertEqual(
                (1, '', 'imagepipe-manage: Import nope could not be found. (imagepipe.import.not_found)\n'),
                self.manage('imports', verb, 'nope'),
            )

    def test_words_that_mean_nothing(self) -> None:
        for words in (['imports'], ['imports', 'burn'], ['db', 'purge', '--age_in_days', '-1'],
                      ['imports', 'list', '--state', 'odd'],
                      ['db', 'purge', '--max_rows', '-2']):  # fmt: skip
            status, out, err = self.manage(*words)
            self.assertEqual((2, ''), (status, out), words)
            self.assertNotIn('Traceback', err)


class ConductorsTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.useFixture(
            ServicesFixture(self, kind=self.database_kind, overrides={'conductor.lease': 30})
        )
        self.db = self.cloud.services.db
        self.seen('img-01', pid=11, conductor_pid=10)
        self.seen('img-01', pid=12, conductor_pid=10)
        self.seen('img-01', pid=21, conductor_pid=20)
        self.seen('img-02', pid=7, conductor_pid=None)

    def seen(self, host, *, pid, conductor_pid):
        self.db.run(
            lambda tx: tx.workers.seen(
                f'{host}:{pid}:x', host=host, pid=pid, version='1.0', conductor_pid=conductor_pid
            )
        )

    def manage(self, *words):
        return called(self.cloud.config_file(), 'conductors', *words)

    def listed(self):
        """Host, process id, state, how it is drained and number of workers of each line."""
        status, out, err = self.manage('list')
        self.assertEqual((0, ''), (status, err))
        return [line.split()[:5] for line in out.splitlines()[1:]]

    def test_workers_are_listed_by_their_conductors(self) -> None:
        self.assertEqual(
            [
                ['img-01', '10', 'working', '-', '2'],
                ['img-01', '20', 'working', '-', '1'],
                ['img-02', '7', 'working', '-', '1'],
            ],
            self.listed(),
        )
        workers = schema.workers
        silent = sa.update(workers).where(workers.c.pid == 21).values(seen=workers.c.seen - 31)
        self.db.run(lambda tx: tx.connection.execute(silent))
        self.assertEqual(['working', 'silent', 'working'], [line[2] for line in self.listed()])
        self.assertRegex(self.manage('list')[1], r'  1\.0 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  ')

    def test_a_host_is_drained_and_stays_so_without_a_conductor(self) -> None:
        status, out, err = self.manage('drain', 'img-02', '--hand-over')
        self.assertEqual(
            (0, 'Conductors on img-02 take nothing new; what runs there is handed over.\n', ''),
            (status, out, err),
        )
        self.assertEqual(['img-02', '7', 'drained', 'hand_over', '1'], self.listed()[-1])
        self.db.run(lambda tx: tx.workers.gone('img-02:7:x'))
        self.assertEqual(['img-02', '-', 'drained', 'hand_over', '0'], self.listed()[-1])
        told = json.loads(self.manage('list', '--format', 'json')[1])['conductors'][-1]
        self.assertEqual(('hand_over', None, []), (told['drain'], told['pid'], told['workers']))
        status, out, err = self.manage('drain', 'img-02', '--undo')
        self.assertEqual((0, 'Conductors on img-02 take imports again.\n', ''), (status, out, err))
        self.assertEqual(2, len(self.listed()))

    def test_a_host_without_conductors(self) -> None:
        for words in (['drain', 'img-03'], ['drain', 'img-03', '--undo']):
            self.assertEqual(
                (1, '', 'imagepipe-manage: No conductor is known on host img-03. '
                 '(imagepipe.conductor.not_found)\n'),
                self.manage(*words),
            )  # fmt: skip
        self.assertEqual(2, self.manage('drain', 'img-01', '--undo', '--hand-over')[0])


class PurgeTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.story = self.useFixture(Story(self, kind=self.database_kind))
        self.db = self.story.db

    def purge(self, *words):
        status, out, err = called(self.story.cloud.config_file(), 'db', 'purge', *words)
        self.assertEqual((0, ''), (status, err))
        return out

    def end(self, import_id, *, days_ago):
        """The import has failed, so long ago, and left TaskFlow's rows behind."""
        record = self.db.read(lambda tx: tx.imports.get(import_id))
        engine = engines.create(self.story.cloud.database_url, translate=False)
        self.addCleanup(engine.dispose)
        book, flow = models.LogBook('import', record.logbook_id), models.FlowDetail('import', record.flow_id)
        flow.add(models.TaskDetail('stage', f'atom-{record.id}'[:36]))
        book.add(flow)
        Persistence(engine).get_connection().save_logbook(book)

        def change(tx):
            finished = tx.now - datetime.timedelta(days=days_ago)
            tx.imports.to(import_id, [record.state], ImportState.FAILED, finished_at=finished)

        self.db.run(change)

    def notify(self, *, days_ago):
        """A notification; it was sent so long ago, or not yet."""

        def change(tx):
            tx.connection.execute(sa.delete(schema.outbox))
            for sent in (tx.now - datetime.timedelta(days=days_ago), None):
                tx.notify(Event.IMAGE_UPDATE, {})
                newest = tx.connection.execute(sa.select(sa.func.max(schema.outbox.c.id))).scalar()
                tx.connection.execute(
                    sa.update(schema.outbox).where(schema.outbox.c.id == newest).values(sent_at=sent)
                )

        self.db.run(change)

    def count(self, *tables):
        with self.db.engine.connect() as connection:
            return [
                connection.execute(sa.select(sa.func.count()).select_from(sa.table(name))).scalar()
                for name in tables
            ]

    def test_what_is_old_and_over_is_forgotten_and_nothing_else(self) -> None:
        image_id, young = self.story.begin()
        _, live = self.story.begin()
        self.end(self.story.import_id, days_ago=31)
        self.end(young, days_ago=29)
        self.notify(days_ago=31)
        self.db.run(
            lambda tx: tx.connection.execute(
                sa.insert(schema.tombstones).values(
                    id='gone', owner=None, deleted_at=datetime.datetime(2001, 1, 1)
                )
            )
        )
        out = self.purge()
        self.assertIn('Forgotten: 1 imports that ended and 1 notifications that were sent before 2', out)
        left = self.db.snapshot(lambda tx: [tx.imports.get(import_id).id for import_id in (young, live)])
        self.assertEqual([young, live], left)
        self.assertEqual([2, 1, 1, 1, 1, 1], self.count('imports', *TASKFLOW, 'outbox', 'tombstones'))
        self.assertEqual([3], self.count('images'))
        steps = self.db.read(lambda tx: tx.steps.of_imports([self.story.import_id, young]))
        self.assertEqual([], steps[self.story.import_id])
        self.assertNotEqual([], steps[young])
        self.assertEqual(Status.IMPORTING, self.db.read(lambda tx: tx.images.find(image_id)).status)
        self.assertIn('Forgotten: 0 imports that ended and 0 notifications', self.purge())

    def test_age_and_number(self) -> None:
        for days_ago in (3, 2, 1):
            image_id, import_id = self.story.begin()
            self.end(import_id, days_ago=days_ago)
        out = self.purge('--age_in_days', '0', '--max_rows', '2')
        self.assertIn('Forgotten: 2 imports', out)
        self.assertIn('as many as --max_rows allows', out)
        left = self.db.read(lambda tx: tx.imports.search(ImportQuery(limit=10, image_id=image_id)))
        self.assertEqual([import_id], [found.id for found in left])
        self.assertIn('Forgotten: 0 imports', self.purge('--age_in_days', '2', '--max_rows', '-1'))
        self.assertIn('Forgotten: 1 imports', self.purge('--age_in_days', '0', '--max_rows', '-1'))
        self.assertEqual([1, 0, 0, 0], self.count('imports', *TASKFLOW))
