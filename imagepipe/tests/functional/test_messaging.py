"""Notifications over a real RabbitMQ, and over one that is not there."""

import socket
import time
import uuid

import kombu
import testtools

from imagepipe.db.outbox import Letter
from imagepipe.notifications import MessagingNotifier
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.services import ServicesFixture

BROKER = 'amqp://guest:guest@127.0.0.1:5672//'


def _free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class MessagingTest(testtools.TestCase):
    def _conf(self, url, topic):
        return self.useFixture(
            ServicesFixture(
                self,
                overrides={
                    'oslo_messaging_notifications.driver': 'messagingv2',
                    'oslo_messaging_notifications.transport_url': url,
                    'oslo_messaging_notifications.topics': topic,
                },
            )
        ).conf

    def _letter(self):
        return Letter(id=1, event_type='image.create', priority='INFO', payload={'id': 'x'}, attempts=0)

    def test_a_consumer_gets_the_event(self):
        topic = f'imagepipe_test_{uuid.uuid4().hex}'
        with kombu.Connection(BROKER) as connection:
            try:
                connection.ensure_connection(max_retries=1, timeout=5)
            except OSError:
                tools.missing(self, 'RabbitMQ at 127.0.0.1:5672')
            tools.took_part('broker', 'RabbitMQ')
            exchange = kombu.Exchange('glance', type='topic', durable=False)
            queue = kombu.Queue(f'{topic}.info', exchange, routing_key=f'{topic}.info', durable=False)
            bound = queue(connection.channel())
            bound.declare()
            self.addCleanup(self._delete, queue)
            MessagingNotifier(self._conf('rabbit://guest:guest@127.0.0.1:5672/', topic))(self._letter())
            with connection.SimpleQueue(queue) as inbox:
                message = inbox.get(timeout=10)
                message.ack()
        self.assertIn('image.create', str(message.payload))
        self.assertIn('image.localhost', str(message.payload))

    def _delete(self, queue):
        with kombu.Connection(BROKER) as connection:
            queue(connection.channel()).delete()

    def test_a_broker_that_is_not_there_is_an_error_soon(self):
        url = f'rabbit://guest:guest@127.0.0.1:{_free_port()}/'
        notifier = MessagingNotifier(self._conf(url, 'nobody'))
        before = time.monotonic()
        self.assertRaises(Exception, notifier, self._letter())  # noqa: B017  any of kombu's and oslo's
        self.assertLess(time.monotonic() - before, 60)
