"""imagepipe-manage staging and stores: what nobody owns is seen and removed, and nothing else ever is."""

import dataclasses
import json
import os
import pathlib

import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.db import schema
from imagepipe.domain import names
from imagepipe.domain.image import Image, Status
from imagepipe.domain.location import Location, LocationState
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.stores.file import UNFINISHED
from imagepipe.stores.staging import StagingDirectory
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.endings import end
from imagepipe.tests.fixtures.stories import Story

#: Longer than any grace.
OLD = (1, 1)


class _Clinging(StagingDirectory):
    """One file is another user's."""

    stuck = ''

    def discard(self, name: str) -> None:
        if name == self.stuck:
            raise errors.StagingUnavailable
        super().discard(name)


class StorageCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.story = self.useFixture(Story(self, kind=self.database_kind))
        self.services, self.db = self.story.services, self.story.db

    def manage(self, *words, expect=0):
        status, out, err = called(self.story.cloud.config_file(), *words)
        self.assertEqual((expect, ''), (status, err))
        return out

    def found(self, *words, expect=0):
        return json.loads(self.manage(*words, '--format', 'json', expect=expect))

    def ended(self) -> str:
        """The id of an import that is over."""
        _, import_id = self.story.begin()
        end(self.services, import_id)
        return import_id

    @staticmethod
    def name(owner_id: str) -> str:
        return names.object_name(uuidutils.generate_uuid(), owner_id, 1, 'data')


class StagingTest(StorageCase):
    def stage(self, name: str) -> str:
        self.services.staging.new(name).write_bytes(b'bytes')
        return name

    def test_what_is_staged_is_listed_with_its_standing(self) -> None:
        (wanted,) = self.services.staging.names()
        ended, unknown = self.name(self.ended()), self.name(uuidutils.generate_uuid())
        for name in (ended, unknown, 'notes'):
            self.stage(name)
        listed = self.found('staging', 'list')
        self.assertEqual(
            {wanted: 'wanted', ended: 'ended', unknown: 'unknown', 'notes': 'foreign'},
            {file['name']: file['standing'] for file in listed['files']},
        )
        self.assertEqual({ended}, {file['name'] for file in listed['files'] if file['due']})
        self.assertIn(len(self.story.body), [file['size'] for file in listed['files']])
        out = self.manage('staging', 'list')
        self.assertEqual(['NAME', 'STANDING', 'AGE', 'SIZE'], out.splitlines()[0].split())
        self.assertIn('4 files; ', out)

    def test_only_what_nobody_owns_goes_and_only_when_it_is_old(self) -> None:
        (wanted,) = self.services.staging.names()
        ended, unknown, young = self.name(self.ended()), *(self.name(uuidutils.generate_uuid()) for _ in '12')
        for name in (ended, unknown, young, 'notes'):
            self.stage(name)
        for name in (wanted, unknown, 'notes'):
            os.utime(self.services.staging.path(name), OLD)
        before = list(self.services.staging.names())
        out = self.manage('staging', 'gc', '--dry-run')
        self.assertIn('2 of 3 that nobody owns would be removed.', out)
        self.assertEqual(before, list(self.services.staging.names()))
        out = self.manage('staging', 'gc')
        self.assertIn('2 of 3 that nobody owns were removed.', out)
        self.assertIn('is kept for 24 h 00 min ([staging] grace)', out)
        self.assertEqual(sorted([wanted, young, 'notes']), list(self.services.staging.names()))

    def test_a_file_that_cannot_be_removed_keeps_no_other(self) -> None:
        staging = _Clinging(self.services.staging.root)
        services = dataclasses.replace(self.services, staging=staging)
        stuck, other = (self.stage(name) for name in sorted(self.name(self.ended()) for _ in '12'))
        staging.stuck = stuck
        Sweeper(services, interval=3600).sweep()
        self.assertEqual({stuck}, set(staging.names()) & {stuck, other})

    def test_a_directory_that_cannot_be_listed(self) -> None:
        self.services.staging.root.rename(self.story.cloud.path('elsewhere'))
        status, out, err = called(self.story.cloud.config_file(), 'staging', 'gc')
        self.assertEqual((1, ''), (status, out))
        self.assertIn('(imagepipe.staging.unavailable)', err)


