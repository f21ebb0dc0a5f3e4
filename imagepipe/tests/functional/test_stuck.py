"""A store call that never returns: its worker is replaced, its neighbours finish, attempts end it."""

import testtools

from imagepipe.domain import steps
from imagepipe.domain.import_ import ImportState
from imagepipe.jobs.supervisor import EXIT_STUCK
from imagepipe.operations import imports
from imagepipe.tests.fixtures.stories import ADMIN, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.workers import wait_until

EXHAUSTED = Ending(state=ImportState.FAILED, error_code='imagepipe.import.attempts_exhausted')
#: Stuck after seconds without a sign; three times, and the import is given up.
IMPATIENT = {'conductor.stuck_after': 4.0, 'conductor.grace': 0.5, 'conductor.max_attempts': 3}


class StuckStoreTestCase(testtools.TestCase):
    kind = 'sqlite'

    def story(self) -> Story:
        return self.useFixture(
            Story(
                self,
                kind=self.kind,
                stores=('fast',),
                lease=4.0,
                overrides=IMPATIENT,
            )
        )

    def crashes(self, story: Story, step: str) -> int:
        found = story.db.read(lambda tx: tx.steps.of_imports([story.import_id]))[story.import_id]
        return next(each.crashes for each in found if each.name == step)

    def test_its_worker_asks_to_be_replaced_and_the_next_one_goes_on(self) -> None:
        story = self.story()
        worker = story.workers.start(hanging=(story.image_id,))
        story.workers.wait_event(story.image_id, 'hangs')
        self.assertEqual(EXIT_STUCK, worker.wait())
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        check_aftermath(story, Ending())

    def test_a_step_that_was_begun_by_another_worker_is_watched_too(self) -> None:
        story = self.story()
        story.workers.start(point='store:fast:execute.inside').wait_killed()
        story.expire()
        worker = story.workers.start(silent=(story.image_id,))
        story.workers.wait_event(story.image_id, 'hangs')
        self.assertEqual(EXIT_STUCK, worker.wait())
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        check_aftermath(story, Ending())

    def test_an_import_that_is_taken_away_is_not_begun_again_beside_itself(self) -> None:
        story = self.story()
        worker = story.workers.start(hanging=(story.image_id,))
        story.workers.wait_event(story.image_id, 'hangs')
        imports.release(story.services, ADMIN, story.import_id)
        self.assertEqual(EXIT_STUCK, worker.wait(), 'its step still has its place there')
        self.assertEqual(1, story.record.epoch)
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual(2, story.record.epoch)
        check_aftermath(story, Ending())

    def test_neighbours_finish_elsewhere_and_the_stuck_import_ends_by_attempts(self) -> None:
        story = self.story()
        neighbour, of_neighbour = story.begin()
        stuck = story.workers.start(hanging=(story.image_id,), endless=(neighbour,))
        story.workers.wait_event(story.image_id, 'hangs')
        story.workers.wait_event(neighbour, 'goes-on')
        self.assertEqual(EXIT_STUCK, stuck.wait())
        for _ in range(2):
            another = story.workers.start(hanging=(story.image_id,))
            self.assertEqual(EXIT_STUCK, another.wait())
        story.workers.start()
        self.assertEqual(ImportState.FAILED, story.wait_end().state)
        self.assertEqual(steps.store('fast'), story.record.error_step)
        finished = wait_until(
            lambda: story.db.read(
                lambda tx: (record := tx.imports.get(of_neighbour)).state is ImportState.SUCCEEDED and record
            ),
            'the neighbour ends',
        )
        self.assertIsNone(finished.error_code)
        crashes = story.db.read(lambda tx: tx.steps.of_imports([of_neighbour]))[of_neighbour]
        self.assertEqual({0}, {step.crashes for step in crashes})
        story.remove(neighbour)
        check_aftermath(story, EXHAUSTED)

    def test_a_step_that_gives_signs_is_left_alone(self) -> None:
        story = self.story()
        other, _ = story.begin()
        worker = story.workers.start(endless=(story.image_id, other))
        story.workers.wait_event(other, 'goes-on')
        wait_until(lambda: story.beats(worker) > 8, 'eight seconds and more of keeping')
        self.assertIsNone(worker.process.exitcode)
        self.assertEqual(0, self.crashes(story, steps.store('fast')))


class StuckStorePostgreSQLTestCase(StuckStoreTestCase):
    kind = 'postgresql'
