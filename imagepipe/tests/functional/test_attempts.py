"""Interruptions are counted per step; what cannot be run is given up or left alone, and hinders nobody."""

import dataclasses
import json
import signal

import sqlalchemy as sa
import testtools
from oslo_utils import uuidutils

from imagepipe.db import schema
from imagepipe.domain import steps
from imagepipe.domain.image import Status
from imagepipe.domain.import_ import FLOWS, ImportState, Method, Step, StepState
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.stories import SUCCESS, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.workers import wait_until

#: A flow of a release that is not written yet.
NEWER = max(FLOWS.values()) + 1
EXHAUSTED = Ending(state=ImportState.FAILED, error_code='imagepipe.import.attempts_exhausted')
REFUSED = Ending(state=ImportState.FAILED, error_code='imagepipe.store.permanent')
UNKNOWN = Ending(state=ImportState.FAILED, error_code='imagepipe.import.flow_unknown', swept=True)
UNREADABLE = Ending(state=ImportState.FAILED, error_code='imagepipe.import.unreadable')


class AttemptsTestCase(testtools.TestCase):
    kind = 'sqlite'

    def story(self, **options: object) -> Story:
        return self.useFixture(Story(self, kind=self.kind, **options))

    def interrupt(self, story: Story, point: str, times: int) -> None:
        """So many workers die at the same point, one after the other."""
        for _ in range(times):
            story.workers.start(point=point).wait_killed()
            story.expire()

    def step(self, story: Story, name: str) -> Step:
        found = story.db.read(lambda tx: tx.steps.of_imports([story.import_id]))[story.import_id]
        return next(each for each in found if each.name == name)

    def end(self, story: Story, ending: Ending) -> None:
        story.workers.start()
        story.wait_end()
        check_aftermath(story, ending)

    def test_too_many_interruptions_of_one_step_revert_the_import(self) -> None:
        for point in ('stage:execute.inside', 'convert:raw:execute.inside', 'store:fast:execute.inside'):
            story = self.story(stores=('fast',))
            self.interrupt(story, point, 3)
            self.end(story, EXHAUSTED)
            self.assertEqual(point.rsplit(':', 1)[0], story.record.error_step)
            self.assertIn('3 times', story.record.error_message)

    def test_an_active_image_whose_hashing_kills_its_workers_is_left_unhashed(self) -> None:
        story = self.story(method=Method.LOCATION_IMPORT, stores=('web',), overrides={'http_retries': 2})
        self.interrupt(story, 'hash:execute.inside', 2)
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        self.assertEqual(StepState.FAILED, story.steps()[steps.HASH])
        self.assertEqual((Status.ACTIVE, None), (story.image.status, story.image.checksum))

    def test_one_less_does_not(self) -> None:
        story = self.story(method=Method.WEB_DOWNLOAD)
        self.interrupt(story, 'stage:execute.inside', 2)
        self.end(story, SUCCESS)

    def test_a_completed_step_starts_again_at_none(self) -> None:
        story = self.story()
        self.interrupt(story, 'verify:raw:execute.inside', 2)
        self.interrupt(story, 'store:fast:execute.inside', 1)
        self.assertEqual(0, self.step(story, steps.verify('raw')).crashes)
        self.interrupt(story, 'store:fast:execute.inside', 1)
        self.end(story, SUCCESS)

    def test_whoever_watches_sees_the_attempt_and_who_makes_it(self) -> None:
        story = self.story()
        self.interrupt(story, 'verify:raw:execute.inside', 2)
        worker = story.workers.start(point='verify:raw:execute.inside', stop=True)
        worker.wait_stopped()
        step = self.step(story, steps.verify('raw'))
        self.assertEqual(3, step.attempt)
        self.assertIn(f':{worker.pid}:', step.worker)
        worker.go_on()
        story.wait_end()
        check_aftermath(story, SUCCESS)

    def test_an_interrupted_revert_keeps_its_cause(self) -> None:
        story = self.story(refusing=('cheap',))
        self.interrupt(story, 'stage:revert.inside', 2)
        self.end(story, REFUSED)

    def test_a_revert_that_kills_its_workers_is_left_to_the_sweeper(self) -> None:
        # The attempts of the step itself are not those of undoing it.
        story = self.story(stores=('fast',))
        self.interrupt(story, 'store:fast:execute.inside', 3)
        self.interrupt(story, 'store:fast:revert.inside', 3)
        story.workers.start(point='store:fast:revert.inside')
        story.wait_end()
        check_aftermath(story, dataclasses.replace(EXHAUSTED, swept=True))

    def test_a_graceful_stop_never_counts(self) -> None:
        story = self.story(
            method=Method.WEB_DOWNLOAD,
            fault=Fault(stall_after=1000),
            overrides={'conductor.grace': 0},
        )
        for _ in range(5):
            worker = story.workers.start()
            wait_until(story.source.stalled.is_set, 'the download is in its middle')
            story.source.stalled.clear()
            self.assertEqual(0, worker.stop())
            self.assertIsNone(story.record.claim_owner)
        step = self.step(story, steps.STAGE)
        self.assertEqual((0, 5), (step.crashes, step.attempt))
        story.source.release.set()
        self.end(story, SUCCESS)

    def test_a_graceful_stop_ends_between_two_steps(self) -> None:
        # Stopped inside a step, told to end while it stands, continued: the step ends, no other begins.
        story = self.story()
        worker = story.workers.start(point='stage:execute.inside', stop=True)
        worker.wait_stopped()
        worker.signal(signal.SIGTERM)
        worker.go_on()
        self.assertEqual(0, worker.wait())
        self.assertIsNone(story.record.claim_owner)
        self.assertEqual({0}, {self.step(story, name).crashes for name in story.steps()})
        self.end(story, SUCCESS)