class StoresTest(StorageCase):
    def put(self, name: str, store: str = 'fast') -> pathlib.Path:
        path = pathlib.Path(self.story.cloud.path('stores', store, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'bytes')
        return path

    def age_strays(self) -> None:
        """All that is noted was noted two days ago."""
        self.db.run(lambda tx: tx.connection.execute(sa.update(schema.strays).values(
            since=schema.strays.c.since - 2 * 86400
        )))  # fmt: skip

    def locate(self, path: pathlib.Path, **columns: object) -> None:
        """An image has this file as its location."""
        image_id = uuidutils.generate_uuid()

        def change(tx):
            tx.images.add(Image(id=image_id, status=Status.ACTIVE))
            tx.locations.add(
                Location(
                    id=uuidutils.generate_uuid(), image_id=image_id, representation_id=image_id,
                    store='fast', state=LocationState.ACTIVE, url=f'file://{path}', **columns,
                )
            )  # fmt: skip

        self.db.run(change)

    def test_what_an_import_left_goes_at_once(self) -> None:
        left, live = self.put(self.name(self.ended())), self.put(self.name(self.story.import_id))
        dry = self.found('stores', 'gc', '--dry-run')
        self.assertEqual([(left.name, 'ended', True, False)], [
            (find['name'], find['standing'], find['due'], find['removed']) for find in dry['found']
        ])  # fmt: skip
        self.assertTrue(left.exists())
        self.assertIn('1 of 1 that nobody owns were removed.', self.manage('stores', 'gc'))
        self.assertEqual((False, True), (left.exists(), live.exists()))

    def test_what_nobody_knows_is_noted_and_goes_after_a_while_when_asked_for(self) -> None:
        stray, notes = self.put(self.name(uuidutils.generate_uuid())), self.put('notes')
        self.assertIn('0 of 1 that nobody owns were removed.', self.manage('stores', 'gc', '--unknown'))
        self.age_strays()
        out = self.manage('stores', 'gc')
        self.assertIn('0 of 1 that nobody owns were removed.', out)
        self.assertIn('--unknown removes it', out)
        Sweeper(self.services, interval=3600).sweep()
        self.assertTrue(stray.exists())
        self.assertIn('1 of 1 that nobody owns were removed.', self.manage('stores', 'gc', '--unknown'))
        self.assertEqual((False, True), (stray.exists(), notes.exists()))
        self.assertEqual({}, self.db.read(lambda tx: tx.strays.ages('fast')))

    def test_what_has_an_owner_again_is_a_stray_no_more(self) -> None:
        stray = self.put(self.name(uuidutils.generate_uuid()))
        self.manage('stores', 'gc')
        self.age_strays()
        self.locate(stray, object_name=stray.name)
        self.assertIn('0 of 0', self.manage('stores', 'gc', '--unknown'))
        self.assertEqual({}, self.db.read(lambda tx: tx.strays.ages('fast')))
        self.assertTrue(stray.exists())

    def test_a_location_that_names_an_object_by_its_url_only(self) -> None:
        for owner_id in (self.ended(), uuidutils.generate_uuid()):
            path = self.put(self.name(owner_id))
            self.manage('stores', 'gc', '--dry-run')
            self.age_strays()
            self.locate(path)
            self.assertIn('0 of 0', self.manage('stores', 'gc', '--unknown'))
            self.assertTrue(path.exists())

    def test_a_store_that_cannot_be_listed(self) -> None:
        cheap = self.put(self.name(self.ended()), 'cheap')
        self.put('notes').parent.rename(self.story.cloud.path('elsewhere'))
        pathlib.Path(self.story.cloud.path('stores', 'fast')).write_text('no directory')
        told = self.found('stores', 'gc', expect=1)
        self.assertEqual(['fast'], [store['store'] for store in told['not_listed']])
        self.assertEqual([cheap.name], [find['name'] for find in told['found'] if find['removed']])

    def test_an_object_that_cannot_be_removed_keeps_no_other(self) -> None:
        ended = self.ended()
        left = [self.put(self.name(ended)) for _ in range(3)]
        stuck = min(left)
        obstacle = stuck.parent / UNFINISHED / f'{stuck.name}~0123456789abcdef'
        obstacle.mkdir()  # where only files are
        Sweeper(self.services, interval=3600).sweep()
        self.assertEqual([], [path for path in left if path != stuck and path.exists()])
        other = self.put(self.name(ended))
        told = self.found('stores', 'gc', expect=1)
        self.assertEqual([], told['not_listed'])
        self.assertEqual(
            {stuck.name: (False, 'imagepipe.store.permanent'), other.name: (True, None)},
            {find['name']: (find['removed'], find['code']) for find in told['found']},
        )
        out = self.manage('stores', 'gc', expect=1)
        self.assertIn('0 of 1 that nobody owns were removed.', out)
        self.assertIn(f'{stuck.name} could not be removed: ', out)
        obstacle.rmdir()
        self.assertIn('0 of 0', self.manage('stores', 'gc'))

    def test_one_store_only(self) -> None:
        fast, cheap = (self.put(self.name(self.ended()), store) for store in ('fast', 'cheap'))
        self.manage('stores', 'gc', '--store', 'cheap')
        self.assertEqual((True, False), (fast.exists(), cheap.exists()))
        status, _, err = called(self.story.cloud.config_file(), 'stores', 'gc', '--store', 'moon')
        self.assertEqual(1, status)
        self.assertIn('(imagepipe.store.unknown)', err)

    def test_stores_are_asked_whether_they_can_be_used(self) -> None:
        elsewhere = {'fast': None, 'cheap': errors.StoreTransient(store='cheap')}
        self.db.run(lambda tx: tx.store_checks.note('img-02', elsewhere, holds=60))
        out = self.manage('stores', 'check')
        headers, fast, cheap = out.splitlines()
        self.assertEqual(
            ['STORE', 'TYPE', 'DEFAULT', 'WRITABLE', 'STATE', 'PROBLEM', 'DOWN', 'ON'], headers.split()
        )
        self.assertEqual(['fast', 'file', 'yes', 'yes', 'ok', '-', '-'], fast.split())
        self.assertEqual(['cheap', 'file', 'no', 'yes', 'ok', '-', 'img-02'], cheap.split())

    def test_a_mount_point_without_its_file_system(self) -> None:
        root = pathlib.Path(self.story.cloud.path('stores', 'cheap'))
        (root / UNFINISHED).rmdir()
        cheap = self.services.stores['cheap']
        for words in (['stores', 'check'], ['stores', 'gc'], ['stores', 'check']):
            self.manage(*words, expect=1)
            self.assertEqual([], list(root.iterdir()), 'to make it here would hide it from the services')
            self.assertRaises(errors.StoreTransient, cheap.check)

    def test_a_store_that_is_away_and_one_that_only_locations_name(self) -> None:
        self.locate(self.put('x'))
        self.db.run(lambda tx: tx.connection.execute(sa.update(schema.locations).where(
            schema.locations.c.url.endswith('/x')
        ).values(store='unplugged')))  # fmt: skip
        self.put('x', 'cheap').parent.rename(self.story.cloud.path('elsewhere'))
        pathlib.Path(self.story.cloud.path('stores', 'cheap')).write_text('no directory')
        states = {store['id']: store['code'] for store in self.found('stores', 'check', expect=1)['stores']}
        self.assertIsNone(states['fast'])
        self.assertIn('imagepipe.store.', states['cheap'])
        self.assertEqual('imagepipe.store.not_configured', states['unplugged'])
