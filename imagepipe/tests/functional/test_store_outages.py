"""Stores that are down or full: who sees it, and what imports, downloads and deletes make of it.

The faults are real: directories that are gone, servers that are stopped, a file system without room.
"""

import contextlib
import dataclasses
import datetime
import os
import pathlib
import subprocess
import threading
import unittest
from collections.abc import Callable, Iterator, Mapping

import fixtures
import testtools
import webob
from testscenarios import WithScenarios

from imagepipe import errors
from imagepipe.api.app import Application
from imagepipe.domain.store_state import StoreState
from imagepipe.jobs.store_checks import StoreChecker
from imagepipe.operations import stores
from imagepipe.readiness import Readiness
from imagepipe.services import Services
from imagepipe.stores import asking
from imagepipe.stores.memory import InMemoryStore
from imagepipe.tests.fixtures import stores as stores_fixtures
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.pipeline import PipelineFixture, step
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until

DATA = b'0123456789' * 1000
DETAIL = '/v2/info/stores/detail'
WATCHER = '192.0.2.7'


class Directory(fixtures.Fixture):
    """A file store whose directory is gone."""

    kind = 'file'
    options: Mapping[str, object] = {}

    def __init__(self, test: testtools.TestCase) -> None:
        super().__init__()

    def go_down(self, path: pathlib.Path) -> None:
        path.rename(f'{path}.away')

    def come_back(self, path: pathlib.Path) -> None:
        pathlib.Path(f'{path}.away').rename(path)


class MountPoint(Directory):
    """A file store whose file system is not mounted any more."""

    def go_down(self, path: pathlib.Path) -> None:
        super().go_down(path)
        path.mkdir()

    def come_back(self, path: pathlib.Path) -> None:
        path.rmdir()  # nothing was written there meanwhile
        super().come_back(path)


class Server(fixtures.Fixture):
    """A store whose server is stopped."""

    kind: str
    backend: Callable[[testtools.TestCase], stores_fixtures.Backend]

    def __init__(self, test: testtools.TestCase) -> None:
        super().__init__()
        self._test = test

    def _setUp(self) -> None:
        self.useFixture(fixtures.EnvironmentVariable('AWS_MAX_ATTEMPTS', '1'))
        self._backend = self.useFixture(self.backend(self._test))
        self.options = self._backend.options

    def go_down(self, _path: pathlib.Path) -> None:
        self._backend.stop()

    def come_back(self, _path: pathlib.Path) -> None:
        self._backend.start()


class Swift(Server):
    kind = 'swift'
    backend = staticmethod(lambda _test: stores_fixtures.Swift())


class S3(Server):
    kind = 's3'
    backend = stores_fixtures.S3


class OutageCase(testtools.TestCase):
    def check(self, services: Services, times: int = 2) -> None:
        """Conductors have looked at the stores so often."""
        checker = StoreChecker(services, interval=30, timeout=20)
        for _ in range(times):
            checker.look()

    def told(self, pipe: PipelineFixture) -> dict[str, dict[str, object]]:
        """What administrators are told of the stores."""
        response = pipe.call('GET', DETAIL, as_='admin')
        return {store['id']: store['imagepipe'] for store in response.json['stores']}

    def missing(self, pipe: PipelineFixture) -> tuple[int, dict[str, str]]:
        """What a process that has not looked before says of itself."""
        services = pipe.services
        readiness = Readiness(services.db, services.staging, lease=30, default_store=services.stores.default)
        request = webob.Request.blank('/readiness', environ={'REMOTE_ADDR': WATCHER})
        answer = request.get_response(Application(dataclasses.replace(services, readiness=readiness)))
        lacks = {lack['part']: lack['reason'] for lack in answer.json['missing']}
        return answer.status_int, lacks

    def code(self, response: webob.Response) -> tuple[int, str]:
        return response.status_int, response.json['error']['error_code']


