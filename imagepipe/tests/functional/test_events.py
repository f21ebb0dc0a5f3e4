"""Notifications of an image's life: Glance's event types and payloads, each once."""

import collections
import datetime
import json
import pathlib
import shutil
import uuid

import kombu
import sqlalchemy as sa
import testtools

from imagepipe.db import schema
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.wires import Wires
from imagepipe.tests.fixtures.workers import wait_until

BROKER = '127.0.0.1:5672'
IMAGE = {
    'id', 'name', 'status', 'created_at', 'updated_at', 'min_disk', 'min_ram', 'protected', 'checksum',
    'owner', 'disk_format', 'container_format', 'size', 'virtual_size', 'is_public', 'visibility',
    'properties', 'tags', 'deleted', 'deleted_at',
}  # fmt: skip
IMPORTING = {'os_glance_importing_to_stores', 'os_glance_failed_import'}
TASK = {
    'id', 'type', 'status', 'owner', 'expires_at', 'created_at', 'updated_at', 'deleted', 'deleted_at',
    'result', 'message',
}  # fmt: skip
DATA = b'a small raw image'
TERMINAL = ('task.success', 'task.failure')
IMPORT_EVENTS = [
    'image.update', 'task.create', 'task.processing', 'image.prepare', 'image.prepare',
    'image.upload', 'image.activate', 'image.update', 'task.success', 'task.run',
]  # fmt: skip


