"""The judge of the chaos suite is judged: whatever it looks for, it finds where it was planted."""

import dataclasses
from collections.abc import Callable

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe.db import schema
from imagepipe.domain.event import Event
from imagepipe.tests.chaos.chronicle import Chronicle
from imagepipe.tests.chaos.clients import Clients, Deal
from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.form import databases
from imagepipe.tests.chaos.judge import Judge
from imagepipe.tests.chaos.mailbox import Mailbox
from imagepipe.tests.chaos.plan import KIB, KINDS, STORES, Order, Plan, Then
from imagepipe.tests.chaos.witness import Witness
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until

_KINDS = {kind.name: kind for kind in KINDS}


class JudgeTest(testscenarios.WithScenarios, testtools.TestCase):
    """Two images that were imported, one whose source was not found; then everything goes wrong by hand."""

    scenarios = [(database, {'database': database}) for database in databases()]

    def setUp(self) -> None:
        super().setUp()
        images.needs(self, 'qcow2')
        self.mailbox = self.useFixture(Mailbox(self))
        self.cluster = self.useFixture(
            Cluster(self, board='sql', database=self.database, topic=self.mailbox.topic)
        )
        self.witness = Witness(self.cluster.db.engine)
        self.witness.look_on()
        orders = [self.order(number, name) for number, name in enumerate(('staged', 'plain', 'not found'))]
        self.clients = Clients(self.cluster, orders)
        self.addCleanup(self.clients.stop)
        self.judge = Judge(self.cluster, self.clients.deals, self.witness, self.mailbox.delivered)
        self.staged, self.plain, self.missing = self.clients.deals

    def order(self, number: int, kind: str) -> Order:
        (drawn,) = Plan.draw(number, imports=1, seconds=0).orders
        return dataclasses.replace(
            drawn, kind=_KINDS[kind], size=60 * KIB, stores=STORES, must_succeed=True, then=Then.KEEP
        )

    def test_everything_that_it_looks_for(self) -> None:
        self.run_orders()
        self.check_history()
        self.assertEqual([], self.judge.violations())
        known: set[str] = set()
        for texts, plant in _PLANTED:
            plant(self)
            found = {violation.text for violation in self.judge.violations()}
            for text in texts.split(' & '):
                self.assertTrue(any(text in each for each in found - known), f'{text}: {found - known}')
            known = found

    def check_history(self) -> None:
        """It tells what was asked, recorded, seen and said."""
        chronicle = Chronicle(self.cluster, self.clients.deals, self.witness, [(1.0, 'kill somebody')])
        told = chronicle.of(self.missing.image_id)
        for text in (
            'import: 202',
            'imports: id=',
            'name=stage, position=0, state=',
            'stage is running on ',
            'event: task.failure once=end:',
            'conductor-1: ',
            'imagepipe.source.not_found in stage',
            'kill somebody',
        ):
            self.assertIn(text, told)

    def run_orders(self) -> None:
        """Until everything has come to its end, and nobody is left who would put anything right."""
        self.cluster.start('api-1', 'conductor-1')
        self.clients.start()
        wait_until(self.clients.finished, 'the orders are carried out')
        self.assertEqual([], self.judge.settle(PATIENCE))
        self.cluster.members['conductor-1'].stop()
        self.mailbox.empty()

    # What is planted.

    def update(self, table: sa.Table, deal: Deal, **values: object) -> None:
        column = table.c.image_id if 'image_id' in table.c else table.c.id
        self.execute(sa.update(table).where(column == deal.image_id).values(**values))

    def execute(self, statement: sa.Executable) -> None:
        self.cluster.db.run(lambda tx: tx.connection.execute(statement))

    def claim(self, who: str) -> None:
        columns = schema.imports.c
        taken = {'claim_owner': who, 'claim_expires': self.cluster.now() + 1e12, 'epoch': columns.epoch + 1}
        self.execute(sa.update(schema.imports).where(columns.id == self.plain.accepted[0]).values(**taken))

    def two_claims(self) -> None:
        self.claim('one')
        self.claim('another')

    def run_step_elsewhere(self) -> None:
        columns = schema.import_steps.c
        ours = sa.update(schema.import_steps).where(columns.import_id == self.plain.accepted[0])
        self.execute(ours.values(state='running', worker='elsewhere'))

    def spoil(self) -> None:
        """Both copies of the primary representation: a download may read either."""
        (path,) = (self.cluster.disk.path / 'fast').glob(f'{self.plain.image_id}*')
        path.write_bytes(bytes(path.stat().st_size))
        held = self.cluster.swift.containers['images']
        held |= {name: bytes(len(held[name])) for name in held if name.startswith(self.plain.image_id)}

    def lose(self) -> None:
        held = self.cluster.swift.containers['images']
        del held[next(name for name in held if name.startswith(self.staged.image_id))]

    def tell_of(self, event: Event, *, deal: Deal) -> None:
        row = sa.select(schema.outbox).where(
            schema.outbox.c.event_type == event.value, schema.outbox.c.payload.contains(deal.accepted[0])
        )
        found = dict(self.cluster.rows(row)[0]._mapping)
        del found['id']
        self.execute(sa.insert(schema.outbox).values(found | {'once': None}))

    def log(self, line: str) -> None:
        with self.cluster.members['conductor-1'].log.open('a') as log:
            log.write(line)

    def transfer(self) -> None:
        values = {
            'id': 'a-transfer', 'image_id': self.plain.image_id, 'kind': 'stage', 'state': 'open',
            'object_name': 'x', 'owner': 'somebody', 'digests': '{}',
            'created_at': sa.func.now(), 'updated_at': sa.func.now(),
        }  # fmt: skip
        self.execute(sa.insert(schema.transfers).values(values))


