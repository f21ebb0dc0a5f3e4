"""OSProfiler: one trace holds a request and every step of the import it began, in another process."""

import contextlib
import io
import json
import logging
import threading
import types
import uuid
from typing import ClassVar

import fixtures
import redis
import requests
import testtools
from osprofiler import notifier, profiler, web
from testtools import matchers

from imagepipe import errors, tracing
from imagepipe.flows.steps.base import Step
from imagepipe.sources.intake import Intake
from imagepipe.stores.memory import InMemoryStore
from imagepipe.stores.store import Stores
from imagepipe.tests.fixtures import commands, images, tools
from imagepipe.tests.fixtures.cloud import SharedCloudTest
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until

KEY = 'a-key-of-the-operator'
REDIS = 'redis://127.0.0.1:6379/7'
STEPS = {
    'stage',
    'introspect',
    'verify:qcow2',
    'convert:raw',
    'verify:raw',
    'store:fast',
    'store:cheap',
    'activate',
    'notify',
    'discard',
}
#: (name, what it says of itself) from the root down: what must hang under what.
PATHS = (
    (('wsgi', 'POST'), ('operation', 'images.create'), ('db', 'INSERT INTO images')),
    (('wsgi', 'PUT'), ('operation', 'data.stage'), ('db', 'INSERT INTO transfers')),
    (('wsgi', 'POST'), ('operation', 'imports.start'), ('db', 'INSERT INTO imports')),
    *(
        (('wsgi', 'POST'), ('operation', 'imports.start'), ('step', step), *below)
        for step, *below in (
            ('introspect', ('db', 'UPDATE')),
            ('convert:raw', ('qemu_img', 'convert'), ('qemu_img', 'info')),
            ('store:fast', ('store', 'put fast')),
            ('store:cheap', ('store', 'put cheap')),
            ('activate', ('db', 'UPDATE images')),
        )
    ),
)


class TraceTest(SharedCloudTest):
    """A client's trace, as it is found in Redis afterwards."""

    overrides: ClassVar = {
        'profiler.enabled': True,
        'profiler.hmac_keys': KEY,
        'profiler.connection_string': REDIS,
        'profiler.trace_sqlalchemy': True,
        'import_flow.target_formats': 'cheap:raw',
    }

    @classmethod
    def setUpClass(cls):
        try:
            redis.Redis.from_url(REDIS).ping()
        except redis.ConnectionError:
            tools.missing(cls('setUpClass'), 'Redis at 127.0.0.1:6379')
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.base_id = str(uuid.uuid4())
        self.addCleanup(redis.Redis.from_url(REDIS).delete, f'osprofiler_opt:{self.base_id}')

    def call(self, method, path, *, key=KEY, **request):
        profiler.clean()
        profiler.init(key, base_id=self.base_id)
        try:
            headers = {**web.get_trace_id_headers(), 'Content-Type': 'application/octet-stream'}
        finally:
            profiler.clean()
        response = requests.request(method, f'{self.cloud.url}{path}', headers=headers, timeout=60, **request)
        self.assertLess(response.status_code, 300, response.text)
        return response

    def show(self, kind):
        """What OSProfiler's own command prints of the trace."""
        program, where = commands.BIN / 'osprofiler', ('--connection-string', REDIS)
        return commands.run(self, program, 'trace', 'show', f'--{kind}', self.base_id, *where)

    def points(self):
        """Every trace point, as `osprofiler trace show` has it."""
        return list(_flat(json.loads(self.show('json'))))

    def steps(self):
        """How many steps the trace has."""
        return len([point for point in self.points() if point.name == 'step'])

    def import_traced(self, *, data=b'some data', disk_format='raw', stores=('fast',), **how):
        formats = {'disk_format': disk_format, 'container_format': 'bare'}
        image = self.call('POST', '/v2/images', json=formats, **how).json()
        path = f'/v2/images/{image["id"]}'
        self.call('PUT', f'{path}/stage', data=data, **how)
        body = {'method': {'name': 'glance-direct'}, 'stores': list(stores)}
        return self.call('POST', f'{path}/import', json=body, **how).headers['OpenStack-image-import-task-id']

    def wait_end(self, import_id):
        def ended():
            return (
                requests.get(f'{self.cloud.url}/v2/imports/{import_id}', timeout=60).json()['state']
                == 'succeeded'
            )

        wait_until(ended, 'the import succeeds')

    def test_the_request_and_every_step_are_in_one_trace(self):
        images.needs(self, 'qcow2')
        import_id = self.import_traced(
            data=images.content('qcow2'), disk_format='qcow2', stores=('fast', 'cheap')
        )
        self.wait_end(import_id)
        points = self.points()
        asked = [point for point in points if point.name == 'wsgi']
        self.assertEqual(['POST', 'PUT', 'POST'], [point.said for point in asked])
        steps = [point for point in points if point.name == 'step']
        self.assertEqual(STEPS, {point.said for point in steps})
        self.assertEqual({import_id}, {point.started['info']['import_id'] for point in steps})
        # Another process wrote them.
        workers = {int(point.started['info']['worker'].split(':')[1]) for point in steps}
        self.assertEqual({process.pid for process in self.cloud.workers()}, workers)
        for path in PATHS:
            self.assertThat(points, _Has(path))
        # And each of them has ended.
        self.assertEqual([], [point.name for point in points if not point.stopped])
        # The page for people has them all.
        page = self.show('html')
        self.assertEqual([], [point.trace_id for point in points if point.trace_id not in page])

    def test_statements_are_trace_points_without_their_parameters(self):
        image = self.call('POST', '/v2/images', json={'name': 'nobody else reads this'}).json()
        points = [point for point in self.points() if point.name == 'db']
        self.assertTrue(
            any('INSERT INTO images' in point.started['info']['db']['statement'] for point in points)
        )
        self.assertNotIn('nobody else reads this', str(points))
        self.assertNotIn(image['id'], str(points))

    def test_a_request_without_a_valid_key_is_not_traced(self):
        self.wait_end(self.import_traced(key=KEY))
        before = len(self.points())
        self.call('GET', '/v2/images', key='not-the-key')
        requests.get(f'{self.cloud.url}/v2/images', timeout=60)
        self.assertEqual(before, len(self.points()))

    def test_a_key_that_is_no_ascii_is_none(self):
        headers = {'X-Trace-Info': 'e30=', 'X-Trace-HMAC': 'é'.encode()}
        answer = requests.get(f'{self.cloud.url}/v2/images', headers=headers, timeout=60)
        self.assertEqual(200, answer.status_code, answer.text)

    def test_an_import_without_a_trace_has_none(self):
        """Its steps run in threads that have traced other imports before."""
        for _ in range(3):
            self.wait_end(self.import_traced())
        before = self.steps()
        self.wait_end(self.import_traced(key='not-the-key'))
        self.assertEqual(before, self.steps())