class AttemptsPostgreSQLTestCase(AttemptsTestCase):
    kind = 'postgresql'


class UnrunnableTestCase(testtools.TestCase):
    """Records that this release cannot run."""

    def story(self, **options: object) -> Story:
        return self.useFixture(Story(self, **options))

    def rewrite(self, story: Story, import_id: str, **columns: object) -> None:
        story.db.run(
            lambda tx: tx.connection.execute(
                sa.update(schema.imports).where(schema.imports.c.id == import_id).values(**columns)
            )
        )

    def test_a_garbled_record_is_given_up_once_and_leaves_nothing(self) -> None:
        for column, text in (
            ('plan', '{garbled'),
            ('plan', '[]'),
            ('plan', '{"targets": 3}'),
            ('plan', '{}'),
            ('plan', json.dumps({'targets': [], 'digests': []})),
            ('staged', '{'),
            ('source_image', '{}'),
        ):
            story = self.story()
            self.rewrite(story, story.import_id, **{column: text})
            self.assertIsNone(story.record.plan, text)
            worker = story.workers.start()
            story.wait_end()
            self.assertEqual(0, worker.stop())
            check_aftermath(story, UNREADABLE)
            self.assertEqual(1, story.record.epoch)

    def test_a_garbled_result_says_nothing_of_stores(self) -> None:
        story = self.story()
        self.rewrite(story, story.import_id, result='3')
        story.workers.start()
        record = story.wait_end()
        self.assertEqual(
            (ImportState.FAILED, UNREADABLE.error_code, {}),
            (record.state, record.error_code, record.result['stores']),
        )
        self.assertEqual(Status.QUEUED, story.image.status)

    def test_a_garbled_plan_halfway_leaves_nothing_either(self) -> None:
        for point in ('convert:raw:execute.inside', 'store:cheap:execute.inside', 'store:fast:execute.after'):
            story = self.story()
            story.workers.start(point=point).wait_killed()
            self.rewrite(story, story.import_id, plan='{garbled')
            story.expire()
            story.workers.start()
            story.wait_end()
            check_aftermath(
                story,
                Ending(
                    state=ImportState.FAILED,
                    error_code='imagepipe.import.unreadable',
                    swept=True,
                ),
            )

    def test_a_committed_import_with_a_garbled_plan_stays_committed(self) -> None:
        story = self.story()
        story.workers.start(point='activate:execute.after').wait_killed()
        self.rewrite(story, story.import_id, plan='{garbled')
        story.expire()
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)

    def test_an_unreadable_import_does_not_block_others(self) -> None:
        story = self.story()
        _, other = story.begin()
        self.rewrite(story, story.import_id, plan='{garbled')
        story.workers.start()
        self.assertEqual(ImportState.FAILED, story.wait_end().state)
        wait_until(
            lambda: story.db.read(lambda tx: tx.imports.get(other).state is ImportState.SUCCEEDED),
            'the other import ends',
        )

    def test_a_record_that_no_release_has_written_blocks_nobody(self) -> None:
        story = self.story()
        _, other = story.begin()
        first = schema.import_steps.c.import_id == story.import_id
        for damage in ({'failures': '{'}, {'state': 'odd'}):
            story.db.run(
                lambda tx, damage=damage: tx.connection.execute(
                    sa.update(schema.import_steps).where(first).values(**damage)
                )
            )
        story.workers.start()
        wait_until(
            lambda: story.db.read(lambda tx: tx.imports.get(other)).state is ImportState.SUCCEEDED,
            'the other import ends, which comes after it',
        )

    def test_failures_that_cannot_be_read_are_none(self) -> None:
        story = self.story()
        story.db.run(lambda tx: tx.connection.execute(sa.update(schema.import_steps).values(failures='{')))
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)

    def test_imports_of_a_newer_flow_are_left_alone_and_block_nobody(self) -> None:
        story = self.story()
        newer = [self._newer(story) for _ in range(60)]  # more than one look at the board fetches
        _, import_id = story.begin()
        story.import_id, first = import_id, story.import_id
        self.rewrite(story, first, flow_version=max(FLOWS.values()) + 1)
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)
        for left in (first, *newer):
            record = story.db.read(lambda tx, left=left: tx.imports.get(left))
            self.assertEqual((ImportState.ACCEPTED, 0), (record.state, record.epoch))

    def given_up(self, story: Story) -> None:
        """Nobody has known its flow for as long as anybody waits."""
        story.sweep()
        self.assertIsNotNone(self.unknown_since(story))
        self.rewrite(story, story.import_id, unknown_since=0.0)

    def unknown_since(self, story: Story) -> float | None:
        with story.db.engine.connect() as connection:
            columns = schema.imports.c
            statement = sa.select(columns.unknown_since).where(columns.id == story.import_id)
            return connection.execute(statement).scalar_one()

    def test_a_flow_that_nobody_knows_is_reverted_after_a_deadline(self) -> None:
        story = self.story()
        self.rewrite(story, story.import_id, flow_version=NEWER)
        worker = story.workers.start()
        story.sweep()
        wait_until(lambda: story.beats(worker) > 1, 'the worker has looked for imports')
        self.assertEqual((ImportState.ACCEPTED, 0), (story.record.state, story.record.epoch))
        self.given_up(story)
        story.wait_end()
        check_aftermath(story, UNKNOWN)

    def test_what_an_unknown_flow_has_begun_is_swept(self) -> None:
        for point in ('convert:raw:execute.inside', 'store:cheap:execute.inside', 'store:fast:execute.after'):
            story = self.story()
            story.workers.start(point=point).wait_killed()
            self.rewrite(story, story.import_id, flow_version=NEWER)
            story.expire()
            self.given_up(story)
            story.workers.start()
            story.wait_end()
            check_aftermath(story, UNKNOWN)

    def test_an_unknown_flow_that_was_handed_over_between_two_steps_ends_too(self) -> None:
        story = self.story()
        worker = story.workers.start(point='stage:execute.inside', stop=True)
        worker.wait_stopped()
        worker.signal(signal.SIGTERM)
        worker.go_on()
        self.assertEqual(0, worker.wait())
        self.rewrite(story, story.import_id, flow_version=NEWER)
        self.given_up(story)
        story.workers.start()
        story.wait_end()
        check_aftermath(story, UNKNOWN)

    def test_cancelled_by_its_user_it_is_cancelled_and_committed_it_is_committed(self) -> None:
        story = self.story()
        self.rewrite(story, story.import_id, flow_version=NEWER)
        story.cancel()
        self.given_up(story)
        story.workers.start()
        self.assertEqual(ImportState.CANCELLED, story.wait_end().state)
        story = self.story()
        story.workers.start(point='activate:execute.after').wait_killed()
        self.rewrite(story, story.import_id, flow_version=NEWER)
        story.expire()
        self.given_up(story)
        story.workers.start()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)

    def test_it_waits_as_long_as_there_is_somebody_who_knows_it(self) -> None:
        story = self.story()
        self.rewrite(story, story.import_id, flow_version=NEWER)
        story.sweep()
        self.assertIsNotNone(self.unknown_since(story))
        name = 'newer:1:x'
        story.db.run(lambda tx: tx.workers.seen(name, host='newer', pid=1, version='2', flows=[1, NEWER]))
        story.sweep()
        self.assertIsNone(self.unknown_since(story))
        story.db.run(lambda tx: tx.workers.gone(name))
        story.sweep()
        since = self.unknown_since(story)
        story.sweep()
        self.assertEqual(since, self.unknown_since(story))

    def test_what_somebody_has_taken_is_not_given_up_when_he_hands_it_over(self) -> None:
        story = self.story()
        self.rewrite(story, story.import_id, unknown_since=1.0)  # an older sweeper's, when nobody knew it
        worker = story.workers.start(point='stage:execute.inside', stop=True)
        worker.wait_stopped()
        story.sweep()
        self.assertIsNone(self.unknown_since(story))
        worker.go_on()
        self.assertEqual(ImportState.SUCCEEDED, story.wait_end().state)

    def _newer(self, story: Story) -> str:
        """An import that a newer release has accepted, before ours."""
        new_id = uuidutils.generate_uuid()

        def change(tx: object) -> None:
            row = dict(
                tx.connection.execute(sa.select(schema.imports).where(schema.imports.c.id == story.import_id))
                .mappings()
                .one()
            )
            tx.connection.execute(
                sa.insert(schema.imports).values(
                    row
                    | {
                        'id': new_id,
                        'image_id': new_id,
                        'live_image_id': new_id,
                        'flow_version': max(FLOWS.values()) + 1,
                    }
                )
            )

        story.db.run(change)
        return new_id
