"""Readiness beside liveness: what is missing is named, and only to those who may know."""

import dataclasses
import shutil
import socket
import socketserver
import threading

import sqlalchemy as sa
import testscenarios
import testtools
import webob

from imagepipe import errors
from imagepipe.api.app import Application
from imagepipe.conf.api import READINESS_PARTS
from imagepipe.db import engines, schema
from imagepipe.db.database import Database
from imagepipe.db.transaction import Transaction
from imagepipe.domain.conductor import Drain
from imagepipe.domain.event import Event
from imagepipe.domain.readiness import Part
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.readiness import Readiness
from imagepipe.services import Services
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.services import ServicesFixture

HOST = 'img-01'
WATCHER, ANYBODY = '192.0.2.7', '198.51.100.9'
OVERRIDES = {'api.readiness_details_to': '192.0.2.0/24, 2001:db8::/32'}


class ReadinessCase(testtools.TestCase):
    database_kind = 'sqlite'
    overrides = OVERRIDES

    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.useFixture(ServicesFixture(self, kind=self.database_kind, overrides=self.overrides))
        self.services = self.cloud.services
        self.db = self.services.db
        self.db.run(self.a_worker)

    def a_worker(self, tx: Transaction) -> None:
        """A conductor on HOST has given a sign."""
        tx.conductors.locked(HOST)
        tx.workers.seen(f'{HOST}:1:x', host=HOST, pid=1, version='1')

    def ask(
        self, who: str | None = WATCHER, *, method: str = 'GET', services: Services | None = None
    ) -> webob.Response:
        """The answer of a process that has not looked before."""
        base = services or self.cloud.build()
        environ = {} if who is None else {'REMOTE_ADDR': who}
        request = webob.Request.blank('/readiness', method=method, environ=environ)
        return request.get_response(Application(base))

    def missing(self) -> tuple[int, list[str]]:
        answer = self.ask()
        return answer.status_int, [lack['part'] for lack in answer.json['missing']]

    def lacks(self) -> frozenset[Part]:
        """What a conductor records of this host."""
        Sweeper(self.services, interval=30).sweep()
        return self.db.read(lambda tx: tx.conductors.host(self.services.host)).lacks


class PartsTestCase(testscenarios.WithScenarios, ReadinessCase):
    scenarios = DATABASES

    def test_nothing_is_missing(self) -> None:
        answer = self.ask()
        self.assertEqual((200, {'ready': True, 'missing': []}), (answer.status_int, answer.json))
        self.assertEqual('no-store', answer.headers['Cache-Control'])

    def test_a_conductor_that_is_silent_drained_or_about_to_leave_is_none(self) -> None:
        workers = schema.workers
        self.db.run(lambda tx: tx.conductors.drain(HOST, Drain.FINISH))
        self.assertEqual((200, ['conductor']), self.missing())
        self.db.run(lambda tx: tx.conductors.drain(HOST, None))
        self.assertEqual((200, []), self.missing())
        self.db.run(lambda tx: tx.connection.execute(sa.update(workers).values(draining=True)))
        self.assertEqual((200, ['conductor']), self.missing())
        self.db.run(lambda tx: tx.connection.execute(
            sa.update(workers).values(draining=False, seen=workers.c.seen - 100)
        ))  # fmt: skip
        self.assertEqual((200, ['conductor']), self.missing())

    def test_what_a_newer_release_knows_of_is_passed_over(self) -> None:
        self.db.run(lambda tx: tx.conductors.lacks(HOST, {Part.STAGING}))
        newer = sa.update(schema.conductor_hosts).values(lacks='antimatter,staging', drain='slowly')
        self.db.run(lambda tx: tx.connection.execute(newer))
        host = self.db.read(lambda tx: tx.conductors.host(HOST))
        self.assertEqual(({Part.STAGING}, Drain.FINISH), (host.lacks, host.drain))

    def test_what_conductors_lack_is_told_with_their_hosts(self) -> None:
        self.db.run(lambda tx: tx.conductors.lacks(HOST, {Part.CONVERTER, Part.STAGING}))
        answer = self.ask()
        self.assertEqual(200, answer.status_int, 'one host of many does not make every API unready')
        reason = 'Conductors cannot write the staging directory on: img-01.'
        self.assertEqual(
            [
                {'part': 'conductor_staging', 'reason': reason},
                {'part': 'converter', 'reason': 'qemu-img does not run on: img-01.'},
            ],
            answer.json['missing'],
        )
        self.db.run(lambda tx: tx.conductors.drain(HOST, Drain.FINISH))  # nobody imports there
        self.assertEqual((200, ['conductor']), self.missing())

    def test_a_database_without_the_tables_of_this_release(self) -> None:
        services = self.cloud.build()
        self.db.run(lambda tx: tx.connection.execute(sa.text('ALTER TABLE workers RENAME TO elsewhere')))
        answer = self.ask(services=services)
        self.assertEqual(503, answer.status_int)
        ((part, reason),) = [(lack['part'], lack['reason']) for lack in answer.json['missing']]
        self.assertEqual('database', part)
        self.assertIn('imagepipe-manage db version', reason)

    def test_a_broker_that_refuses(self) -> None:
        self.db.run(lambda tx: tx.notify(Event.IMAGE_UPDATE, {}))
        self.assertEqual((200, []), self.missing())
        (letter,) = self.db.run(lambda tx: tx.outbox.take('me', lease=60, limit=1))
        self.db.run(lambda tx: tx.outbox.failed(letter.id, wait=0))
        self.assertEqual((200, ['broker']), self.missing())
        self.db.run(lambda tx: tx.outbox.sent([letter.id]))
        self.assertEqual((200, []), self.missing())

    def test_stores_that_conductors_cannot_use(self) -> None:
        found = {'fast': errors.StoreTransient(store='fast'), 'cheap': errors.StoreFull(store='cheap')}
        self.db.run(lambda tx: tx.store_checks.note(HOST, found, holds=60))
        answer = self.ask()
        self.assertEqual(
            (200, [{'part': 'default_store', 'reason': "Store 'fast' cannot be used on: img-01."}]),
            (answer.status_int, answer.json['missing']),
        )
        found = {'fast': None, 'cheap': errors.StoreDenied(store='cheap')}
        self.db.run(lambda tx: tx.store_checks.note(HOST, found, holds=60))
        self.assertEqual((200, ['store']), self.missing())
        self.db.run(lambda tx: tx.store_checks.note(HOST, found, holds=-1))
        self.assertEqual((200, []), self.missing())


