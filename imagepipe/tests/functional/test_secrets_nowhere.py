"""Secrets that pass through imagepipe, and every place where one could be left.

Each is looked for in every column of every table, the logs of all processes at debug level, the
notifications, the trace points, the answers to clients and the command lines of processes. So
that a search that finds nothing means something, each search is seen to find what is planted.
"""

import base64
import pathlib
import subprocess
import sys
import urllib.parse
import uuid

import kombu
import redis
import sqlalchemy as sa
import testtools
from osprofiler import profiler, web

from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures import tools
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.jobboards import ZooKeeperServer
from imagepipe.tests.fixtures.servers import free_port
from imagepipe.tests.fixtures.workers import wait_until

TRACE_KEY = 'planted-key-of-the-profiler'
TRACES = 'redis://127.0.0.1:6379/8'
BROKER = '127.0.0.1:5672'
DATA = b'an image that needs a signature'

#: What must be found nowhere, by what it is.
SECRETS = {
    'token': 'gAAAAAplanted-token-of-a-user',
    'service token': 'gAAAAAplanted-token-of-a-service',
    'service password': 'planted-password-of-the-service',
    'userinfo': 'planted-password-in-a-url',
    'signature': 'planted0signature0of0a0presigned0url',
    'credential': 'plantedAKIDcredential',
    's3 access key': 'planted-access-key',
    's3 secret key': 'planted-secret-key-of-s3',
    'swift key': 'planted-key-of-swift',
    'key of the profiler': TRACE_KEY,
    'password of the broker': 'guest:guest',
    'password of the jobboard': 'planted-password-of-zookeeper',
}
QUERY = f'X-Amz-Credential={SECRETS["credential"]}&X-Amz-Signature={SECRETS["signature"]}'


def find(text):
    """What of the secrets stands in a text, plain, percent-encoded or in Base64."""
    return {name for name, secret in SECRETS.items() if any(form in text for form in _forms(secret))}


def _forms(secret):
    # Without its end: that depends on what follows.
    encoded = base64.b64encode(secret.encode()).decode()[: len(secret)]
    return secret, urllib.parse.quote(secret, safe=''), encoded


def tables(engine):
    """Every value of every table as text, TaskFlow's tables too, by table."""
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        return {
            name: '\n'.join(repr(tuple(row)) for row in connection.execute(sa.select(table)))
            for name, table in metadata.tables.items()
        }


def command_lines(processes):
    """The command lines and, as far as we may see, titles of processes."""
    return '\n'.join(
        (pathlib.Path('/proc') / str(process.pid) / 'cmdline').read_text().replace('\0', ' ')
        for process in processes
    )


class Answers:
    """What clients were told: headers and bodies of every response."""

    def __init__(self):
        self.seen = []

    def __call__(self, response):
        self.seen.append(f'{response.status_code} {dict(response.headers)} {response.text}')
        return response


class SecretsTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.traces = redis.Redis.from_url(TRACES)
        try:
            self.traces.ping()
        except redis.ConnectionError:
            tools.missing(self, 'Redis at 127.0.0.1:6379')
        self.base_id = str(uuid.uuid4())
        self.addCleanup(self.traces.delete, f'osprofiler_opt:{self.base_id}')
        self.inbox = self.useFixture_of_broker()
        self.zookeeper = self.useFixture(ZooKeeperServer(self))
        self.answers = Answers()
        self.cloud = self.useFixture(CloudFixture(self, stores=('fast', 'cheap'), overrides=self.settings()))

    def useFixture_of_broker(self):
        """Queues that get every notification."""
        self.topic = f'imagepipe_test_{uuid.uuid4().hex}'
        broker = kombu.Connection(f'amqp://guest:guest@{BROKER}//')
        self.addCleanup(broker.release)
        try:
            broker.ensure_connection(max_retries=1, timeout=5)
        except OSError:
            tools.missing(self, f'RabbitMQ at {BROKER}')
        exchange = kombu.Exchange('glance', type='topic', durable=False)
        queues = []
        for priority in ('info', 'error'):
            name = f'{self.topic}.{priority}'
            queue = kombu.Queue(name, exchange, routing_key=name, durable=False)(broker.channel())
            queue.declare()
            self.addCleanup(queue.delete)
            queues.append(queue)
        return queues

    def settings(self):
        nowhere = f'http://127.0.0.1:{free_port()}'
        return {
            'debug': True,
            'keystone_authtoken.auth_type': 'password',
            'keystone_authtoken.auth_url': nowhere,
            'keystone_authtoken.username': 'imagepipe',
            'keystone_authtoken.password': SECRETS['service password'],
            'enabled_backends': 'fast:file,cheap:file,far:s3,away:swift',
            'far.s3_store_host': nowhere,
            'far.s3_store_access_key': SECRETS['s3 access key'],
            'far.s3_store_secret_key': SECRETS['s3 secret key'],
            'far.s3_store_bucket': 'images',
            'far.s3_store_create_bucket_on_put': False,
            'far.s3_store_bucket_url_format': 'path',
            'away.swift_store_auth_address': f'{nowhere}/v3',
            'away.swift_store_auth_version': 3,
            'away.swift_store_user': 'service:imagepipe',
            'away.swift_store_key': SECRETS['swift key'],
            'away.swift_store_container': 'images',
            'import_flow.store_attempts': 1,
            'import_flow.step_events': True,
            'profiler.enabled': True,
            'profiler.trace_sqlalchemy': True,
            'profiler.hmac_keys': TRACE_KEY,
            'profiler.connection_string': TRACES,
            'oslo_messaging_notifications.driver': 'messagingv2',
            'oslo_messaging_notifications.transport_url': f'rabbit://guest:guest@{BROKER}/',
            'oslo_messaging_notifications.topics': self.topic,
            'jobboard.connection': self.zookeeper.lock('me', SECRETS['password of the jobboard']),
        }

    def call(self, method, path, **request):
        """A request of a client that sends tokens and a trace."""
        profiler.clean()
        profiler.init(TRACE_KEY, base_id=self.base_id)
        try:
            headers = {'X-Service-Token': SECRETS['service token'], **web.get_trace_id_headers()}
        finally:
            profiler.clean()
        return self.answers(self.cloud.call(method, path, token=SECRETS['token'], headers=headers, **request))

    def image(self):
        body = {'disk_format': 'raw', 'container_format': 'bare'}
        return self.call('POST', '/v2/images', json=body).json()['id']

    def ask(self, image_id, uri, **body):
        asked = {'method': {'name': 'web-download', 'uri': uri}, **body}
        return self.call('POST', f'/v2/images/{image_id}/import', json=asked)

    def fetch(self, uri, **body):
        """The end of an import from this URL, at which every call about it was made."""
        image_id = self.image()
        response = self.ask(image_id, uri, **body)
        self.assertEqual(202, response.status_code, response.text)
        import_id = response.headers['OpenStack-image-import-task-id']
        record = self.cloud.wait(import_id)
        for path in (
            f'/v2/images/{image_id}', f'/v2/images/{image_id}/imports', f'/v2/images/{image_id}/tasks',
            f'/v2/imports/{import_id}', f'/v2/tasks/{import_id}', '/v2/imports', '/v2/images',
        ):  # fmt: skip
            self.assertEqual(200, self.call('GET', path).status_code)
        return record

    def signed(self, path, *, fault=None):
        """A presigned URL of data on the source."""
        self.cloud.source.serve(path, DATA, fault=fault or Fault())
        return self.cloud.source.url(f'{path}?{QUERY}')

    def live(self):
        """Every kind of import: that succeeds, that fails in each way, that is refused."""
        source = self.cloud.source
        self.assertIs(ImportState.SUCCEEDED, self.fetch(self.signed('/good')).state)
        elsewhere = self.signed('/moved', fault=Fault(redirect=f'/good?{QUERY}'))
        self.fetch(elsewhere)
        for path, fault in (
            ('/missing', Fault(status=404)), ('/broken', Fault(status=500)), ('/short', Fault(short_by=5)),
            ('/noise', Fault(raw=b'this is not HTTP\r\n\r\n')),
            ('/away', Fault(redirect=f'http://user:{SECRETS["userinfo"]}@127.0.0.1:{source.port}/x')),
        ):  # fmt: skip
            self.assertIs(ImportState.FAILED, self.fetch(self.signed(path, fault=fault)).state)
        self.assertIs(
            ImportState.FAILED, self.fetch(self.signed('/digest'), expected={'md5': '0' * 32}).state
        )
        for store in ('far', 'away'):
            self.assertIs(ImportState.FAILED, self.fetch(self.signed('/store'), stores=[store]).state)
        for uri in (
            f'http://user:{SECRETS["userinfo"]}@127.0.0.1:{source.port}/x', f'ftp://127.0.0.1/x?{QUERY}',
            f'http://10.0.0.1/x?{QUERY}', f'http://127.0.0.1:99999/x?{QUERY}', f'http://[::/x?{QUERY}',
        ):  # fmt: skip
            self.assertEqual(400, self.ask(self.image(), uri).status_code, uri)
        self.call('GET', '/v2/nothing')
        self.call('GET', '/v2/info/stores')

    def notified(self):
        """Every notification that was sent, as it was sent."""
        found = []
        for queue in self.inbox:
            while (message := queue.get(no_ack=True)) is not None:
                found.append(message.body if isinstance(message.body, str) else message.body.decode())
        return found

    def settle(self):
        """Until every notification was sent."""
        engine = self.cloud.parts.services.db.engine
        waiting = sa.text('SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL')

        def sent():
            with engine.connect() as connection:
                return connection.execute(waiting).scalar() == 0

        wait_until(sent, 'every notification is sent')

    def places(self):
        """Where secrets could be, by name."""
        traced = self.traces.lrange(f'osprofiler_opt:{self.base_id}', 0, -1)
        return {
            **{f'table {name}': text for name, text in tables(self.cloud.parts.services.db.engine).items()},
            **{f'log {name}': text for name, text in self.cloud.logs().items()},
            'notifications': '\n'.join(self.notified()),
            'traces': b'\n'.join(traced).decode(),
            'answers': '\n'.join(self.answers.seen),
            'command lines': command_lines(self.cloud.processes()),
        }

    def test_a_secret_is_found_nowhere(self):
        self.live()
        self.settle()
        places = self.places()
        self.check_looked(places)
        found = {name: find(text) for name, text in places.items() if find(text)}
        self.assertEqual({}, found, _around(places, found))

    def check_looked(self, places):
        """Each place has what it would have: the search is one of something."""
        empty = {name for name, text in places.items() if not text.strip()}
        self.assertTrue(
            {'table outbox', 'table imports', 'table atomdetails', 'table flowdetails'} <= set(places)
        )
        self.assertEqual(set(), empty & {
            'table outbox', 'table imports', 'table atomdetails', 'notifications', 'traces', 'answers',
            'command lines', 'log conductor.log',
        })  # fmt: skip
        self.assertIn('DEBUG', places['log conductor.log'])
        self.assertIn('task.failure', places['notifications'])
        self.assertIn('/good', places['table imports'])
        self.assertIn('imagepipe.cmd.conductor', places['command lines'])

    def test_what_is_planted_is_found(self):
        """A client that puts secrets where they do not belong: each search sees its own."""
        named, asked, sought = SECRETS['swift key'], SECRETS['signature'], SECRETS['userinfo']
        body = {'disk_format': 'raw', 'container_format': 'bare', 'name': named}
        image_id = self.call('POST', '/v2/images', json=body).json()['id']
        self.call('GET', f'/v2/images?tag={asked}')
        self.call('GET', f'/v2/images/{sought}')
        self.cloud.source.serve(f'/{SECRETS["credential"]}', DATA)
        accepted = self.ask(image_id, self.cloud.source.url(f'/{SECRETS["credential"]}'))
        self.cloud.wait(accepted.headers['OpenStack-image-import-task-id'])
        self.settle()
        places = self.places()
        expected = {
            'table images': 'swift key', 'table imports': 'credential', 'table outbox': 'swift key',
            'notifications': 'swift key', 'answers': 'swift key', 'traces': 'signature',
            f'log {self.cloud.server.log.name}': 'userinfo',
        }  # fmt: skip
        for place, secret in expected.items():
            self.assertIn(secret, find(places[place]), place)

    def test_the_search_sees_command_lines_and_other_spellings(self):
        secret = SECRETS['s3 secret key']
        idle = 'import sys; sys.stdin.read()'
        child = subprocess.Popen([sys.executable, '-c', idle, secret], stdin=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdin.close)
        # Between fork and exec it is still called as this process is.
        wait_until(
            lambda: find(command_lines([child])) == {'s3 secret key'}, 'the search sees a command line'
        )
        self.assertEqual({'password of the broker'}, find('amqp://guest%3Aguest@host'))
        self.assertEqual({'s3 secret key'}, find(base64.b64encode(secret.encode()).decode()))


def _around(places, found):
    """The lines in which secrets were found."""
    return '\n'.join(
        f'{name}: {line[:1000]}'
        for name in found
        for line in [line for line in places[name].splitlines() if find(line)][:3]
    )