class DownTest(WithScenarios, OutageCase):
    scenarios = [(each.__name__, {'subject': each}) for each in (Directory, MountPoint, Swift, S3)]

    def setUp(self) -> None:
        super().setUp()
        self.store = self.useFixture(self.subject(self))
        overrides = {
            'enabled_backends': f'fast:file,subject:{self.store.kind}',
            'transfers.delete_seconds': 0.5,
            'api.readiness_details_to': '192.0.2.0/24',
            **{f'subject.{name}': value for name, value in self.store.options.items()},
        }
        self.pipe = self.useFixture(PipelineFixture(self, stores=('fast', 'subject'), overrides=overrides))
        self.path = pathlib.Path(self.pipe.cloud.path('stores', 'subject'))

    def image(self, *stores: str) -> str:
        """An image with its data in these stores."""
        image_id = self.pipe.image()
        self.assertEqual(204, self.pipe.put(image_id, DATA, store=stores[0]).status_int)
        for store in stores[1:]:
            self.pipe.succeed(self.pipe.start(image_id, method='copy-image', stores=[store], as_='admin'))
        return image_id

    def test_it_is_seen_and_borne(self) -> None:
        only, both, other = self.image('subject'), self.image('subject', 'fast'), self.image('fast')
        self.check(self.pipe.services)
        self.assertEqual({'fast': {'state': 'up'}, 'subject': {'state': 'up'}}, self.told(self.pipe))
        self.store.go_down(self.path)
        self.not_read(only)
        self.assertEqual((DATA, DATA), (self.pipe.download(both), self.pipe.download(other)))
        self.told_to_those_who_ask()
        self.passed_over()
        refused = self.pipe.image()
        self.assertEqual(
            (503, 'imagepipe.store.transient'), self.code(self.pipe.put(refused, DATA, store='subject'))
        )
        self.pipe.delete(only)
        self.assertEqual(404, self.pipe.call('GET', f'/v2/images/{only}').status_int)
        self.assertEqual(['deleting'], [row.state for row in self.pipe.locations(only)])
        self.store.come_back(self.path)
        self.up_again(both)

    def not_read(self, only: str) -> None:
        """Nobody is told that the data is not there."""
        response = self.pipe.call('GET', f'/v2/images/{only}/file')
        self.assertEqual((503, 'imagepipe.data.unavailable'), self.code(response))
        self.assertEqual('30', response.headers['Retry-After'])
        listed = self.pipe.call('GET', f'/v2/images/{only}/locations', as_='service')
        self.assertEqual(['subject'], [location['metadata']['store'] for location in listed.json])
        self.assertEqual('active', self.pipe.show(only)['status'])

    def told_to_those_who_ask(self) -> None:
        self.check(self.pipe.services, times=1)
        self.assertEqual('up', self.told(self.pipe)['subject']['state'], 'one failure may be a hiccup')
        self.check(self.pipe.services)
        found = self.told(self.pipe)
        self.assertEqual({'state': 'up'}, found['fast'])
        self.assertEqual(
            ('down', 'imagepipe.store.transient', [self.pipe.services.host]),
            (found['subject']['state'], found['subject']['error_code'], found['subject']['hosts']),
        )
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(found['subject']['since'])
        self.assertLess(age, datetime.timedelta(minutes=2))
        status, lacks = self.missing(self.pipe)
        self.assertEqual(
            (200, f"Store 'subject' cannot be used on: {self.pipe.services.host}."), (status, lacks['store'])
        )
        self.assertNotIn('default_store', lacks)

    def passed_over(self) -> None:
        """An import that can do without it does; one that cannot tries, and fails."""
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        asked = {'stores': ['subject', 'fast']}
        found = self.pipe.succeed(self.pipe.start(image_id, **asked, all_stores_must_succeed=False))
        codes = {each['store']: each['error_code'] for each in found['stores']}
        self.assertEqual({'fast': None, 'subject': 'imagepipe.store.down'}, codes)
        self.assertEqual(1, step(found, 'store:subject')['attempt'])
        self.assertEqual('subject', self.pipe.show(image_id)['os_glance_failed_import'])
        needed = self.pipe.image()
        self.pipe.stage(needed, DATA)
        found = self.pipe.wait(self.pipe.start(needed, **asked))
        self.assertEqual('imagepipe.store.transient', found['error']['code'])
        self.assertEqual(3, step(found, 'store:subject')['attempt'])

    def up_again(self, both: str) -> None:
        self.check(self.pipe.services, times=1)
        self.assertEqual({'state': 'up'}, self.told(self.pipe)['subject'])
        self.assertEqual(DATA, self.pipe.download(both))
        wait_until(self.swept, 'what could not be removed is removed')
        stored = sorted(self.pipe.services.stores['subject'].names())
        rows = self.pipe.locations()
        self.assertEqual({'active'}, {row.state for row in rows})
        self.assertEqual([row.object_name for row in rows if row.store == 'subject'], stored)

    def swept(self) -> bool:
        self.pipe.sweep()
        return 'deleting' not in {row.state for row in self.pipe.locations()}


