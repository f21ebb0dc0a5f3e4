"""Imports under faults: whatever died, was frozen, cut off or full, everything has come to its end.

The figures of each run are printed; `form` says how it is told what to do.
"""

import collections
import statistics

import sqlalchemy as sa
import testscenarios
import testtools
from testtools import content

from imagepipe.db import schema
from imagepipe.domain.image import Status
from imagepipe.tests.chaos.chronicle import Chronicle
from imagepipe.tests.chaos.clients import Clients, Deal
from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.faults import Havoc
from imagepipe.tests.chaos.form import IMPORTS, RATE, SEED, pairs
from imagepipe.tests.chaos.judge import Judge, Violation
from imagepipe.tests.chaos.mailbox import Mailbox
from imagepipe.tests.chaos.plan import Plan
from imagepipe.tests.chaos.witness import Witness
from imagepipe.tests.fixtures import images

#: Seconds that everything has to come to its end when nothing goes wrong any more.
SETTLING = 90.0
#: The part of its time for which a run is under fire, at least; its last imports have to end besides.
_UNDER_FIRE = 0.5
_TOLD = 5


class ChaosTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (f'{board}/{database}', {'board': board, 'database': database}) for board, database in pairs()
    ]

    def setUp(self) -> None:
        super().setUp()
        images.needs(self, 'qcow2')
        self.plan = Plan.draw(SEED, imports=IMPORTS, seconds=IMPORTS / RATE)
        self.mailbox = self.useFixture(Mailbox(self))
        self.cluster = self.useFixture(
            Cluster(self, board=self.board, database=self.database, topic=self.mailbox.topic)
        )
        self.witness = Witness(self.cluster.db.engine)
        self.witness.look_on()
        self.clients = Clients(self.cluster, self.plan.orders)
        self.addCleanup(self.clients.stop)
        self.havoc = Havoc(self.cluster, self.clients.pace, self.plan.faults, seed=SEED)
        self.judge = Judge(self.cluster, self.clients.deals, self.witness, self.mailbox.delivered)

    def test_every_import_comes_to_its_end(self) -> None:
        self.cluster.start()
        self.clients.start()
        self.havoc.run(self.clients.finished)
        self.fired, self.ordered = self.havoc.story[-1][0], self.cluster.now()
        self.settle()
        self.mailbox.empty()
        found = self.judge.violations()
        print(f'\n{self.figures()}')
        self.tell(found)
        self.assertEqual([], found, f'IMAGEPIPE_CHAOS_SEED={SEED}')
        self.assertGreater(self.ends()['succeeded'], IMPORTS / 4)
        self.assertGreater(self.fired / self.ordered, _UNDER_FIRE, 'the faults were over too soon')

    def settle(self) -> None:
        """Nothing goes wrong any more: clients tidy up, and what is under way comes to its end."""
        began = self.cluster.now()
        for deal in self.clients.deals:
            if self.stale(deal):
                self.clients.drop(deal)
        self.judge.settle(SETTLING)
        self.settled = self.cluster.now() - began

    def stale(self, deal: Deal) -> bool:
        """Whether the client has given up with something staged, or with a deletion unanswered."""
        query = sa.select(schema.images.c.status).where(schema.images.c.id == deal.image_id)
        uploading = [row for row in self.cluster.rows(query) if row.status == Status.UPLOADING.value]
        return (deal.unwanted and not deal.dropped) or bool(uploading)

    # What is told.

    def tell(self, found: list[Violation]) -> None:
        chronicle = Chronicle(self.cluster, self.clients.deals, self.witness, self.havoc.story)
        for image_id in dict.fromkeys(each.image_id for each in found[:_TOLD]):
            self.addDetail(f'history of {image_id}', content.text_content(chronicle.of(image_id)))

    def ends(self) -> collections.Counter[str]:
        """How the imports ended."""
        return collections.Counter(state for (state,) in self.cluster.rows(sa.select(schema.imports.c.state)))

    def figures(self) -> str:
        """What was ordered, what befell it, and what came of it."""
        columns = schema.imports.c
        ends = collections.Counter(
            map(tuple, self.cluster.rows(sa.select(columns.state, columns.error_code)))
        )
        epochs = collections.Counter(epoch for (epoch,) in self.cluster.rows(sa.select(columns.epoch)))
        delays = self.witness.delays()
        lines = [
            f'{self.id()}, seed {SEED}: {IMPORTS} imports in {self.cluster.now():.0f} s, settled in '
            f'{self.settled:.0f} s',
            f'ends: {_counted(ends)}',
            f'claims of an import: {_counted(epochs)}',
            f'taken over: {len(delays)}, after the lease {_spread(delays)} s',
            f'delivered: {_counted(collections.Counter(self.mailbox.delivered.values()))}',
            f'faults, the last at {self.fired:.0f} s of {self.ordered:.0f}: {_counted(self.havoc.counts)}',
            f'answers: {_counted(self.clients.counts)}',
        ]
        return '\n'.join(lines)


def _spread(seconds: list[float]) -> str:
    return f'{statistics.median(seconds):.1f} to {max(seconds):.1f}' if seconds else '-'


def _counted(counter: collections.Counter) -> str:
    def named(key: object) -> str:
        return ' '.join(str(part) for part in key if part) if isinstance(key, tuple) else str(key)

    return ', '.join(f'{named(key)}: {number}' for key, number in counter.most_common())