class AnswersTestCase(ReadinessCase):
    def test_only_some_are_told_what_is_missing(self) -> None:
        self.db.run(lambda tx: tx.workers.gone(f'{HOST}:1:x'))
        for who in (ANYBODY, None, '2001:db9::1', 'nonsense'):
            self.assertEqual({'ready': True}, self.ask(who).json)
        for who in (WATCHER, '2001:db8::1'):
            self.assertEqual(['conductor'], [lack['part'] for lack in self.ask(who).json['missing']])

    def test_staging_that_this_process_cannot_write(self) -> None:
        staging = self.services.staging.root
        shutil.rmtree(staging, ignore_errors=True)
        staging.write_text('no directory')
        self.assertEqual((503, ['staging']), self.missing())
        staging.unlink()
        self.assertEqual((200, []), self.missing())

    def test_a_database_that_is_away_is_told_at_once(self) -> None:
        engine = engines.create('postgresql+psycopg2://nobody@127.0.0.1:1/nowhere')
        self.addCleanup(engine.dispose)
        readiness = Readiness(
            Database(engine, engine, attempts=1), self.services.staging, lease=30, default_store='fast'
        )
        answer = self.ask(services=dataclasses.replace(self.services, readiness=readiness))
        self.assertEqual(
            (503, ['database']), (answer.status_int, [each['part'] for each in answer.json['missing']])
        )

    def test_however_often_it_is_asked_it_looks_once_a_second(self) -> None:
        now = [0.0]
        readiness = Readiness(
            self.db, self.services.staging, lease=30, default_store='fast', clock=lambda: now[0]
        )
        services = dataclasses.replace(self.services, readiness=readiness)
        self.assertEqual([], self.ask(services=services).json['missing'])
        self.db.run(lambda tx: tx.workers.gone(f'{HOST}:1:x'))
        self.assertEqual([], self.ask(services=services).json['missing'])
        now[0] = 1.0
        self.assertNotEqual([], self.ask(services=services).json['missing'])

    def test_only_to_be_read(self) -> None:
        self.assertEqual((200, b''), ((head := self.ask(method='HEAD')).status_int, head.body))
        self.assertEqual(405, self.ask(method='POST').status_int)

    def test_liveness_asks_nobody(self) -> None:
        engine = engines.create('postgresql+psycopg2://nobody@127.0.0.1:1/nowhere')
        self.addCleanup(engine.dispose)
        services = dataclasses.replace(self.services, db=Database(engine, engine, attempts=1))
        answer = webob.Request.blank('/healthcheck').get_response(Application(services))
        self.assertEqual(200, answer.status_int)

    def test_a_network_that_is_none_is_told_at_the_start(self) -> None:
        cloud = ServicesFixture(self, overrides={'api.readiness_details_to': '10.0.0.0/99'})
        services = self.useFixture(cloud).services
        error = self.assertRaises(errors.ConfigurationInvalid, Application, services)
        self.assertIn('readiness_details_to', str(error))

    def test_the_option_knows_every_part(self) -> None:
        self.assertEqual(list(READINESS_PARTS), [part.value for part in Part])