def _count(test: JudgeTest) -> None:
    test.execute(sa.update(schema.usages).values(used=schema.usages.c.used + 1))


def _swap(test: JudgeTest) -> None:
    test.staged.order = dataclasses.replace(test.staged.order, seed=test.staged.order.seed + 1)


def _judge_anew(deal: Deal, *, good: bool) -> None:
    kind = dataclasses.replace(deal.order.kind, good=good)
    deal.order = dataclasses.replace(deal.order, kind=kind)


#: What the judge then says besides, and what was done for it to say so.
_PLANTED: tuple[tuple[str, Callable[[JudgeTest], object]], ...] = (
    ('was accepted and is not on record', lambda test: test.missing.accepted.append('never')),
    (
        'has ended and is held by somebody',
        lambda test: test.update(schema.imports, test.missing, claim_owner='somebody'),
    ),
    ('still knows its URL', lambda test: test.update(schema.imports, test.plain, source_url='x')),
    ('holds 7 bytes', lambda test: test.update(schema.imports, test.missing, reserved=7)),
    ('failed without an error', lambda test: test.update(schema.imports, test.missing, error_message=None)),
    (
        'failed: imagepipe.internal',
        lambda test: test.update(schema.imports, test.missing, error_code='imagepipe.internal'),
    ),
    (
        'failed with imagepipe.import.cancelled',
        lambda test: test.update(schema.imports, test.missing, error_code='imagepipe.import.cancelled'),
    ),
    ("from a source that is 'not found' failed", lambda test: _judge_anew(test.missing, good=True)),
    ('queued with size 7', lambda test: test.update(schema.images, test.missing, size=7)),
    (
        'the image is active, its import failed & the image is active and in no store & the download is',
        lambda test: test.update(schema.images, test.missing, status='active'),
    ),
    ('another took the claim', JudgeTest.two_claims),
    ('was running on elsewhere while the claim', JudgeTest.run_step_elsewhere),
    ('bytes that are not those of its digest & bytes that are not those of the checksum', JudgeTest.spoil),
    ('is not what was imported', _swap),
    ("a source that is 'staged' was imported", lambda test: _judge_anew(test.staged, good=False)),
    ('downloaded it wrong', lambda test: setattr(test.staged, 'complaint', 'downloaded it wrong')),
    ('staging holds left-over', lambda test: (test.cluster.disk.path / 'staging' / 'left-over').touch()),
    ('transfer a-transfer is open', JudgeTest.transfer),
    ('which no row names', lambda test: test.cluster.swift.containers['images'].update({'left-over': b''})),
    ('store far does not hold', JudgeTest.lose),
    ('is deleting', lambda test: test.update(schema.locations, test.plain, state='deleting')),
    ('the counter says & the counter of staging says', _count),
    ('said: The counter of', lambda test: test.log('The counter of bytes said nonsense\n')),
    ('has 2 task.success', lambda test: test.tell_of(Event.TASK_SUCCESS, deal=test.plain)),
    ('was not delivered', lambda test: test.mailbox.delivered.clear()),
    (
        'notifications wait to be sent',
        lambda test: test.execute(sa.update(schema.outbox).values(sent_at=None)),
    ),
    ('is running', lambda test: test.update(schema.imports, test.plain, state='running')),
    ('the image was deleted and is active', lambda test: setattr(test.plain, 'unwanted', True)),
    ('is gone, and nobody deleted it', lambda test: test.execute(sa.delete(schema.images))),
)
