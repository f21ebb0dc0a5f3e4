"""Staged data that outlives the failure of its import: for a retry, for as long as the operator says."""

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import errors, quota
from imagepipe.db import schema
from imagepipe.domain.image import Status
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.usage import Resource
from imagepipe.operations import imports, retries
from imagepipe.tests.fixtures.commands import called
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.stories import ADMIN, OTHERS, OWNER, Ending, Story, check_aftermath

FAILED = Ending(state=ImportState.FAILED, error_code=errors.StorePermanent.code, swept=True)


class KeptUploadsTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """The import of what a client has staged fails: a store refuses it."""

    scenarios = DATABASES

    def setUp(self) -> None:
        super().setUp()
        settings = {'staging.keep_failed': 3600}
        self.story = self.useFixture(Story(self, kind=self.database_kind, overrides=settings))
        self.db = self.story.db

    def fail(self) -> None:
        worker = self.story.workers.start(refusing=('cheap',))
        self.assertEqual(ImportState.FAILED, self.story.wait_end().state)
        worker.kill()

    def hours_pass(self) -> None:
        """The time for which it was to be kept is over."""
        transfers = schema.transfers
        kept = sa.update(transfers).where(transfers.c.expires.is_not(None))
        self.db.run(lambda tx: tx.connection.execute(kept.values(expires=1.0)))

    def staged(self) -> int:
        return self.db.read(lambda tx: tx.usages.used(quota.project(OWNER), Resource.STAGED.value))

    def test_it_is_imported_after_all(self) -> None:
        story, size = self.story, len(self.story.body)
        self.fail()
        self.assertEqual((Status.UPLOADING, size), (story.image.status, story.image.size))
        self.assertEqual((1, size), (len(story.files('staging')), self.staged()))
        self.assertEqual([], story.files('stores'))
        told = called(story.cloud.config_file(), 'explain', story.import_id)[1]
        self.assertIn('The image is uploading. It can be retried', told)
        story.sweep()
        self.assertEqual((Status.UPLOADING, size), (story.image.status, self.staged()))

        again = retries.retry(story.services, ADMIN, story.import_id).import_
        story.earlier.append(story.import_id)
        story.import_id = again.id
        self.hours_pass()  # while it waits for a worker
        story.sweep()
        self.assertEqual(Status.IMPORTING, story.image.status)
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual(([], 0), (story.files('staging'), self.staged()))

    def test_it_goes_when_its_time_is_over(self) -> None:
        self.fail()
        self.hours_pass()
        self.story.sweep()
        check_aftermath(self.story, FAILED)
        error = self.assertRaises(
            errors.ImportNotRetryable, retries.retry, self.story.services, ADMIN, self.story.import_id
        )
        self.assertIn('stage it again', error.message)

    def test_what_was_cancelled_or_lost_is_not_kept(self) -> None:
        story = self.story
        another, lost = story.begin()
        upload = self.db.read(lambda tx: tx.transfers.staged(another))
        story.services.staging.discard(upload.object_name)
        imports.cancel(story.services, ADMIN, story.import_id)
        story.workers.start()
        self.assertEqual(ImportState.CANCELLED, story.wait_end().state)
        story.image_id, story.import_id = another, lost
        record = story.wait_end()
        self.assertEqual((ImportState.FAILED, errors.StagingLost.code), (record.state, record.error_code))
        self.assertEqual(([], 0), (story.files('staging'), self.staged()))
        self.assertIs(Status.QUEUED, story.image.status)
        staged = self.db.read(lambda tx: tx.usages.used(quota.STAGING, quota.BYTES))
        self.assertEqual(OTHERS, staged)
