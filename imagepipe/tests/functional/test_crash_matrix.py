"""Workers killed at every moment of every atom: the import ends as if nothing had happened.

The kill points come from the compiled flows themselves, so a new atom has its points, or the
first test here fails. Each class is a column of the matrix; the tests of a class are its kill
points, each of them one import in a cloud of its own:

    a worker runs the import and is killed at the point (SIGKILL, at that very line),
    its claim runs out, another worker takes the import over and ends it,
    and stories.check_aftermath() looks at everything there is.

By default each atom and moment is killed once for each method on SQLite, and on PostgreSQL each
atom inside by one method and after by the other. IMAGEPIPE_FULL_MATRIX=1 runs the whole product.
"""

import dataclasses
import hashlib
import os
from collections.abc import Iterable

import testscenarios
import testtools
from taskflow import atom, retry
from taskflow.engines.action_engine import compiler

from imagepipe.domain import steps
from imagepipe.domain.import_ import FLOWS, ImportState, Method, Plan, Target
from imagepipe.flows import registry
from imagepipe.tests.fixtures import crashing, images
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.stories import PLAIN, SUCCESS, Ending, Story, check_aftermath
from imagepipe.tests.fixtures.stories import WEB as WEB_STORE

FULL = os.environ.get('IMAGEPIPE_FULL_MATRIX') == '1'
STORES = ('fast', 'cheap')

#: Nothing of these is reverted: when they run, the import is committed.
AFTER_THE_COMMIT = frozenset({steps.NOTIFY, steps.DISCARD})

ALL_REFUSED = Ending(
    state=ImportState.FAILED, error_code='imagepipe.import.all_stores_failed', error_step=steps.ACTIVATE
)
OTHER_DATA = Ending(
    state=ImportState.FAILED, error_code='imagepipe.data.digest_mismatch', error_step=steps.HASH
)
NO_SOURCE = Ending(
    state=ImportState.FAILED, error_code='imagepipe.source.unavailable', error_step=steps.STAGE
)