def _flat(report, path=()):
    """Each point below this one, before those below it."""
    for child in report.get('children', []):
        info = child['info']
        name = info['name'].removesuffix('-start')
        raw = {
            key.rsplit('-', 1)[1]: value for key, value in info.items() if key.startswith('meta.raw_payload')
        }
        started = raw.get('start', {})
        here = (*path, (name, _said(started.get('info', {}))))
        yield types.SimpleNamespace(
            name=name, said=here[-1][1], path=here, trace_id=child['trace_id'],
            started=started, stopped=raw.get('stop'),
        )  # fmt: skip
        yield from _flat(child, here)


def _said(info):
    """What a point says of itself, in short."""
    if 'request' in info:
        return info['request']['method']
    if 'db' in info:
        return info['db']['statement']
    if 'call' in info:
        return ' '.join(filter(None, (info['call'], info.get('store'))))
    return info.get('operation') or info.get('step')


class _Has(matchers.Matcher):
    """Points hang under each other like this."""

    def __init__(self, path):
        self._path = path

    def match(self, points):
        if any(self._is(point.path) for point in points):
            return None
        found = sorted({' > '.join(f'{name} {said}'[:60] for name, said in point.path) for point in points})
        return matchers.Mismatch(f'{self._path} is not among\n' + '\n'.join(found))

    def _is(self, path):
        pairs = zip(path, self._path, strict=True) if len(path) == len(self._path) else ()
        return bool(pairs) and all(
            name == wanted and said.startswith(text) for (name, said), (wanted, text) in pairs
        )


class QuietTest(testtools.TestCase):
    """OSProfiler's notifier is the process's: here it tells nobody, and afterwards it is as before."""

    def setUp(self):
        super().setUp()
        self.addCleanup(notifier.set, notifier.get())
        notifier.set(lambda info: None)


class LeakTest(QuietTest):
    """Steps of many imports share threads, and the profiler is the thread's."""

    def test_the_next_step_in_a_thread_has_its_own_trace(self):
        seen = []

        class Look(Step):
            def work(self, run):
                found = profiler.get()
                seen.append(None if found is None else found.get_base_id())

        step = Look('look')
        ids = [str(uuid.uuid4()), str(uuid.uuid4()), None]
        for base_id in ids:
            step.execute(run=_Run(base_id))
        self.assertEqual(ids, seen)
        self.assertIsNone(profiler.get())


