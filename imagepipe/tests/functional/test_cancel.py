"""Cancelling an import at work, one that waits, one whose worker is dead, one that is committed."""

import functools
import os
import pathlib
import stat

import fixtures
import testtools

from imagepipe import errors
from imagepipe.domain import steps
from imagepipe.domain.import_ import ImportQuery, ImportState, Method, StepState
from imagepipe.domain.import_request import ImportRequest
from imagepipe.operations import copies, deletion
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.stories import ADMIN, SUCCESS, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.workers import wait_until

CANCELLED = Ending(state=ImportState.CANCELLED, error_code='imagepipe.import.cancelled')

#: qemu-img as it is, but its conversions come to the middle and stay there.
NEVER_DONE = """#!/bin/sh
case " $* " in
*" convert "*)
    echo $$ > {pid_file}
    printf '    (50.00/100%%)\\r'
    exec tail -f /dev/null
    ;;
esac
exec qemu-img "$@"
"""


class CancelTestCase(testtools.TestCase):
    """Reverted within seconds: what runs is told, and nothing is waited out."""

    def cancelled(self, story: Story) -> None:
        """Cancel it now, and see it reverted whole."""
        story.cancel()
        self.assertEqual(ImportState.CANCELLED, story.wait_end().state)
        check_aftermath(story, CANCELLED)

    def test_in_the_middle_of_a_download(self) -> None:
        story = self.useFixture(Story(self, method=Method.WEB_DOWNLOAD, fault=Fault(stall_after=1000)))
        story.workers.start()
        self.assertTrue(story.source.stalled.wait(60))
        self.cancelled(story)

    def test_in_the_middle_of_a_conversion(self) -> None:
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        pid_file = directory / 'pid'
        tool = directory / 'qemu-img'
        tool.write_text(NEVER_DONE.format(pid_file=pid_file))
        tool.chmod(stat.S_IRWXU)
        story = self.useFixture(
            Story(
                self,
                overrides={
                    'conversion.qemu_img': str(tool),
                    'conversion.sandbox': 'off',
                },
            )
        )
        story.workers.start()
        wait_until(lambda: story.progress(steps.convert('raw')), 'the conversion says how far it is')
        self.cancelled(story)
        self.assertRaises(ProcessLookupError, os.kill, int(pid_file.read_text()), 0)

    def test_in_the_middle_of_a_put(self) -> None:
        story = self.useFixture(Story(self))
        story.workers.start(endless=(story.image_id,))
        story.workers.wait_event(story.image_id, 'goes-on')
        self.cancelled(story)

    def test_before_anybody_runs_it(self) -> None:
        story = self.useFixture(Story(self))
        story.cancel()
        self.assertEqual(ImportState.REVERTING, story.record.state)
        story.workers.start()
        story.wait_end()
        check_aftermath(story, CANCELLED)

    def test_after_its_worker_has_died(self) -> None:
        for point in ('stage:execute.inside', 'store:fast:execute.inside', 'activate:execute.inside'):
            story = self.useFixture(Story(self, method=Method.WEB_DOWNLOAD))
            story.workers.start(point=point).wait_killed()
            story.cancel()
            story.expire()
            story.workers.start()
            story.wait_end()
            check_aftermath(story, CANCELLED)

    def test_twice(self) -> None:
        story = self.useFixture(Story(self))
        story.cancel()
        self.assertRaises(errors.ImportNotCancellable, story.cancel)

    def test_a_cancelled_import_can_be_asked_for_again(self) -> None:
        story = self.useFixture(Story(self, method=Method.WEB_DOWNLOAD))
        worker = story.workers.start(endless=(story.image_id,))
        story.workers.wait_event(story.image_id, 'goes-on')
        self.cancelled(story)
        worker.kill()
        story.again()
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)


class CommittedButNotRecordedTestCase(testtools.TestCase):
    """The worker died between activate's commit and TaskFlow's record of it: nothing undoes that."""

    kind = 'sqlite'

    def committed(self, **options: object) -> Story:
        story = self.useFixture(Story(self, kind=self.kind, **options))
        story.workers.start(point='activate:execute.after').wait_killed()
        self.assertEqual(ImportState.COMMITTED, story.record.state)
        self.assertEqual(StepState.RUNNING, story.steps()[steps.ACTIVATE])
        return story

    def finish(self, story: Story) -> None:
        story.expire()
        story.workers.start()
        story.wait_end()

    def test_cancel_comes_too_late(self) -> None:
        story = self.committed()
        self.assertRaises(errors.ImportNotCancellable, story.cancel)
        self.finish(story)
        check_aftermath(story, SUCCESS)

    def test_the_image_is_deleted(self) -> None:
        story = self.committed()
        deletion.delete(story.services, ADMIN, story.image_id)
        self.finish(story)
        self.assertRaises(errors.ImageNotFound, lambda: story.image)
        check_aftermath(story, Ending(image_deleted=True))

    def test_a_copy_asked_for_meanwhile_is_told_to_come_again(self) -> None:
        story = self.committed()
        everywhere = ImportRequest(method=Method.COPY_IMAGE.value, all_stores=True)
        ask = functools.partial(copies.start, story.services, ADMIN, story.image_id, everywhere)
        self.assertRaises(errors.ImportEnding, ask)  # it has waited for the end, which needs another worker
        self.finish(story)
        copy = ask()
        imports = story.db.read(lambda tx: tx.imports.search(ImportQuery(limit=10, image_id=story.image_id)))
        self.assertEqual([copy.id, story.record.id], [found.id for found in imports])

    def test_the_image_is_deleted_after_a_download(self) -> None:
        story = self.committed(method=Method.WEB_DOWNLOAD)
        deletion.delete(story.services, ADMIN, story.image_id)
        self.finish(story)
        check_aftermath(story, Ending(image_deleted=True))

    def test_attempts_run_out(self) -> None:
        story = self.committed(overrides={'conductor.max_attempts': 2})
        for _ in range(3):
            story.expire()
            story.workers.start(point='activate:execute.after').wait_killed()
        self.finish(story)
        check_aftermath(story, SUCCESS)


class CommittedButNotRecordedPostgreSQLTestCase(CommittedButNotRecordedTestCase):
    kind = 'postgresql'


class DeletedTestCase(testtools.TestCase):
    """The image is deleted while it is imported: nothing is left of it."""

    DELETED = Ending(
        state=ImportState.FAILED, error_code='imagepipe.import.image_deleted', image_deleted=True
    )

    def test_while_a_step_runs(self) -> None:
        for method in (Method.GLANCE_DIRECT, Method.WEB_DOWNLOAD):
            story = self.useFixture(Story(self, method=method))
            story.workers.start(endless=(story.image_id,))
            story.workers.wait_event(story.image_id, 'goes-on')
            deletion.delete(story.services, ADMIN, story.image_id)
            story.wait_end()
            check_aftermath(story, self.DELETED)

    def test_after_its_worker_has_died(self) -> None:
        for point in ('stage:execute.inside', 'store:fast:execute.after', 'activate:execute.inside'):
            story = self.useFixture(Story(self))
            story.workers.start(point=point).wait_killed()
            deletion.delete(story.services, ADMIN, story.image_id)
            story.expire()
            story.workers.start()
            story.wait_end()
            check_aftermath(story, self.DELETED)
