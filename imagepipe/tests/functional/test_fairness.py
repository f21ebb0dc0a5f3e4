"""Imports of several projects and sizes meet in one conductor: nobody waits for all that others have."""

import testtools

from imagepipe.domain.import_ import Import, ImportState, Method
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.stories import Story
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until


class FairnessTestCase(testtools.TestCase):
    kind = 'sqlite'

    def story(self, **settings: object) -> Story:
        """Downloads of which nobody knows how big they are, so they count as big."""
        return self.useFixture(
            Story(
                self,
                kind=self.kind,
                method=Method.WEB_DOWNLOAD,
                fault=Fault(stall_after=1000),
                overrides={f'conductor.{name}': value for name, value in settings.items()},
            )
        )

    def record(self, story: Story, import_id: str) -> Import:
        return story.db.read(lambda tx: tx.imports.get(import_id))

    def test_a_small_import_goes_by_while_big_ones_take_their_time(self) -> None:
        story = self.story(imports_per_worker=2, small_slots=1)
        _, waiting = story.begin()
        story.workers.start()
        self.assertTrue(story.source.stalled.wait(PATIENCE))
        story.method = Method.GLANCE_DIRECT
        _, small = story.begin()
        wait_until(lambda: self.record(story, small).state is ImportState.SUCCEEDED, 'the small import ends')
        self.assertEqual(ImportState.RUNNING, story.record.state)
        self.assertEqual(
            (ImportState.ACCEPTED, 0), (self.record(story, waiting).state, self.record(story, waiting).epoch)
        )
        story.source.release.set()
        for import_id in (story.import_id, waiting):
            wait_until(
                lambda import_id=import_id: self.record(story, import_id).state is ImportState.SUCCEEDED,
                'a big import ends',
            )

    def test_a_host_takes_no_more_than_it_shall(self) -> None:
        story = self.story(imports_per_worker=4, small_slots=0, imports_per_host=1)
        _, waiting = story.begin()
        workers = [story.workers.start() for _ in range(2)]
        self.assertTrue(story.source.stalled.wait(PATIENCE))
        for worker in workers:  # each has looked at what waits, many times
            wait_until(lambda worker=worker: story.beats(worker) > 2, 'the worker lives on')
        self.assertEqual(0, self.record(story, waiting).epoch)
        story.source.release.set()
        wait_until(
            lambda: self.record(story, waiting).state is ImportState.SUCCEEDED, 'the one that waited ends'
        )
        self.assertEqual(ImportState.SUCCEEDED, story.record.state)

    def test_bytes_that_come_from_a_source_hold_up_the_next_big_one(self) -> None:
        story = self.story(imports_per_worker=4, small_slots=0, bytes_per_host=1, unknown_bytes=0)
        worker = story.workers.start()
        self.assertTrue(story.source.stalled.wait(PATIENCE))
        wait_until(lambda: self.record(story, story.import_id).weight > 0, 'its bytes count')
        _, waiting = story.begin()
        seen = story.beats(worker)
        wait_until(lambda: story.beats(worker) > seen + 1, 'the worker lives on')
        self.assertEqual(0, self.record(story, waiting).epoch)
        story.source.release.set()
        wait_until(
            lambda: self.record(story, waiting).state is ImportState.SUCCEEDED, 'the one that waited ends'
        )

    def test_one_whose_size_nobody_knows_yet_holds_up_the_next_at_once(self) -> None:
        story = self.story(imports_per_worker=4, small_slots=0, bytes_per_host=1)
        _, waiting = story.begin()
        worker = story.workers.start()
        self.assertTrue(story.source.stalled.wait(PATIENCE))
        seen = story.beats(worker)
        wait_until(lambda: story.beats(worker) > seen + 1, 'the worker lives on')
        self.assertEqual(
            [0, 1], sorted(self.record(story, each).epoch for each in (story.import_id, waiting))
        )
        story.source.release.set()
        for import_id in (story.import_id, waiting):
            wait_until(
                lambda import_id=import_id: self.record(story, import_id).state is ImportState.SUCCEEDED,
                'each ends',
            )


class FairnessPostgreSQLTestCase(FairnessTestCase):
    kind = 'postgresql'