class _Run:
    """As much of a run as a step that does nothing needs."""

    tracing = tracing.Tracing(KEY, statements=False)

    def __init__(self, base_id):
        trace = {'base_id': base_id, 'parent_id': base_id} if base_id else None
        self.record = types.SimpleNamespace(trace=trace)
        self.claim = types.SimpleNamespace(import_id='import', owner='here')
        self.lost = threading.Event()

    def logged(self):
        return fixtures.MonkeyPatch('builtins.print', print)

    def let_go(self):
        return contextlib.nullcontext()

    def working(self, _step):
        return contextlib.nullcontext()

    def check(self):
        return None


class DriverTest(QuietTest):
    def test_a_driver_that_is_away_fails_nothing(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))

        def away(_info):
            raise redis.ConnectionError('redis://:secret@host')

        notify = tracing.Forgiving(away)
        notify({})
        notify({})
        self.assertEqual(1, log.output.count('Trace points are lost'))
        self.assertNotIn('secret', log.output)

    def test_the_connection_string_is_not_logged(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.useFixture(
            ServicesFixture(
                self,
                overrides={
                    'profiler.enabled': True,
                    'profiler.hmac_keys': KEY,
                    'profiler.connection_string': 'redis://:planted-password@127.0.0.1:6379/7',
                },
            )
        )
        self.assertNotIn('planted-password', log.output)


class CallsTest(testtools.TestCase):
    """Calls of a store, each as a point of the trace."""

    def setUp(self):
        super().setUp()
        self.seen = []
        self.addCleanup(notifier.set, notifier.get())
        notifier.set(self.seen.append)
        self.tracer, self.store = tracing.Tracing(KEY, statements=False), InMemoryStore('fast')
        self.tracer.calls(self.store, 'store', tracing.STORE_CALLS, store='fast')
        profiler.init(KEY, base_id=str(uuid.uuid4()))
        self.addCleanup(profiler.clean)

    def test_a_put_in_a_thread_of_its_own_is_in_the_trace_of_whoever_asked(self):
        profiler.start('step')
        stores = Stores({'fast': self.store}, default='fast', multi=True)
        intake = Intake(stores=stores, staging=None, algorithms=(), rules=None, carried=self.tracer.carried)
        intake.to_store(
            'name', io.BytesIO(b'data'), store_id='fast', size=4, limit=None, inspect=False,
            progress=lambda _seen: None,
        )  # fmt: skip
        asked = profiler.get().get_id()
        profiler.stop()
        self.assertEqual(
            ['step-start', 'store-start', 'store-stop', 'step-stop'],
            [point['name'] for point in self.seen],
        )
        self.assertEqual([asked, asked], [point['parent_id'] for point in self.seen[1:3]])
        self.assertEqual({'store': 'fast', 'call': 'put'}, _without_host(self.seen[1]['info']))

    def test_of_an_error_only_its_kind_is_told(self):
        self.assertRaises(errors.StoreObjectMissing, self.store.open, f'memory://{self.store.id}/none')
        self.assertEqual({'etype': 'StoreObjectMissing'}, _without_host(self.seen[1]['info']))


def _without_host(info):
    return {name: value for name, value in info.items() if name != 'host'}


class OffTest(testtools.TestCase):
    """Tracing that is off is not there at all."""

    def test_an_import_calls_nothing_of_osprofiler(self):
        called = []
        for module, name in _functions():
            self.useFixture(
                fixtures.MonkeyPatch(
                    f'{module}.{name}', lambda *_args, _name=name, **_kw: called.append(_name)
                )
            )
        pipeline = self.useFixture(PipelineFixture(self))
        services = pipeline.services
        self.assertIsNone(services.tracing)
        for engine in services.db.engines:
            self.assertEqual([], list(engine.dispatch.after_cursor_execute))
        pipeline.succeed(self._imported(pipeline))
        self.assertEqual([], called)

    def _imported(self, pipeline):
        image_id = pipeline.image()
        pipeline.stage(image_id, b'data')
        return pipeline.start(image_id)


def _functions():
    """Every function and method of OSProfiler that makes or ends a trace point."""
    for name in ('init', 'get', 'start', 'stop', 'clean'):
        yield 'osprofiler.profiler', name
    yield 'osprofiler.notifier', 'notify'
