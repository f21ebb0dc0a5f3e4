"""A step is tried again after what can pass by itself, never after anything else; each attempt is seen."""

import hashlib

import fixtures
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.domain import steps
from imagepipe.domain.import_ import Claim, Import, ImportState, Method, Plan, Target
from imagepipe.flows.run import MAX_BACK_OFF, Run
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture, step
from imagepipe.tests.fixtures.stories import SUCCESS, Story, check_aftermath

DATA = b'a small raw image' * 100
#: What can pass by itself. A code that is added here makes its step be tried again.
TRANSIENT = {
    'imagepipe.conversion.converter_missing',
    'imagepipe.data.unavailable',
    'imagepipe.database.unavailable',
    'imagepipe.identity.unavailable',
    'imagepipe.import.step_interrupted',
    'imagepipe.quota.limits_unavailable',
    'imagepipe.signature.key_manager_unavailable',
    'imagepipe.source.changed',
    'imagepipe.source.stalled',
    'imagepipe.source.truncated',
    'imagepipe.source.unavailable',
    'imagepipe.staging.unavailable',
    'imagepipe.store.transient',
}


class AttemptsSeenTestCase(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [(kind, {'database': kind}) for kind in KINDS]

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self, kind=self.database, memory=('bad',)))
        self.log = self.useFixture(fixtures.FakeLogger())  # the latest one hears everything
        self.bad = self.pipe.memory['bad']

    def begin(self, **how):
        image_id = self.pipe.image()
        self.pipe.stage(image_id, DATA)
        return self.pipe.start(image_id, stores=['bad', 'fast'], **how)

    def download(self, fault, **how):
        image_id = self.pipe.image()
        return self.pipe.start(image_id, uri=self.pipe.serve(image_id, DATA, fault), **how)

    def failures(self, found, name):
        """(attempt, code) of each failed attempt of a step; each has a sentence, and they are in order."""
        told = step(found, name)['failures']
        self.assertEqual(sorted(told, key=lambda failure: failure['at']), told)
        self.assertTrue(all(failure['message'] for failure in told))
        return [(failure['attempt'], failure['error_code']) for failure in told]

    def test_a_store_that_is_busy_twice(self):
        self.bad.fail_on_put(errors.StoreTransient, times=2)
        import_id = self.begin()
        found = self.pipe.succeed(import_id)
        busy = 'imagepipe.store.transient'
        self.assertEqual([(1, busy), (2, busy)], self.failures(found, 'store:bad'))
        self.assertEqual(
            ('done', 3), (step(found, 'store:bad')['state'], step(found, 'store:bad')['attempt'])
        )
        self.assertEqual([], self.failures(found, 'store:fast'))
        for attempt, wait in ((1, '0.0'), (2, '0.0')):
            said = f'Step store:bad of import {import_id} failed in attempt {attempt} of 3 with {busy}: '
            self.assertIn(said, self.log.output)
            self.assertIn(f'; again in {wait} s', self.log.output)

    def test_a_store_that_stays_busy(self):
        self.bad.fail_on_put(errors.StoreTransient)
        found = self.pipe.fail(self.begin(), 'imagepipe.store.transient', step='store:bad')
        self.assertEqual([1, 2, 3], [attempt for attempt, _ in self.failures(found, 'store:bad')])
        self.assertIn('; no attempt is left', self.log.output)

    def test_a_store_that_stays_busy_and_may_fail(self):
        self.bad.fail_on_put(errors.StoreTransient)
        import_id = self.begin(all_stores_must_succeed=False)
        found = self.pipe.succeed(import_id)
        self.assertEqual([1, 2, 3], [attempt for attempt, _ in self.failures(found, 'store:bad')])
        self.assertIn(
            f'Import {import_id} goes on without store bad: imagepipe.store.transient', self.log.output
        )

    def test_what_is_for_good_is_not_tried_again(self):
        for error in (errors.StoreFull, errors.StoreDenied, errors.StorePermanent):
            self.bad.fail_on_put(error)
            found = self.pipe.fail(self.begin(), error.code, step='store:bad')
            self.assertEqual([(1, error.code)], self.failures(found, 'store:bad'))
        self.assertEqual(3, self.log.output.count('it is not tried again'))

    def test_a_database_that_is_busy_is_no_failure_of_the_store(self):
        self.bad.fail_on_put(errors.DatabaseUnavailable, times=1)
        found = self.pipe.succeed(self.begin())
        # The run was given up, as if its worker had died, and gone on with.
        self.assertEqual([(1, 'imagepipe.import.step_interrupted')], self.failures(found, 'store:bad'))

    def test_a_source_that_is_busy_twice(self):
        found = self.pipe.succeed(self.download(Fault(flaky=(2, 3))))
        busy = 'imagepipe.source.unavailable'
        self.assertEqual([(1, busy), (2, busy)], self.failures(found, 'stage'))

    def test_a_bad_digest_is_for_good(self):
        expected = {'sha256': hashlib.sha256(b'something else').hexdigest()}
        import_id = self.download(None, expected=expected)
        found = self.pipe.fail(import_id, 'imagepipe.data.digest_mismatch')
        failed = found['error']['step']
        self.assertEqual([(1, 'imagepipe.data.digest_mismatch')], self.failures(found, failed))
        self.assertEqual(1, step(found, 'stage')['attempt'])
        gets = [request for request in self.pipe.source.requests if request.method == 'GET']
        self.assertEqual(1, len(gets))


class InterruptedTestCase(testtools.TestCase):
    def test_an_attempt_that_died_with_its_worker_is_seen(self):
        story = self.useFixture(Story(self))
        story.workers.start(point='stage:execute.inside').wait_killed()
        story.expire()
        story.workers.start()
        story.wait_end()
        found = story.db.read(lambda tx: tx.steps.of_imports([story.import_id]))[story.import_id]
        stage = next(each for each in found if each.name == steps.STAGE)
        self.assertEqual(
            (2, [(1, 'imagepipe.import.step_interrupted')]),
            (stage.attempt, [(failure.attempt, failure.code) for failure in stage.failures]),
        )
        check_aftermath(story, SUCCESS)


class ClassesTestCase(testtools.TestCase):
    """What is tried again, and how long is waited before."""

    def test_the_errors_that_can_pass_by_themselves(self):
        found = {code for code, error in errors.REGISTRY.items() if error.transient}
        self.assertEqual(TRANSIENT, found)

    def test_the_pause_doubles_up_to_a_bound(self):
        target = Target(store='fast', disk_format='raw', representation_id='r', location_id='l')
        plan = Plan(
            disk_format='raw', container_format='bare', must_succeed=True, digests=(), os_hash_algo='sha512',
            targets=(target,), backoff=2.0,
        )  # fmt: skip
        record = Import(
            id='i', image_id='m', plan=plan, method=Method.WEB_DOWNLOAD, state=ImportState.RUNNING
        )
        run = Run(record, Claim(import_id='i', image_id='m', owner='w', epoch=1), None)
        self.assertEqual([0.0, 2.0, 4.0, 8.0], [run.back_off_before(attempt) for attempt in (1, 2, 3, 4)])
        self.assertEqual(MAX_BACK_OFF, run.back_off_before(100))
