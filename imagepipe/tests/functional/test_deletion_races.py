"""Images that are deleted in the instant in which their import makes them active.

Worker and DELETE meet at a barrier: before either decides, or in the middle of one's transaction or of
both. Whoever wins, the answer is 204 and nothing is left, or 409 and the image is whole.

IMAGEPIPE_FULL_RACES=1 runs 200 rounds on each database.
"""

import collections
import functools
import itertools
import os
import threading
from concurrent import futures

import fixtures
import sqlalchemy as sa
import testscenarios
import testtools
from testtools import content

from imagepipe.db import schema
from imagepipe.domain.import_ import ENDED
from imagepipe.flows.steps.activate import Activate
from imagepipe.operations import deletion
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until

FULL = os.environ.get('IMAGEPIPE_FULL_RACES') == '1'
DATA = b'a small raw image'
AT_ONCE = 4

#: Where they meet: the worker about to begin the transaction of its commit, in it before it has written
#: anything, and in it when all is written; DELETE about to be sent, about to decide, and having decided
#: in a transaction that is not committed.
STEP, INSIDE, WRITTEN = 'step', 'inside', 'written'
SENT, DECIDING, DECIDED = 'sent', 'deciding', 'decided'
MEETINGS = ((STEP, SENT), (INSIDE, SENT), (WRITTEN, SENT), (STEP, DECIDING), (STEP, DECIDED))
#: SQLite has one writer at a time: two are never in the middle of their transactions.
IN_BOTH = ((INSIDE, DECIDING), (WRITTEN, DECIDING))


class Meeting:
    """The worker's moment and DELETE's; each comes there once, for a transaction may be run again."""

    def __init__(self, worker, delete):
        self._barrier = threading.Barrier(2, timeout=PATIENCE)
        self._lock = threading.Lock()
        self._waited = {worker, delete}
        self.worker = worker
        self.arrived = threading.Event()

    def at(self, moment):
        """Wait for the other one if this is the moment."""
        with self._lock:
            if moment not in self._waited:
                return
            self._waited.remove(moment)
        if moment == self.worker:
            self.arrived.set()
        self._barrier.wait()


class DeletionRaceTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [
        (f'{kind}{", delayed" if delayed else ""}', {'database_kind': kind, 'delayed': delayed})
        for kind in KINDS
        for delayed in (False, True)
    ]

    def setUp(self):
        super().setUp()
        self.pipeline = self.useFixture(
            PipelineFixture(self, kind=self.database_kind, overrides={'delayed_delete': self.delayed})
        )
        self.meetings: dict[str, Meeting] = {}
        self.useFixture(fixtures.MonkeyPatch(f'{Activate.__module__}.Activate.work', self.activating()))
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{deletion.__name__}._revert_import', self.deciding(deletion._revert_import)
            )
        )

    def activating(self):
        """Activate.work, which meets DELETE on its way."""
        work = Activate.work

        @functools.wraps(work)
        def met(step, run, commit, **results):
            meeting = self.meetings[run.claim.image_id]
            meeting.at(STEP)

            def met_inside(*arguments):
                meeting.at(INSIDE)
                outcome = commit(*arguments)
                meeting.at(WRITTEN)
                return outcome

            return work(step, run=run, commit=met_inside, **results)

        return met

    def deciding(self, revert):
        def met(tx, image_id):
            self.meetings[image_id].at(DECIDING)
            decided = revert(tx, image_id)
            self.meetings[image_id].at(DECIDED)
            return decided

        return met

    @property
    def kinds(self):
        return MEETINGS if self.database_kind == 'sqlite' else (*MEETINGS, *IN_BOTH)

    @property
    def rounds(self):
        few = 2 * len(self.kinds)
        many = 200 if FULL else 60
        return few if self.delayed or not (FULL or self.database_kind == 'sqlite') else many

    def test_204_and_nothing_left_or_409_and_a_whole_image(self):
        chosen = itertools.islice(itertools.cycle(self.kinds), self.rounds)
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = collections.Counter(pool.map(self.round, chosen))
        told = '\n'.join(f'{" ".join(map(str, outcome))}: {number}' for outcome, number in outcomes.items())
        self.addDetail('outcomes', content.text_content(told))
        if FULL:
            print(f'\n{self.id()}\n{told}')
        self.assertEqual(self.rounds, sum(outcomes.values()))
        self.assertEqual({'succeeded', 'failed'}, {state for *_, state in outcomes})
        self.nothing_is_left()

    def round(self, moments):
        """Import an image, delete it in the instant; the moments, the answer, the import's end."""
        image_id = self.pipeline.image('raw')
        meeting = self.meetings[image_id] = Meeting(*moments)
        self.pipeline.stage(image_id, DATA)
        import_id = self.pipeline.start(image_id)
        self.assertTrue(meeting.arrived.wait(PATIENCE))
        meeting.at(SENT)
        status = self.pipeline.call('DELETE', f'/v2/images/{image_id}').status_int
        state = wait_until(lambda: self.end_of(import_id), 'the import ends')
        self.check(image_id, status, state)
        return (*moments, status, state)

    def end_of(self, import_id):
        state = self.pipeline.services.db.read(lambda tx: tx.imports.get(import_id)).state
        return state.value if state in ENDED else None

    def check(self, image_id, status, state):
        self.assertIn(status, (204, 409))
        shown = self.pipeline.call('GET', f'/v2/images/{image_id}')
        if status == 409:
            self.assertEqual(('active', 'succeeded'), (shown.json['status'], state))
            self.assertEqual(DATA, self.pipeline.download(image_id))
            self.pipeline.delete(image_id)
            shown = self.pipeline.call('GET', f'/v2/images/{image_id}')
        self.assertEqual(404, shown.status_int)

    def nothing_is_left(self):
        """But images that were deleted with a delay, each with its data."""
        pending = self.rows(sa.select(schema.images.c.id).where(schema.images.c.status == 'pending_delete'))
        self.assertEqual(len(self.rows(sa.select(schema.images.c.id))), len(pending))
        self.assertTrue(pending or not self.delayed)
        locations = self.rows(sa.select(schema.locations.c.url).where(schema.locations.c.state == 'active'))
        self.assertEqual(len(pending), len(locations))
        self.assertEqual(len(locations), len(self.rows(sa.select(schema.locations.c.id))))
        self.assertEqual(len(pending), len(self.rows(sa.select(schema.representations.c.id))))
        objects = self.pipeline.objects()
        self.assertEqual(
            {'fast': sorted(row.url.removeprefix('file://') for row in locations), 'cheap': []}, objects
        )
        self.assertEqual(([], (0, 0)), (self.pipeline.staged(), self.pipeline.used()))
        tombstones = self.rows(sa.select(schema.tombstones.c.id))
        self.assertEqual(self.rounds, len(tombstones) + len(pending))

    def rows(self, query):
        with self.pipeline.services.db.engine.connect() as connection:
            return list(connection.execute(query))
