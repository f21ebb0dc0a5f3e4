"""A worker that was frozen past its lease and goes on: it changes nothing that another one did.

The process is stopped (SIGSTOP) at a line in the middle of a step, its lease runs out in real time,
another worker ends the import, and then it continues.
"""

import os

import testscenarios
import testtools
from testtools import matchers

from imagepipe.domain.import_ import ImportState, Method
from imagepipe.tests.fixtures import crashing
from imagepipe.tests.fixtures.stories import SUCCESS, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.workers import WorkerProcess, wait_until

#: Seconds; a stopped worker is taken over from after so long.
LEASE = 2.0
REFUSED = Ending(state=ImportState.FAILED, error_code='imagepipe.store.permanent')
FULL = os.environ.get('IMAGEPIPE_FULL_MATRIX') == '1'
#: MariaDB's rows are locked and compared as PostgreSQL's; it has its turn with the whole crash matrix.
KINDS = ('sqlite', 'postgresql', 'mariadb') if FULL else ('sqlite', 'postgresql')
ON_DATABASES = [(kind, {'kind': kind}) for kind in KINDS]


class FrozenWorkerTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """On each database."""

    scenarios = ON_DATABASES
    kind: str

    def frozen(self, point: str, **story: object) -> tuple[Story, WorkerProcess]:
        """An import that another worker has ended, while the first one is still stopped at a point."""
        fenced = story.pop('fenced', True)
        told = self.useFixture(Story(self, kind=self.kind, lease=LEASE, **story))
        worker = told.workers.start(point=point, stop=True, fenced=fenced)
        worker.wait_stopped()
        successor = told.workers.start()
        told.wait_end()
        self.assertEqual(0, successor.stop())
        return told, worker

    def changes_nothing(self, story: Story, worker: WorkerProcess) -> None:
        """The stopped worker continues, learns that its claim is lost, says so in a line, and ends."""
        before = story.snapshot()
        worker.go_on()
        story.workers.wait_let_go(story.import_id, worker=worker)
        self.assertEqual(0, worker.stop())
        for noise in ('taskflow.', 'Original exception being dropped', 'met a defect'):
            self.assertNotIn(noise, story.workers.log())
        self.assertThat(story.snapshot(), matchers.Equals(before))

    def test_before_a_store_has_the_object(self) -> None:
        # It puts its object, and removes it: no other epoch's.
        story, worker = self.frozen(f'store:fast:{crashing.BEFORE_PUT}')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_in_the_middle_of_a_put(self) -> None:
        story, worker = self.frozen('store:fast:execute.inside')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_after_a_put(self) -> None:
        story, worker = self.frozen('store:cheap:execute.after')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_when_it_has_not_learned_yet_that_its_put_is_recorded(self) -> None:
        # The object is the import's: the successor counts on it.
        story, worker = self.frozen(f'store:fast:{crashing.WRITTEN}')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_in_the_middle_of_a_download(self) -> None:
        story, worker = self.frozen('stage:execute.inside', method=Method.WEB_DOWNLOAD)
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_in_the_middle_of_a_conversion(self) -> None:
        story, worker = self.frozen('convert:raw:execute.inside')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_before_the_commit(self) -> None:
        story, worker = self.frozen('activate:execute.before')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_after_the_commit(self) -> None:
        story, worker = self.frozen('activate:execute.after')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_in_the_middle_of_discarding(self) -> None:
        story, worker = self.frozen('discard:execute.inside')
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_before_a_store_is_reverted(self) -> None:
        story, worker = self.frozen('store:fast:revert.before', refusing=('cheap',))
        self.changes_nothing(story, worker)
        check_aftermath(story, REFUSED)

    def test_in_the_middle_of_reverting_a_store(self) -> None:
        story, worker = self.frozen('store:fast:revert.inside', refusing=('cheap',))
        self.changes_nothing(story, worker)
        check_aftermath(story, REFUSED)

    def test_in_the_middle_of_reverting_a_download(self) -> None:
        story, worker = self.frozen('stage:revert.inside', method=Method.WEB_DOWNLOAD, refusing=('cheap',))
        self.changes_nothing(story, worker)
        check_aftermath(story, REFUSED)

    def test_before_the_decision_to_revert(self) -> None:
        story, worker = self.frozen('restage:failure.before', refusing=('cheap',))
        self.changes_nothing(story, worker)
        check_aftermath(story, REFUSED)

    def test_reverting_a_store_does_not_touch_what_a_later_attempt_put_there(self) -> None:
        story, worker = self.frozen('store:fast:revert.inside', flaky=('fast',), must_succeed=False)
        self.changes_nothing(story, worker)
        check_aftermath(story, SUCCESS)

    def test_reverting_does_not_touch_a_later_import_of_the_image(self) -> None:
        story, worker = self.frozen(
            'store:fast:revert.before', refusing=('cheap',), method=Method.WEB_DOWNLOAD
        )
        story.again()
        good = story.workers.start(refusing=())
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual(0, good.stop())
        first = story.earlier[0]
        before = story.snapshot()
        worker.go_on()
        story.workers.wait_let_go(first, worker=worker)
        self.assertEqual(0, worker.stop())
        self.assertThat(story.snapshot(), matchers.Equals(before))

    def test_without_the_fence_the_same_worker_does_harm(self) -> None:
        for point in (f'store:fast:{crashing.BEFORE_PUT}', 'store:cheap:execute.after'):
            story, worker = self.frozen(point, fenced=False)
            before = story.snapshot()
            worker.go_on()
            wait_until(lambda story=story, before=before: story.snapshot() != before, 'a change')
            worker.kill()
            self.assertRaises(AssertionError, self.assertThat, story.snapshot(), matchers.Equals(before))

    def test_without_the_fence_a_revert_does_harm_too(self) -> None:
        story, worker = self.frozen('store:fast:revert.inside', refusing=('cheap',), fenced=False)
        before = story.snapshot()
        worker.go_on()
        wait_until(lambda: story.snapshot() != before, 'a change')
        worker.kill()
        self.assertRaises(AssertionError, self.assertThat, story.snapshot(), matchers.Equals(before))