class KnownTest(OutageCase):
    """What imports make of what is known of a store."""

    def setUp(self) -> None:
        super().setUp()
        self.pipe = self.useFixture(
            PipelineFixture(self, memory=('far', 'near'), overrides={'transfers.delete_seconds': 0})
        )

    def note(self, host: str | None = None, *, holds: float = 600, **found: errors.ImagepipeError) -> None:
        host = host or self.pipe.services.host
        self.pipe.services.db.run(lambda tx: tx.store_checks.note(host, found, holds=holds))

    def results(self, *stores: str, **how: object) -> dict[str, str | None]:
        """The code by store of an import that has succeeded."""
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        found = self.pipe.succeed(self.pipe.start(image_id, stores=list(stores), **how))
        return {each['store']: each['error_code'] for each in found['stores']}

    def test_only_what_is_down_here_now_and_can_be_done_without_is_passed_over(self) -> None:
        down = errors.StoreTransient(store='far')
        skipped, stored = {'far': 'imagepipe.store.down', 'near': None}, {'far': None, 'near': None}
        either = {'all_stores_must_succeed': False}
        self.note(far=down)
        self.assertEqual(skipped, self.results('far', 'near', **either))
        self.assertEqual({}, self.pipe.memory['far'].contents)
        self.assertEqual(stored, self.results('far', 'near'), 'it must succeed there')
        self.assertEqual({'far': None}, self.results('far', **either), 'there is no other')
        self.note(far=down, near=errors.StoreDenied(store='near'))
        self.assertEqual(stored, self.results('far', 'near', **either), 'nothing is better')
        self.note(far=down, near=None)
        self.assertEqual(skipped, self.results('far', 'near', **either))
        for held in ({'far': None}, {'far': errors.StoreFull(store='far')}):
            self.note(**held)
            self.assertEqual(stored, self.results('far', 'near', **either))
        self.note(far=down, holds=-1)
        self.note('another-host', far=down)
        self.assertEqual(stored, self.results('far', 'near', **either), 'that was long ago, or elsewhere')
        self.pipe.check_records()

    def test_a_store_that_goes_down_between_two_attempts(self) -> None:
        """What the first attempt left is removed when the store is back."""
        far = self.pipe.memory['far']

        def fail() -> Exception:
            self.note(far=errors.StoreTransient(store='far'))
            far.fail_on('discard', errors.StoreTransient)
            return errors.StoreTransient(store='far')

        far.fail_on_put(fail, after_bytes=100)
        self.assertEqual(
            {'far': 'imagepipe.store.down', 'near': None},
            self.results('far', 'near', all_stores_must_succeed=False),
        )
        self.assertEqual(1, len(far.contents))
        far.heal()
        wait_until(lambda: self.pipe.sweep() or not far.contents, 'the sweeper removes what is left')
        self.pipe.check_records()

    def test_data_that_is_missing_is_not_told_while_a_store_may_have_it(self) -> None:
        far, near = self.pipe.memory['far'], self.pipe.memory['near']
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        self.pipe.succeed(self.pipe.start(image_id, stores=['far', 'near']))
        path = f'/v2/images/{image_id}/file'
        far.contents.clear()
        self.assertEqual(DATA, self.pipe.download(image_id))
        for error in (errors.StoreTransient, errors.StoreDenied, errors.StorePermanent):
            near.fail_on('open', error)
            self.assertEqual((503, 'imagepipe.data.unavailable'), self.code(self.pipe.call('GET', path)))
        near.heal()
        stores = self.pipe.services.stores
        with self.without(stores, 'near'):
            self.assertEqual((503, 'imagepipe.data.unavailable'), self.code(self.pipe.call('GET', path)))
        near.contents.clear()
        self.assertEqual(204, self.pipe.call('GET', path).status_int, 'as Glance tells it')

    @contextlib.contextmanager
    def without(self, stores: object, store_id: str) -> Iterator[None]:
        """The store is not configured any more."""
        kept = stores._stores.pop(store_id)
        try:
            yield
        finally:
            stores._stores[store_id] = kept


