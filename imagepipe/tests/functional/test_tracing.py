"""OSProfiler: one trace holds a request and every step of the import it began, in another process."""

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
from osprofiler.drivers import base

from imagepipe import tracing
from imagepipe.flows.steps.base import Step
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.cloud import SharedCloudTest
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until

KEY = 'a-key-of-the-operator'
REDIS = 'redis://127.0.0.1:6379/7'
STEPS = {'stage', 'introspect', 'verify:raw', 'store:fast', 'activate', 'notify', 'discard'}


class TraceTest(SharedCloudTest):
    """A client's trace, as it is found in Redis afterwards."""

    overrides: ClassVar = {
        'profiler.enabled': True,
        'profiler.hmac_keys': KEY,
        'profiler.connection_string': REDIS,
        'profiler.trace_sqlalchemy': True,
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

    def points(self):
        """(name, info, trace id, parent id, service) of every trace point in Redis."""
        report = base.get_driver(REDIS, conf=self.cloud.parts.conf).get_report(self.base_id)
        return list(_flat(report))

    def steps(self):
        """How many steps the trace has."""
        return len([point for point in self.points() if point.name == 'step'])

    def import_traced(self, **how):
        image = self.call(
            'POST', '/v2/images', json={'disk_format': 'raw', 'container_format': 'bare'}
        ).json()
        path = f'/v2/images/{image["id"]}'
        self.call('PUT', f'{path}/stage', data=b'some data')
        body = {'method': {'name': 'glance-direct'}, 'stores': ['fast']}
        return self.call('POST', f'{path}/import', json=body, **how).headers['OpenStack-image-import-task-id']

    def wait_end(self, import_id):
        def ended():
            return (
                requests.get(f'{self.cloud.url}/v2/imports/{import_id}', timeout=60).json()['state']
                == 'succeeded'
            )

        wait_until(ended, 'the import succeeds')

    def test_the_request_and_every_step_are_in_one_trace(self):
        import_id = self.import_traced()
        self.wait_end(import_id)
        points = self.points()
        of_wsgi = [point for point in points if point.name == 'wsgi']
        self.assertEqual(
            ['POST', 'PUT', 'POST'], [point.started['info']['request']['method'] for point in of_wsgi]
        )
        steps = [point for point in points if point.name == 'step']
        self.assertEqual(STEPS, {point.started['info']['step'] for point in steps})
        self.assertEqual({import_id}, {point.started['info']['import_id'] for point in steps})
        # They hang under the request that began the import, and another process wrote them.
        self.assertEqual({of_wsgi[-1].trace_id}, {point.parent_id for point in steps})
        workers = {int(point.started['info']['worker'].split(':')[1]) for point in steps}
        self.assertEqual({process.pid for process in self.cloud.workers()}, workers)
        # And each of them has ended.
        self.assertEqual([], [point.name for point in points if not point.stopped])

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

    def test_an_import_without_a_trace_has_none(self):
        """Its steps run in threads that have traced other imports before."""
        for _ in range(3):
            self.wait_end(self.import_traced())
        before = self.steps()
        self.wait_end(self.import_traced(key='not-the-key'))
        self.assertEqual(before, self.steps())


def _flat(report):
    for child in report.get('children', []):
        info = child['info']
        name = info['name'].removesuffix('-start')
        raw = {
            key.rsplit('-', 1)[1]: value for key, value in info.items() if key.startswith('meta.raw_payload')
        }
        yield types.SimpleNamespace(
            name=name, trace_id=child['trace_id'], parent_id=child['parent_id'],
            started=raw.get('start', {}), stopped=raw.get('stop'),
        )  # fmt: skip
        yield from _flat(child)


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

    trace_key = KEY

    def __init__(self, base_id):
        trace = {'base_id': base_id, 'parent_id': base_id} if base_id else None
        self.record = types.SimpleNamespace(trace=trace)
        self.claim = types.SimpleNamespace(import_id='import', owner='here')
        self.lost = threading.Event()

    def logged(self):
        return fixtures.MonkeyPatch('builtins.print', print)

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

    def test_off_there_is_no_key_and_no_listener(self):
        services = self.useFixture(ServicesFixture(self)).services
        self.assertIsNone(services.trace_key)
        self.assertEqual([], list(services.db.engine.dispatch.after_cursor_execute))
