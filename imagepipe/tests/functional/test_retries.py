"""Asking once more for an import that failed: what is needed for it, and what must not be there any more."""

import io

import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain.import_ import ImportState, Method
from imagepipe.domain.import_request import ImportRequest
from imagepipe.operations import data, deletion, imports, retries
from imagepipe.tests.fixtures.databases import DATABASES
from imagepipe.tests.fixtures.endings import end
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.keystone import KeystoneFixture
from imagepipe.tests.fixtures.regions import Region
from imagepipe.tests.fixtures.stories import ADMIN, OWNER, SUCCESS, Ending, Story, check_aftermath

GONE = Fault(status=404)


class RetryCase(testtools.TestCase):
    def cancelled(self, **options) -> Story:
        """An import that was cancelled before a worker took it."""
        story = self.useFixture(Story(self, **options))
        end(story.services, story.import_id)
        return story

    def retry(self, story, import_id=None):
        """The new import, which the story goes on with."""
        old = import_id or story.import_id
        found = retries.retry(story.services, story.context, old).import_
        story.earlier.append(old)
        story.import_id = found.id
        self.assertEqual((old, story.image_id), (found.retry_of, found.image_id))
        return found

    def refused(self, story, reason, error=errors.ImportNotRetryable, import_id=None):
        found = self.assertRaises(error, self.retry, story, import_id)
        self.assertEqual(409, found.status)
        self.assertIn(reason, found.message)

    def stage(self, story) -> None:
        sizes = {'content_length': len(story.body), 'announced_size': None}
        data.stage(story.services, ADMIN, story.image_id, io.BytesIO(story.body), **sizes)


class WebDownloadTest(testscenarios.WithScenarios, RetryCase):
    scenarios = DATABASES

    def failed(self, **options) -> Story:
        story = self.useFixture(
            Story(self, kind=self.database_kind, method=Method.WEB_DOWNLOAD, fault=GONE, **options)
        )
        story.workers.start()
        self.assertEqual(ImportState.FAILED, story.wait_end().state)
        return story

    def test_the_same_source_goes_into_the_same_stores(self) -> None:
        story = self.failed(must_succeed=False)
        old = story.record
        story.heal()
        new = self.retry(story)
        self.assertEqual(
            (old.plan.must_succeed, old.plan.expected, old.source_shown, OWNER),
            (new.plan.must_succeed, new.plan.expected, new.source_shown, new.owner),
        )
        self.assertEqual(
            [target.store for target in old.plan.targets], [target.store for target in new.plan.targets]
        )
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        check_aftermath(story, Ending(swept=True))
        self.refused(story, "it is 'succeeded'")

    def test_the_url_is_erased_with_the_last_use_for_it(self) -> None:
        story = self.failed()
        url = story.record.source_url
        self.assertIsNotNone(url)
        story.sweep()
        self.assertEqual(url, story.record.source_url)
        story.heal()
        self.retry(story)
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        story.sweep()
        (old,) = story.earlier
        kept = story.db.snapshot(
            lambda tx: [tx.imports.get(each).source_url for each in (old, story.import_id)]
        )
        self.assertEqual([None, None], kept)

    def test_the_url_is_erased_with_the_image(self) -> None:
        story = self.failed()
        deletion.delete(story.services, ADMIN, story.image_id)
        story.sweep()
        self.assertIsNone(story.record.source_url)

    def test_after_some_time_the_url_is_erased(self) -> None:
        story = self.failed(overrides={'secrets.keep_sources': 0})
        story.sweep()
        self.assertIsNone(story.record.source_url)
        self.refused(story, 'the URL of its source is no longer kept')


class OthersTest(RetryCase):
    def test_a_copy_goes_into_the_stores_that_are_left(self) -> None:
        story = self.cancelled(method=Method.COPY_IMAGE)
        old = story.import_id
        asked = {'method': {'name': 'copy-image'}, 'stores': [story.stores[0]]}
        other = imports.start(story.services, ADMIN, story.image_id, ImportRequest.parse(asked))
        self.refused(story, other.id, errors.ImportInProgress)
        story.workers.start()
        story.import_id = other.id
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        new = self.retry(story, old)
        self.assertEqual([story.stores[1]], [target.store for target in new.plan.targets])
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.refused(story, 'in all of its stores', import_id=old)

    def test_staged_data_must_be_there(self) -> None:
        story = self.cancelled()
        self.refused(story, 'stage it again')
        self.stage(story)
        self.retry(story)
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        check_aftermath(story, SUCCESS)

    def test_rights_to_another_region_are_handed_on_anew(self) -> None:
        region = self.useFixture(Region(self.useFixture(KeystoneFixture(self))))
        story = self.useFixture(
            Story(self, method=Method.GLANCE_DOWNLOAD, region=region, fault=Fault(status=404))
        )
        story.workers.start()
        failed = story.wait_end()
        self.assertEqual(ImportState.FAILED, failed.state)
        self.assertIsNotNone(failed.source_image.found)
        region.serve(story.image_id, story.body, disk_format='qcow2')
        new = self.retry(story)
        self.assertIsNotNone(new.trust_id)
        self.assertIsNone(new.source_image.found)
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)

    def test_an_import_that_has_not_ended(self) -> None:
        self.refused(self.useFixture(Story(self)), "it is 'accepted'")

    def test_a_location(self) -> None:
        story = self.cancelled(method=Method.LOCATION_IMPORT, stores=('web',))
        self.refused(story, 'at a location')

    def test_an_image_that_is_gone(self) -> None:
        story = self.cancelled(method=Method.WEB_DOWNLOAD)
        deletion.delete(story.services, ADMIN, story.image_id)
        self.refused(story, 'its image was deleted, or is not one that you see')

    def test_an_image_that_has_its_data(self) -> None:
        story = self.cancelled(method=Method.WEB_DOWNLOAD, content='qcow2')
        sizes = {'content_length': len(story.body), 'announced_size': None}
        data.upload(story.services, ADMIN, story.image_id, io.BytesIO(story.body), store='fast', **sizes)
        self.refused(story, "needs 'queued'", errors.ImportWrongStatus)

    def test_a_key_that_is_gone(self) -> None:
        story = self.cancelled(method=Method.WEB_DOWNLOAD)
        story.db.run(lambda tx: tx.imports.record(story.import_id, source_url='encrypted with another key'))
        self.refused(story, 'cannot be decrypted')