class OutboxTest(testtools.TestCase):
    """What a life of an image puts into the outbox, in the transactions that change the image."""

    def setUp(self):
        super().setUp()
        self.pipeline = self.useFixture(PipelineFixture(self))

    def events(self, pipeline=None):
        """(type, priority, payload) of every event so far, in order."""
        with (pipeline or self.pipeline).services.db.engine.connect() as connection:
            rows = connection.execute(sa.select(schema.outbox).order_by(schema.outbox.c.id)).all()
        return [(row.event_type, row.priority, json.loads(row.payload)) for row in rows]

    def since(self, before):
        return self.events()[before:]

    def types(self, events):
        return [event_type for event_type, _, _ in events]

    def payload(self, events, event_type):
        return [payload for found, _, payload in events if found == event_type][-1]

    def age(self, image_id):
        """Nothing has happened to the image for an hour; since when, as events have it."""
        columns = schema.images.c
        moment = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(hours=1)
        aged = sa.update(schema.images).where(columns.id == image_id).values(updated_at=moment)
        self.pipeline.services.db.run(lambda tx: tx.connection.execute(aged))
        return self.pipeline.show(image_id)['updated_at']

    def test_create(self):
        image_id = self.pipeline.image('qcow2', name='server', tags=['b', 'a'], hw_disk_bus='scsi')
        ((event_type, priority, payload),) = self.events()
        self.assertEqual(('image.create', 'INFO'), (event_type, priority))
        self.assertEqual(IMAGE, set(payload))
        told = {name: payload[name] for name in ('id', 'name', 'status', 'owner', 'disk_format', 'is_public')}
        self.assertEqual(
            {'id': image_id, 'name': 'server', 'status': 'queued', 'owner': 'ours', 'disk_format': 'qcow2',
             'is_public': False}, told,
        )  # fmt: skip
        self.assertEqual(
            (['a', 'b'], False, None), (payload['tags'], payload['deleted'], payload['deleted_at'])
        )
        self.assertEqual('scsi', payload['properties']['hw_disk_bus'])

    def test_upload(self):
        image_id = self.pipeline.image()
        before = len(self.events())
        self.assertEqual(204, self.pipeline.put(image_id, DATA).status_int)
        events = self.since(before)
        self.assertEqual(
            ['image.update', 'image.prepare', 'image.upload', 'image.activate', 'image.update'],
            self.types(events),
        )
        self.assertEqual(IMAGE | IMPORTING, set(self.payload(events, 'image.upload')) - {'backend'})
        self.assertEqual(IMAGE | IMPORTING, set(self.payload(events, 'image.prepare')) - {'backend'})
        active = self.payload(events, 'image.activate')
        self.assertEqual(('active', len(DATA)), (active['status'], active['size']))
        self.assertEqual('saving', events[0][2]['status'])

    def test_a_failed_upload_is_an_error(self):
        image_id = self.pipeline.image()
        before = len(self.events())
        self.assertEqual(415, self.pipeline.put(image_id, b'QFI\xfb\0\0\0\3' + bytes(4096)).status_int)
        (failure,) = [event for event in self.since(before) if event[1] == 'ERROR']
        self.assertEqual('image.upload', failure[0])
        self.assertIn("declared as 'raw'", failure[2])

    def run_import(self, image_id, **how):
        before = len(self.events())
        self.pipeline.wait(self.pipeline.start(image_id, **how))
        return self.since(before)

    def test_an_import_that_succeeds(self):
        image_id = self.pipeline.image()
        self.pipeline.stage(image_id, DATA)
        long_ago = self.age(image_id)
        events = self.run_import(image_id, stores=['fast', 'cheap'])
        self.assertEqual(IMPORT_EVENTS, self.types(events))
        task = self.payload(events, 'task.success')
        self.assertEqual(TASK, set(task))
        self.assertEqual(
            ('api_image_import', 'success', 'ours'), (task['type'], task['status'], task['owner'])
        )
        activated = self.payload(events, 'image.activate')
        self.assertEqual('active', activated['status'])
        # Consumers order by it.
        self.assertEqual(self.pipeline.show(image_id)['updated_at'], activated['updated_at'])
        accepted = next(payload for found, _, payload in events if found == 'image.update')
        self.assertLess(long_ago, accepted['updated_at'])
        self.assertEqual([], self.payload(events, 'image.upload')['os_glance_failed_import'])
        told = {payload['backend'] for found, _, payload in events if found == 'image.prepare'}
        self.assertEqual({'fast', 'cheap'}, told)
        self.assertEqual(
            ['pending', 'processing', 'success', 'success'],
            [payload['status'] for event_type, _, payload in events if event_type.startswith('task.')],
        )

    def test_an_import_that_fails_has_one_end(self):
        image_id = self.pipeline.image()
        uri = self.pipeline.serve(image_id, DATA, Fault(status=404))
        events = self.run_import(image_id, uri=uri)
        self.assertEqual(['task.failure'], [found for found in self.types(events) if found in TERMINAL])
        failure = next(event for event in events if event[0] == 'task.failure')
        self.assertEqual(('ERROR', 'failure'), (failure[1], failure[2]['status']))
        self.assertEqual(TASK, set(failure[2]))
        queued = self.payload(events, 'image.update')
        self.assertEqual('queued', queued['status'])
        self.assertEqual(self.pipeline.show(image_id)['updated_at'], queued['updated_at'])
        self.assertNotIn('image.activate', self.types(events))

    def test_a_cancelled_import_has_one_end(self):
        image_id = self.pipeline.image()
        uri = self.pipeline.serve(image_id, DATA, Fault(stall_after=4))
        before = len(self.events())
        import_id = self.pipeline.start(image_id, uri=uri)
        self.pipeline.wait_step(import_id, 'stage')
        self.assertEqual(202, self.pipeline.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
        self.pipeline.wait(import_id)
        ends = [found for found in self.types(self.since(before)) if found in TERMINAL]
        self.assertEqual(['task.failure'], ends)

    def test_delete(self):
        image_id = self.pipeline.image()
        self.pipeline.put(image_id, DATA)
        before = len(self.events())
        self.pipeline.delete(image_id)
        events = self.since(before)
        self.assertEqual(['image.delete'], [found for found in self.types(events) if found == 'image.delete'])
        payload = self.payload(events, 'image.delete')
        self.assertEqual(IMAGE, set(payload))
        self.assertEqual((image_id, 'deleted', True), (payload['id'], payload['status'], payload['deleted']))
        self.assertIsNotNone(payload['deleted_at'])

    def test_events_of_steps_are_for_those_who_ask(self):
        pipeline = self.useFixture(PipelineFixture(self, overrides={'import_flow.step_events': True}))
        image_id = pipeline.image()
        pipeline.stage(image_id, DATA)
        import_id = pipeline.start(image_id)
        pipeline.succeed(import_id)
        steps = [payload for event_type, _, payload in self.events(pipeline) if event_type == 'import.step']
        shown = {step['name'] for step in pipeline.import_(import_id)['steps']}
        for state in ('running', 'done'):
            told = [step['step'] for step in steps if step['state'] == state]
            self.assertEqual((shown, len(shown)), (set(told) & shown, len(set(told) & shown)))
        self.assertEqual({import_id}, {step['import_id'] for step in steps})

    def test_a_step_that_may_fail_is_told_as_it_is_shown(self):
        pipeline = self.useFixture(PipelineFixture(self, overrides={'import_flow.step_events': True}))
        directory = pathlib.Path(pipeline.cloud.path('stores', 'cheap'))
        shutil.rmtree(directory)
        directory.touch()
        image_id = pipeline.image()
        pipeline.stage(image_id, DATA)
        import_id = pipeline.start(image_id, stores=['cheap', 'fast'], all_stores_must_succeed=False)
        pipeline.succeed(import_id)
        told = [payload for event_type, _, payload in self.events(pipeline) if event_type == 'import.step']
        last = {step['step']: step['state'] for step in told}
        shown = {step['name']: step['state'] for step in pipeline.import_(import_id)['steps']}
        self.assertEqual('failed', shown['store:cheap'])
        self.assertEqual(shown, {name: last[name] for name in shown})


class RabbitTest(testtools.TestCase):
    """What a consumer of a running imagepipe gets from RabbitMQ."""

    def setUp(self):
        super().setUp()
        self.topic = f'imagepipe_test_{uuid.uuid4().hex}'
        self.broker = self.useConnection()
        exchange = kombu.Exchange('glance', type='topic', durable=False)
        self.queues = []
        for priority in ('info', 'error'):
            name = f'{self.topic}.{priority}'
            queue = kombu.Queue(name, exchange, routing_key=name, durable=False)(self.broker.channel())
            queue.declare()
            self.addCleanup(queue.delete)
            self.queues.append(queue)
        self.got = []

    def useConnection(self):
        broker = kombu.Connection(f'amqp://guest:guest@{BROKER}//')
        self.addCleanup(broker.release)
        try:
            broker.ensure_connection(max_retries=1, timeout=5)
        except OSError:
            tools.missing(self, f'RabbitMQ at {BROKER}')
        return broker

    def cloud(self, **overrides):
        return self.useFixture(
            CloudFixture(
                self,
                overrides={
                    'oslo_messaging_notifications.driver': 'messagingv2',
                    'oslo_messaging_notifications.transport_url': f'rabbit://guest:guest@{BROKER}/',
                    'oslo_messaging_notifications.topics': self.topic,
                    'disabled_notifications': 'image.update,image.send',
                    **overrides,
                },
            )
        )

    def cut_off(self):
        """A cloud that reaches the broker over a wire which can be cut, and the wires."""
        host, port = BROKER.split(':')
        wires = self.useFixture(Wires())
        wired = wires.lay('broker', (host, int(port)))
        cloud = self.cloud(**{
            'oslo_messaging_notifications.transport_url': f'rabbit://guest:guest@127.0.0.1:{wired}/',
            'notifications.timeout': 1.0,
            'notifications.retry_wait': 0.1,
        })  # fmt: skip
        return cloud, wires

    def ends(self, cloud):
        """The terminal events in the database, by import."""
        found = collections.defaultdict(list)
        with cloud.parts.services.db.engine.connect() as connection:
            rows = connection.execute(
                sa.select(schema.outbox).where(schema.outbox.c.event_type.in_(TERMINAL))
            )
            for row in rows:
                found[json.loads(row.payload)['id']].append((row.event_type, row.sent_at is not None))
        return dict(found)

    def told_ends(self):
        """The imports of whose end the consumer was told, with how often."""
        self.take()
        ends = [message for message in self.got if message['event_type'] in TERMINAL]
        return collections.Counter((message['payload']['id'], message['event_type']) for message in ends)

    def run_imports(self, cloud):
        """Two imports that succeed and one that fails; their ids, each with its terminal event."""
        wanted = {}
        for good in (True, False, True):
            image_id = cloud.image()
            if good:
                cloud.stage(image_id, DATA)
                import_id = cloud.start(image_id)
            else:
                cloud.source.serve(f'/{image_id}', DATA, fault=Fault(status=404))
                import_id = cloud.start(image_id, uri=cloud.source.url(f'/{image_id}'))
            wanted[import_id] = 'task.success' if good else 'task.failure'
            cloud.wait(import_id)
        return wanted

    def check_each_end_is_told(self, cloud, wanted):
        wait_until(lambda: set(self.told_ends()) >= set(wanted.items()), 'every end is told')
        self.assertEqual({(import_id, told) for import_id, told in wanted.items()}, set(self.told_ends()))
        wait_until(
            lambda: self.ends(cloud) == {import_id: [(told, True)] for import_id, told in wanted.items()},
            'of each import there is one end, and it counts as sent',
        )

    def test_a_broker_that_is_away_for_a_while(self):
        cloud, wires = self.cut_off()
        wanted = self.run_imports(cloud)
        self.check_each_end_is_told(cloud, wanted)
        wires.cut('broker')
        wanted |= self.run_imports(cloud)  # each ends although nobody can be told
        self.assertEqual(3, len(self.told_ends()))
        waiting = [end for (end,) in self.ends(cloud).values() if not end[1]]
        self.assertEqual(3, len(waiting))
        wires.mend('broker')
        self.check_each_end_is_told(cloud, wanted)

    def test_a_broker_that_does_not_answer(self):
        cloud, wires = self.cut_off()
        wanted = self.run_imports(cloud)
        self.check_each_end_is_told(cloud, wanted)
        wires.hold('broker')
        wanted |= self.run_imports(cloud)
        wait_until(
            lambda: 'was not taken (TimeoutError)' in cloud.logs()['conductor.log'], 'the sender gives it up'
        )
        wires.mend('broker')
        self.check_each_end_is_told(cloud, wanted)

    def test_a_conductor_that_ends_while_the_broker_does_not_answer_loses_nothing(self):
        cloud, wires = self.cut_off()
        wanted = self.run_imports(cloud)
        self.check_each_end_is_told(cloud, wanted)
        wires.hold('broker')
        wanted |= self.run_imports(cloud)
        cloud.stop_conductor()
        self.assertEqual(0, cloud.conductor.returncode)
        wires.mend('broker')
        cloud.conduct()
        self.check_each_end_is_told(cloud, wanted)

    def take(self):
        """Everything that has come so far, with the types first."""
        for queue in self.queues:
            while (message := queue.get(no_ack=True)) is not None:
                envelope = json.loads(message.body)
                self.got.append(json.loads(envelope['oslo.message']))
        return [message['event_type'] for message in self.got]

    def test_a_consumer_gets_the_life_of_an_image(self):
        cloud = self.cloud()
        image_id = cloud.image()
        cloud.stage(image_id, DATA)
        cloud.wait(cloud.start(image_id))
        wait_until(lambda: 'task.run' in self.take(), 'the end of the import is told')
        self.assertEqual(204, cloud.call('DELETE', f'/v2/images/{image_id}').status_code)
        wait_until(lambda: 'image.delete' in self.take(), 'the delete is told')
        self.assertEqual(
            ['image.create', 'task.create', 'task.processing', 'image.prepare', 'image.upload',
             'image.activate', 'task.success', 'task.run', 'image.delete'], self.take(),
        )  # fmt: skip
        self.assertEqual({'image.localhost'}, {message['publisher_id'] for message in self.got})
        self.assertEqual({'INFO'}, {message['priority'] for message in self.got})
        deleted = self.got[-1]['payload']
        self.assertEqual((IMAGE, image_id), (set(deleted), deleted['id']))
