"""A queue on the broker, bound to the notifications of one topic before they are sent."""

import collections
import json
import queue
import uuid

import fixtures
import kombu
import testtools
from kombu import simple

from imagepipe.tests.chaos.cluster import BROKER
from imagepipe.tests.fixtures import tools

_URL = f'amqp://guest:guest@{BROKER[0]}:{BROKER[1]}//'
_PRIORITIES = ('info', 'error')


class Mailbox(fixtures.Fixture):
    """`topic` is of this mailbox alone; `delivered` counts (event type, its subject's id)."""

    def __init__(self, test: testtools.TestCase) -> None:
        super().__init__()
        self._test = test
        self.topic = f'imagepipe_chaos_{uuid.uuid4().hex}'
        self.delivered: collections.Counter[tuple[str, str]] = collections.Counter()

    def _setUp(self) -> None:
        self._connection = kombu.Connection(_URL)
        self.addCleanup(self._connection.release)
        try:
            self._connection.ensure_connection(max_retries=1, timeout=5)
        except OSError:
            tools.missing(self._test, f'RabbitMQ at {BROKER[0]}:{BROKER[1]}')
        exchange = kombu.Exchange('glance', type='topic', durable=False)
        self._queues = [self._declare(exchange, f'{self.topic}.{each}') for each in _PRIORITIES]

    def _declare(self, exchange: kombu.Exchange, name: str) -> kombu.Queue:
        # oslo.messaging declares the queue too, and must find what it would make.
        declared = kombu.Queue(name, exchange, routing_key=name, durable=False)
        bound = declared(self._connection.channel())
        bound.declare()
        self.addCleanup(bound.delete)
        return declared

    def empty(self) -> None:
        """Count what lies in it."""
        for each in self._queues:
            with self._connection.SimpleQueue(each) as inbox:
                while (message := _next(inbox)) is not None:
                    self._count(message)
                    message.ack()

    def _count(self, message: kombu.Message) -> None:
        body = json.loads(message.body)
        letter = json.loads(body['oslo.message']) if 'oslo.message' in body else body
        payload = letter['payload']
        subject = payload.get('id') or payload.get('task_id') or '' if isinstance(payload, dict) else ''
        self.delivered[letter['event_type'], subject] += 1


def _next(inbox: simple.SimpleQueue) -> kombu.Message | None:
    try:
        return inbox.get(block=False)
    except queue.Empty:
        return None
