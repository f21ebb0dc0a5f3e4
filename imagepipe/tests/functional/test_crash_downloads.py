"""Workers killed in the atoms that only a glance-download has, and while it fetches.

As in test_crash_matrix, where the atoms are killed that all flows have. The source is a region in the
catalog of a real Keystone; each import has a trust, and none has one when it has ended.
"""

import dataclasses
from typing import ClassVar

import testtools
from taskflow import atom
from taskflow.engines.action_engine import compiler
from taskflow.patterns import linear_flow

from imagepipe.domain import steps
from imagepipe.domain.import_ import AS_SOURCE, ImportState, Method, Plan, Target
from imagepipe.flows import download_v1, import_v1
from imagepipe.tests.fixtures import crashing
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.keystone import KeystoneFixture
from imagepipe.tests.fixtures.regions import Region
from imagepipe.tests.fixtures.stories import SUCCESS, Ending, Story, check_aftermath

STORES = ('fast', 'cheap')
REFUSED = Ending(
    state=ImportState.FAILED, error_code='imagepipe.store.permanent', error_step=steps.store('cheap')
)
GIVEN_UP = Ending(state=ImportState.FAILED, error_code='imagepipe.import.attempts_exhausted')
#: A source without validators, as Glance is.
UNNAMED = Fault(etag='', last_modified='')
CANCELLED = Ending(state=ImportState.CANCELLED, error_code='imagepipe.import.cancelled')


class CrashTestCase(testtools.TestCase):
    region: ClassVar[Region]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        keystone = KeystoneFixture(cls('setUpClass'))
        cls.region = Region(keystone)
        for fixture in (keystone, cls.region):
            cls.addClassCleanup(fixture.cleanUp)
            fixture.setUp()

    def story(self, **more: object) -> Story:
        return self.useFixture(
            Story(self, method=Method.GLANCE_DOWNLOAD, stores=STORES, region=self.region, **more)
        )

    def crash(self, point: str, ending: Ending = SUCCESS, **more: object) -> Story:
        story = self.story(**more)
        story.workers.start(point=point).wait_killed()
        self.end(story, ending)
        return story

    def end(self, story: Story, ending: Ending) -> None:
        """Another worker ends what the dead one held; the trust was there until then."""
        self.assertEqual([story.record.trust_id], [trust['id'] for trust in self.region.keystone.trusts()])
        story.expire()
        story.workers.start()
        story.wait_end()
        check_aftermath(story, ending)
        self.assertEqual([], self.region.keystone.trusts())

    def test_while_it_asks_what_the_image_is(self) -> None:
        self.crash(f'{steps.DESCRIBE}:execute.inside')

    def test_around_the_retry_of_that(self) -> None:
        self.crash('retry:describe:execute.after')

    def test_while_it_fetches(self) -> None:
        """The successor goes on where it ended: the source's hash says that it is the same data."""
        story = self.crash(f'{steps.STAGE}:execute.inside', fault=UNNAMED)
        whole, rest = self.ranges(story)
        self.assertIsNone(whole)
        self.assertRegex(rest, r'bytes=[1-9][0-9]*-')

    def test_while_it_fetches_from_a_source_without_ranges(self) -> None:
        fault = dataclasses.replace(UNNAMED, ranges=False)
        story = self.crash(f'{steps.STAGE}:execute.inside', fault=fault)
        whole, _, again = self.ranges(story)
        self.assertEqual((None, None), (whole, again))

    def ranges(self, story: Story) -> list[str | None]:
        path = f'{self.region.path(story.image_id)}/file'
        return [request.range for request in self.region.server.requests_to(path)]

    def test_while_it_is_reverted(self) -> None:
        self.crash(f'{steps.DESCRIBE}:revert.inside', REFUSED, refusing=('cheap',))

    def test_after_the_commit(self) -> None:
        self.crash(f'{steps.DISCARD}:execute.inside')

    def test_a_cancel_after_the_death_ends_the_trust(self) -> None:
        story = self.story()
        story.workers.start(point=f'{steps.STAGE}:execute.inside').wait_killed()
        story.cancel()
        self.end(story, CANCELLED)

    def test_so_does_the_last_attempt(self) -> None:
        self.crash(f'{steps.STAGE}:execute.inside', GIVEN_UP, overrides={'conductor.max_attempts': 1})


class AtomsTestCase(testtools.TestCase):
    def test_the_atoms_that_the_matrix_does_not_kill(self) -> None:
        """All others are those of web-download; a new one needs its kill points here."""
        targets = tuple(
            Target(store=store, disk_format=form, representation_id=form, location_id=store)
            for store, form in zip(STORES, (AS_SOURCE, 'raw'), strict=True)
        )
        plan = Plan(
            disk_format=AS_SOURCE, container_format=AS_SOURCE, targets=targets, must_succeed=True,
            digests=('md5', 'sha512'), os_hash_algo='sha512', decompress=True,
        )  # fmt: skip
        known = atoms(import_v1.import_flow(plan, Method.WEB_DOWNLOAD))
        own = atoms(download_v1.download_flow(plan, Method.GLANCE_DOWNLOAD))
        self.assertEqual({'describe', 'retry:describe'}, own - known)
        self.assertEqual(set(), known - own)


def atoms(flow: linear_flow.Flow) -> set[str]:
    """The names of a flow's atoms, each of which says what is in the middle of it."""
    nodes = compiler.PatternCompiler(flow).compile().execution_graph
    return {node.name for node in nodes if isinstance(node, atom.Atom) and crashing.moments(node)}