class FullTest(OutageCase):
    """A file system of 1 MiB."""

    def test_nothing_is_left_and_it_is_told(self) -> None:
        tools.need(self, 'mount', 'umount')
        directory = self.mounted()
        overrides = {
            'enabled_backends': 'fast:file,tiny:file',
            'tiny.filesystem_store_datadir': directory,
            'api.readiness_details_to': '192.0.2.0/24',
        }
        pipe = self.useFixture(PipelineFixture(self, overrides=overrides))
        small, large = pipe.image(), pipe.image()
        self.assertEqual(204, pipe.put(small, DATA, store='tiny').status_int)
        kept = self.files(directory)
        response = pipe.put(large, os.urandom(2 << 20), store='tiny')
        self.assertEqual((413, 'imagepipe.store.full'), self.code(response))
        self.assertEqual(('queued', None), (pipe.show(large)['status'], pipe.show(large)['size']))
        pipe.stage(large, os.urandom(2 << 20))
        pipe.fail(pipe.start(large, stores=['tiny']), 'imagepipe.store.full', again=None)
        pipe.stage(large, os.urandom(2 << 20))
        pipe.succeed(pipe.start(large, stores=['fast']))
        copied = pipe.wait(pipe.start(large, method='copy-image', stores=['tiny'], as_='admin'))
        self.assertEqual('imagepipe.store.full', copied['error']['code'])
        self.assertEqual((kept, []), (self.files(directory), pipe.staged()))
        self.assertEqual(len(DATA) + (2 << 20), pipe.used()[0])
        pathlib.Path(directory, 'filler').write_bytes(bytes(os.statvfs(directory).f_bavail * 4096))
        self.check(pipe.services)
        found = self.told(pipe)['tiny']
        self.assertEqual(('full', 'imagepipe.store.full'), (found['state'], found['error_code']))
        self.assertNotIn('store', self.missing(pipe)[1])
        self.assertEqual(DATA, pipe.download(small))
        self.assertEqual('up', self.told(pipe)['fast']['state'])

    def mounted(self) -> str:
        directory = self.useFixture(fixtures.TempDir()).path
        command = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise unittest.SkipTest('the right to mount a tmpfs is missing')
        self.addCleanup(subprocess.run, ['umount', directory], check=True)
        return directory

    def files(self, directory: str) -> list[str]:
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names)