class RequiredTestCase(ReadinessCase):
    overrides = OVERRIDES | {'api.readiness_requires': 'database,conductor,default_store'}

    def test_the_operator_says_what_is_required(self) -> None:
        self.db.run(lambda tx: tx.conductors.lacks(HOST, {Part.STAGING}))
        self.assertEqual((200, ['conductor_staging']), self.missing())
        self.db.run(lambda tx: tx.workers.gone(f'{HOST}:1:x'))
        self.assertEqual((503, ['conductor']), self.missing())

    def test_a_store_may_be_required(self) -> None:
        for store, status in (('cheap', 200), ('fast', 503)):
            down = {store: errors.StoreTransient(store=store)}
            self.db.run(lambda tx, down=down: tx.store_checks.note(HOST, down, holds=60))
            self.assertEqual(status, self.missing()[0])


class EquipmentTestCase(ReadinessCase):
    overrides = OVERRIDES | {
        'import_flow.target_formats': 'cheap:raw',
        'conversion.qemu_img': '/nowhere/qemu-img',
    }

    def test_a_conductor_records_what_its_host_lacks(self) -> None:
        self.assertEqual({Part.CONVERTER}, self.lacks())
        staging = self.services.staging.root
        shutil.rmtree(staging, ignore_errors=True)
        staging.write_text('no directory')
        self.assertEqual({Part.CONVERTER, Part.STAGING}, self.lacks())
        staging.unlink()
        self.assertEqual({Part.CONVERTER}, self.lacks())


class _Proxy(socketserver.BaseRequestHandler):
    """Takes a connection and closes it: the broker behind it is away."""


class BrokerTestCase(ReadinessCase):
    def setUp(self) -> None:
        self.broker = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(self.broker.close)
        self.proxy = socketserver.ThreadingTCPServer(('127.0.0.1', 0), _Proxy)
        serving = threading.Thread(target=self.proxy.serve_forever, args=(0.01,))
        serving.start()
        self.addCleanup(serving.join)
        self.addCleanup(self.proxy.server_close)
        self.addCleanup(self.proxy.shutdown)
        ports = (1, self.proxy.server_address[1], self.broker.getsockname()[1])
        hosts = ','.join(f'me:secret@127.0.0.1:{port}' for port in ports)
        self.overrides = OVERRIDES | {
            'oslo_messaging_notifications.driver': 'messagingv2',
            'oslo_messaging_notifications.transport_url': f'rabbit://{hosts}/',
        }
        super().setUp()

    def test_a_broker_that_is_away_is_noticed_while_nothing_is_sent(self) -> None:
        self.assertEqual(set(), self.lacks())
        self.broker.close()
        self.assertEqual({Part.BROKER}, self.lacks())

    def test_what_is_missing_is_told_once(self) -> None:
        self.db.run(lambda tx: tx.conductors.lacks(HOST, {Part.BROKER}))
        self.db.run(lambda tx: tx.notify(Event.IMAGE_UPDATE, {}))
        (letter,) = self.db.run(lambda tx: tx.outbox.take('me', lease=60, limit=1))
        self.db.run(lambda tx: tx.outbox.failed(letter.id, wait=0))
        told = {'part': 'broker', 'reason': 'Conductors cannot reach the broker from: img-01.'}
        self.assertEqual((200, [told]), ((answer := self.ask()).status_int, answer.json['missing']))


class NoBrokerTestCase(ReadinessCase):
    overrides = OVERRIDES | {
        'oslo_messaging_notifications.driver': 'messagingv2',
        'oslo_messaging_notifications.transport_url': 'pigeon://127.0.0.1/',
    }

    def test_a_url_by_which_nothing_can_be_sent(self) -> None:
        self.assertEqual({Part.BROKER}, self.lacks())


class NoConversionTestCase(EquipmentTestCase):
    overrides = OVERRIDES | {'conversion.qemu_img': '/nowhere/qemu-img'}

    def test_a_conductor_records_what_its_host_lacks(self) -> None:
        self.assertEqual(set(), self.lacks())  # nothing is converted