#: Atoms that an import which is killed in a store has not come to, and whose reverts are never called.
NOT_YET_RUN = frozenset({steps.ACTIVATE, *AFTER_THE_COMMIT})
CANCELLED = Ending(state=ImportState.CANCELLED, error_code='imagepipe.import.cancelled')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
    """What the imports of a class have in common."""

    method: Method
    stores: tuple[str, ...]
    must_succeed: bool
    kind: str = 'sqlite'
    #: Which moments are killed when the matrix is not run in full; None: all.
    moments: tuple[str, ...] | None = None
    #: The request says what the digest of the data is.
    validated: bool = False

    def plan(self) -> Plan:
        """A plan like those of the column's imports, as far as the flow's shape goes."""
        last = 'qcow2' if self.method in PLAIN else 'raw'
        formats = ['qcow2'] * (len(self.stores) - 1) + [last]
        targets = tuple(
            Target(store=store, disk_format=disk_format, representation_id=disk_format, location_id=store)
            for store, disk_format in zip(self.stores, formats, strict=True)
        )
        return Plan(
            disk_format='qcow2',
            container_format='bare',
            targets=targets,
            must_succeed=self.must_succeed,
            digests=('md5', 'sha512'),
            os_hash_algo='sha512',
            decompress=True,
            expected={'sha512': ''} if self.validated else {},
        )

    def names(self) -> tuple[str, ...]:
        """The steps of the column's imports."""
        return steps.names(self.plan(), FLOWS[self.method])

    def atoms(self) -> list[atom.Atom]:
        """Every atom of the execution graph."""
        flow = registry.FACTORIES[FLOWS[self.method]](self.plan(), self.method)
        graph = compiler.PatternCompiler(flow).compile().execution_graph
        return [node for node in graph if isinstance(node, atom.Atom)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kill:
    """One run: the point, what is wrong besides, and the end that the import must have."""

    point: crashing.Point
    ending: Ending = SUCCESS
    refusing: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    fault: Fault | None = None
    #: What the request says is another data's digest.
    mismatch: bool = False


def refused(column: Column, store: str) -> Ending:
    """A store had to succeed and did not."""
    step = (steps.copy if column.method is Method.COPY_IMAGE else steps.store)(store)
    return Ending(state=ImportState.FAILED, error_code='imagepipe.store.permanent', error_step=step)


#: Of every two requests the first fails: each step that reads has to be tried again.
EVERY_OTHER = Fault(flaky=(1, 2))


def kill(column: Column, node: atom.Atom, moment: str) -> Kill | None:
    """The run that kills at a moment of an atom; None where an import of this column has no such moment."""
    point = crashing.Point(node.name, moment)
    phase, when = moment.split('.')
    if column.method is Method.LOCATION_IMPORT:
        return _located(column, node, point)
    if phase == crashing.EXECUTE and when != 'failed':
        return Kill(point=point)
    if phase == crashing.REVERT and node.name not in AFTER_THE_COMMIT:
        return _reverted(column, point)
    if phase == crashing.FAILURE or when == 'failed':
        return _failed(column, node, point)
    return None


def _located(column: Column, node: atom.Atom, point: crashing.Point) -> Kill | None:
    """Nothing but another digest than the expected one makes it fail for good; all else is tried again."""
    phase, when = point.moment.split('.')
    if phase == crashing.FAILURE and point.atom == 'decide':
        return Kill(point=point, ending=OTHER_DATA, mismatch=True) if column.validated else None
    if phase == crashing.FAILURE or when == 'failed':
        reads = point.atom.removeprefix('retry:') in (steps.CHECK, steps.HASH)
        return Kill(point=point, fault=EVERY_OTHER) if reads else None
    if phase == crashing.EXECUTE:
        return Kill(point=point)
    if column.validated:
        return None if point.atom in NOT_YET_RUN else Kill(point=point, ending=OTHER_DATA, mismatch=True)
    # Before it is tried again, it is reverted.
    return Kill(point=point, fault=EVERY_OTHER) if point.atom == steps.HASH else None


def _reverted(column: Column, point: crashing.Point) -> Kill | None:
    if column.must_succeed:
        if point.atom == steps.ACTIVATE:
            return None
        return Kill(point=point, ending=refused(column, column.stores[-1]), refusing=column.stores[-1:])
    return Kill(point=point, ending=ALL_REFUSED, refusing=column.stores)


def _failed(column: Column, node: atom.Atom, point: crashing.Point) -> Kill | None:
    """The atom itself fails, or decides over the failure of what it stands around."""
    around = point.atom.removeprefix('retry:')
    store = around.removeprefix('copy:').removeprefix('store:')
    if store in column.stores and column.must_succeed:
        return Kill(point=point, ending=refused(column, store), refusing=(store,))
    if store in column.stores:
        return Kill(point=point, flaky=(store,))
    if around == steps.STAGE and column.method is Method.WEB_DOWNLOAD:
        return Kill(point=point, ending=NO_SOURCE, fault=Fault(status=503))
    if isinstance(node, retry.Retry) or (point.atom == steps.ACTIVATE and not column.must_succeed):
        return _reverted(column, point)
    return None


def kills(column: Column) -> list[Kill]:
    """Every run of a column."""
    found = (kill(column, node, moment) for node in column.atoms() for moment in crashing.moments(node))
    return [run for run in found if run is not None]


def scenarios(column: Column) -> list[tuple[str, dict[str, object]]]:
    """The column's runs, each with the name of its point."""
    wanted = None if FULL else column.moments
    return [
        (str(run.point), {'column': column, 'kill': run})
        for run in kills(column)
        if wanted is None or run.point.moment in wanted
    ]


DIRECT, WEB = Method.GLANCE_DIRECT, Method.WEB_DOWNLOAD
COPY, LOCATION = Method.COPY_IMAGE, Method.LOCATION_IMPORT
INSIDE = ('execute.inside', 'revert.inside')
INSIDE_AND_AFTER = (*INSIDE, 'execute.after', 'revert.after', 'failure.after')

DIRECT_MUST = Column(method=DIRECT, stores=STORES, must_succeed=True)
WEB_MAY = Column(method=WEB, stores=STORES, must_succeed=False)
DIRECT_MAY = Column(method=DIRECT, stores=STORES, must_succeed=False, moments=('execute.inside',))
WEB_MUST = Column(method=WEB, stores=STORES, must_succeed=True, moments=INSIDE)
ONE_DIRECT_MUST = Column(method=DIRECT, stores=STORES[:1], must_succeed=True, moments=('execute.after',))
ONE_DIRECT_MAY = Column(method=DIRECT, stores=STORES[:1], must_succeed=False, moments=('revert.inside',))
ONE_WEB_MUST = Column(method=WEB, stores=STORES[:1], must_succeed=True, moments=('revert.after',))
ONE_WEB_MAY = Column(method=WEB, stores=STORES[:1], must_succeed=False, moments=('execute.inside',))
COPY_MAY = Column(method=COPY, stores=STORES[:1], must_succeed=False, moments=INSIDE_AND_AFTER)
COPIES_MUST = Column(method=COPY, stores=STORES, must_succeed=True, moments=INSIDE)
LOCATION_COMPARED = Column(
    method=LOCATION,
    stores=(WEB_STORE,),
    must_succeed=True,
    validated=True,
    moments=(*INSIDE, 'execute.after'),
)
LOCATION_HASHED_LATER = Column(
    method=LOCATION,
    stores=(WEB_STORE,),
    must_succeed=True,
    moments=('execute.inside', 'execute.after', 'failure.after'),
)
COLUMNS = (
    DIRECT_MUST,
    WEB_MAY,
    DIRECT_MAY,
    WEB_MUST,
    ONE_DIRECT_MUST,
    ONE_DIRECT_MAY,
    ONE_WEB_MUST,
    ONE_WEB_MAY,
    COPY_MAY,
    COPIES_MUST,
    LOCATION_COMPARED,
    LOCATION_HASHED_LATER,
)


def on_postgresql(column: Column, *moments: str) -> Column:
    """The same column on PostgreSQL."""
    return dataclasses.replace(column, kind='postgresql', moments=moments)


class EveryAtomHasPointsTestCase(testtools.TestCase):
    """The matrix covers what the flows have."""

    def test_each_atom_of_each_method_is_killed_when_it_runs_and_when_it_is_reverted(self) -> None:
        for method in Method:
            if method is Method.GLANCE_DOWNLOAD:  # its own atoms: test_crash_downloads
                continue
            whole = [column for column in COLUMNS if column.method is method and column.moments is None]
            self.assertEqual(0 if method in PLAIN else 1, len(whole))  # the others: in the full matrix
            self._check(method, [column for column in COLUMNS if column.method is method])

    def _check(self, method: Method, columns: Iterable[Column]) -> None:
        columns = list(columns)
        points = {run.point for column in columns for run in kills(column)}
        for node in next(iter(columns)).atoms():
            wanted = {crashing.Point(node.name, moment) for moment in crashing.moments(node)}
            missing = {str(point) for point in wanted - points if not self._never(method, node, point)}
            self.assertEqual(set(), missing, f'no kill point in {method}')

    def _never(self, method: Method, node: atom.Atom, point: crashing.Point) -> bool:
        """Moments that no import has: reverts after the commit, failures of steps that nothing makes fail."""
        if method is Method.LOCATION_IMPORT and point.atom == steps.ACTIVATE:
            return point.moment.startswith('revert.') or point.moment == 'execute.failed'
        if point.atom in AFTER_THE_COMMIT and point.moment.startswith('revert.'):
            return True
        fails = node.name.startswith(('store:', 'copy:')) or node.name in (
            steps.STAGE,
            steps.ACTIVATE,
            steps.CHECK,
            steps.HASH,
        )
        return (point.moment == 'execute.failed' and not fails) or (
            point == crashing.Point(steps.STAGE, 'execute.failed')
            and isinstance(node, crashing.stage.TakeStaged)
        )

    def test_a_step_that_does_not_say_what_is_inside_of_it_is_noticed(self) -> None:
        class Unknown(crashing.Step):
            pass

        self.assertRaises(KeyError, crashing.moments, Unknown('unknown'))


class Crash(testscenarios.WithScenarios):
    """One kill point of one column."""

    column: Column
    kill: Kill

    def test_killed(self) -> None:
        story = self.useFixture(
            Story(
                self,
                kind=self.column.kind,
                method=self.column.method,
                stores=self.column.stores,
                must_succeed=self.column.must_succeed,
                fault=self.kill.fault,
                refusing=self.kill.refusing,
                flaky=self.kill.flaky,
                expected=self.expected(),
            )
        )
        self.assertEqual(self.column.names(), tuple(story.steps()))
        story.workers.start(point=str(self.kill.point)).wait_killed()
        story.expire()
        taker = story.workers.start()
        story.wait_end()
        taker.kill()
        check_aftermath(story, self.kill.ending)

    def expected(self) -> str | None:
        """What a request says that the digest of its data is."""
        if not self.column.validated:
            return None
        return hashlib.sha512(b'other' if self.kill.mismatch else images.content('qcow2')).hexdigest()


class DirectMustTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(DIRECT_MUST)


class DirectMayTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(DIRECT_MAY)


class WebMustTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(WEB_MUST)


class WebMayTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(WEB_MAY)


class OneDirectMustTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(ONE_DIRECT_MUST)


class OneDirectMayTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(ONE_DIRECT_MAY)


class OneWebMustTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(ONE_WEB_MUST)


class OneWebMayTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(ONE_WEB_MAY)


class CopyMayTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(COPY_MAY)


class CopiesMustTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(COPIES_MUST)


class LocationComparedTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(LOCATION_COMPARED)


class LocationHashedLaterTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(LOCATION_HASHED_LATER)


class DirectMustPostgreSQLTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(on_postgresql(DIRECT_MUST, 'execute.inside', 'revert.after'))


class WebMayPostgreSQLTestCase(Crash, testtools.TestCase):
    scenarios = scenarios(on_postgresql(WEB_MAY, 'execute.after', 'revert.inside'))


class ForcedRevertTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """A cancelled import whose worker is dead is reverted atom by atom; that worker dies in each of them."""

    scenarios = [
        (str(point), {'point': point})
        for node in WEB_MUST.atoms()
        for moment in crashing.moments(node)
        if moment in (('revert.inside', 'revert.after') if not FULL else crashing.REVERTS)
        and node.name not in NOT_YET_RUN
        for point in [crashing.Point(node.name, moment)]
    ]
    point: crashing.Point

    def test_killed(self) -> None:
        story = self.useFixture(Story(self, method=WEB, stores=STORES))
        story.workers.start(point='store:cheap:execute.inside').wait_killed()
        story.cancel()
        story.expire()
        story.workers.start(point=str(self.point)).wait_killed()
        story.expire()
        story.workers.start()
        story.wait_end()
        check_aftermath(story, CANCELLED)
        self.assertEqual(set(), NOT_YET_RUN & {name for _, name, _ in story.workers.events()})


if FULL:

    class DirectMayPostgreSQLTestCase(Crash, testtools.TestCase):
        scenarios = scenarios(on_postgresql(DIRECT_MAY))

    class WebMustPostgreSQLTestCase(Crash, testtools.TestCase):
        scenarios = scenarios(on_postgresql(WEB_MUST))

    class OneDirectMustPostgreSQLTestCase(Crash, testtools.TestCase):
        scenarios = scenarios(on_postgresql(ONE_DIRECT_MUST))

    class OneDirectMayPostgreSQLTestCase(Crash, testtools.TestCase):
        scenarios = scenarios(on_postgresql(ONE_DIRECT_MAY))

    class OneWebMustPostgreSQLTestCase(Crash, testtools.TestCase):
        scenarios = scenarios(on_postgresql(ONE_WEB_MUST))

    class OneWebMayPostgreSQLTestCase(Crash, testtools.TestCase):
        scenarios = scenarios(on_postgresql(ONE_WEB_MAY))