class CheckerTest(WithScenarios, OutageCase):
    """What a checker records, and what the records of several hosts say together."""

    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.useFixture(ServicesFixture(self, kind=self.database_kind))
        self.db = self.cloud.services.db

    def health(self, store: str) -> tuple[StoreState, tuple[str, ...]]:
        found = stores.states(self.cloud.services)[store]
        return found.state, found.hosts

    def note(self, host: str, error: errors.ImagepipeError | None, *, holds: float = 600) -> None:
        self.db.run(lambda tx: tx.store_checks.note(host, {'fast': error}, holds=holds))

    def test_hosts_together(self) -> None:
        down, full = errors.StoreTransient(store='fast'), errors.StoreFull(store='fast')
        self.assertEqual((StoreState.UNKNOWN, ()), self.health('fast'))
        for first, second, state, hosts in (
            (None, None, StoreState.UP, ()),
            (down, None, StoreState.PARTIAL, ('a',)),
            (down, down, StoreState.DOWN, ('a', 'b')),
            (full, None, StoreState.FULL, ('a',)),
            (full, down, StoreState.PARTIAL, ('b',)),
        ):
            self.note('a', first)
            self.note('b', second)
            self.assertEqual((state, hosts), self.health('fast'))
        self.note('b', down, holds=-1)
        self.assertEqual((StoreState.FULL, ('a',)), self.health('fast'))
        self.assertEqual((StoreState.UNKNOWN, ()), self.health('cheap'))

    def test_since_when(self) -> None:
        def since() -> datetime.datetime:
            return self.db.read(lambda tx: tx.store_checks.latest())['fast'][0].since

        self.note('a', None)
        up = since()
        self.note('a', errors.StoreTransient(store='fast'))
        down = since()
        self.note('a', errors.StoreTransient(store='fast'))
        self.assertEqual((True, down), (down > up, since()))

    def test_what_is_old_is_forgotten(self) -> None:
        self.note('a', None, holds=-100)
        self.db.run(lambda tx: tx.store_checks.forget(1000))
        self.db.run(lambda tx: tx.store_checks.note('a', {'fast': None}, holds=-100))
        self.db.run(lambda tx: tx.store_checks.forget(50))
        self.assertEqual(set(), self.db.read(lambda tx: tx.store_checks.down('a')))


class Defective(InMemoryStore):
    def check(self) -> None:
        raise ZeroDivisionError


class AnswersTest(OutageCase):
    def test_a_driver_that_meets_a_defect_cannot_be_used(self) -> None:
        cloud = self.useFixture(ServicesFixture(self))
        cloud.services.stores._stores['bad'] = Defective('bad')
        self.patch(threading, 'excepthook', lambda *_: None)
        self.check(cloud.services)
        found = stores.states(cloud.services)
        self.assertEqual(
            (StoreState.DOWN, 'imagepipe.store.permanent'), (found['bad'].state, found['bad'].code)
        )
        self.assertIs(StoreState.UP, found['fast'].state)

    def test_a_store_that_does_not_answer_is_asked_once(self) -> None:
        cloud = self.useFixture(ServicesFixture(self))
        gate, asked = threading.Event(), []
        self.addCleanup(gate.set)

        class Hanging(InMemoryStore):
            def check(self) -> None:
                asked.append(1)
                gate.wait()

        kept = cloud.services.stores._stores
        kept.clear()  # on a busy machine others would be late too
        kept['slow'] = Hanging('slow')
        checker = StoreChecker(cloud.services, interval=30, timeout=0.05)
        self.assertEqual([True, False, False], [checker.look() for _ in range(3)])
        self.assertEqual([1], asked)
        (answer,) = asking.ask(kept.values(), 0.05).values()
        self.assertIsInstance(answer, errors.StoreTransient)

        def down() -> set[str]:
            return cloud.services.db.read(lambda tx: tx.store_checks.down(cloud.services.host))

        self.assertEqual({'slow'}, down())
        gate.set()
        wait_until(lambda: checker.look() or not down(), 'it answers again')
