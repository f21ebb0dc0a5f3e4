"""The shape of the import's flow: complete, pure, with the names that are on record."""

import dataclasses
import inspect
import json
import threading
from collections.abc import Callable, Iterator

import fixtures
import testtools
from taskflow import atom, retry, task
from taskflow.engines.action_engine import compiler
from taskflow.patterns import linear_flow
from taskflow.types import failure

from imagepipe import errors
from imagepipe.domain import steps
from imagepipe.domain.import_ import (
    AS_SOURCE,
    FLOWS,
    FROM_STORE,
    GUARDED,
    Claim,
    Import,
    ImportState,
    Method,
    Plan,
    Target,
)
from imagepipe.flows import registry
from imagepipe.flows.retries import Attempts, Restage
from imagepipe.flows.run import Run
from imagepipe.flows.steps.activate import decide
from imagepipe.flows.steps.base import Step
from imagepipe.jobs import resources

#: The names that imports of version 1 have on record: they never change.
ONE_STORE = [
    'restage',
    'stage',
    'introspect',
    'verify:qcow2',
    'retry:store:fast',
    'store:fast',
    'activate',
    'notify',
    'discard',
]
TWO_FORMATS = [
    'restage',
    'retry:stage',
    'stage',
    'introspect',
    'decompress',
    'verify:qcow2',
    'convert:raw',
    'verify:raw',
    'retry:store:fast',
    'store:fast',
    'retry:store:cheap',
    'store:cheap',
    'activate',
    'notify',
    'discard',
]
#: What is converted where the source says that it is not raw, and the rest as it comes.
DOWNLOAD = [
    'restage',
    'retry:describe',
    'describe',
    'retry:stage',
    'stage',
    'introspect',
    'decompress',
    'verify:source',
    'convert:raw',
    'verify:raw',
    'retry:store:fast',
    'store:fast',
    'retry:store:cheap',
    'store:cheap',
    'activate',
    'notify',
    'discard',
]
RESOURCES = {
    'run',
    'intake',
    'stores',
    'judge',
    'signatures',
    'qemu_img',
    'unpack',
    'rooms',
    'source',
    'describe',
    'commit',
    'decide',
    'wake_sender',
    'clear_staging',
}


def plan(*targets: tuple[str, str], **fields: object) -> Plan:
    """A plan of a qcow2 image for these stores and formats."""
    return Plan(
        **{
            'disk_format': 'qcow2',
            'container_format': 'bare',
            'must_succeed': True,
            'digests': ('md5', 'sha512'),
            'os_hash_algo': 'sha512',
            'targets': tuple(
                Target(store=store, disk_format=wanted, representation_id=wanted, location_id=store)
                for store, wanted in targets
            ),
            **fields,
        }
    )


#: Of copies and of locations: the same for every import by these methods.
TWO_COPIES = [
    'decide',
    'retry:copy:fast',
    'copy:fast',
    'retry:copy:cheap',
    'copy:cheap',
    'activate',
    'notify',
]
UNHASHED = ['decide', 'retry:check', 'check', 'activate', 'notify']
HASHED = [*UNHASHED, 'retry:hash', 'hash']

ONE = plan(('fast', 'qcow2'))
TWO = plan(('fast', 'qcow2'), ('cheap', 'raw'), decompress=True)
SAME_TWICE = plan(('fast', 'raw'), ('cheap', 'raw'), ('cold', 'qcow2'))
PLANS = (ONE, TWO, SAME_TWICE)
FOUND = plan(('fast', AS_SOURCE), ('cheap', 'raw'), disk_format=AS_SOURCE, decompress=True)
COPIES = (ONE, plan(('fast', 'qcow2'), ('cheap', 'qcow2')))
BEFORE = dataclasses.replace(ONE, expected={'sha512': 'ab'})
NEVER = dataclasses.replace(BEFORE, secure_hash=False)
#: Methods that have plans of their own kind.
OWN_PLANS = {
    Method.GLANCE_DOWNLOAD: (FOUND,),
    Method.COPY_IMAGE: COPIES,
    Method.LOCATION_IMPORT: (ONE, BEFORE, NEVER),
}
#: The method of an import, where FLOWS has more than that to go by.
RUN_AS = {FROM_STORE: Method.GLANCE_DIRECT, GUARDED: Method.WEB_DOWNLOAD}


def flow_of(chosen: Plan, method: Method | str) -> linear_flow.Flow:
    """The flow that an import accepted today is run with."""
    return registry.FACTORIES[FLOWS[method]](chosen, RUN_AS.get(method, method))


def flows() -> Iterator[tuple[Plan, Method | str, linear_flow.Flow]]:
    """Every plan by every method, or other row of FLOWS, that has such plans."""
    for method in FLOWS:
        for chosen in OWN_PLANS.get(method, PLANS):
            yield chosen, method, flow_of(chosen, method)


def atoms(flow: linear_flow.Flow) -> list[atom.Atom]:
    graph = compiler.PatternCompiler(flow).compile().execution_graph
    return [node for node in graph if isinstance(node, atom.Atom)]


def a_run(**fields: object) -> Run:
    record = Import(
        id='import',
        image_id='image',
        method=Method.WEB_DOWNLOAD,
        state=ImportState.RUNNING,
        plan=ONE,
        **fields,
    )
    return Run(record, Claim(import_id='import', image_id='image', owner='me', epoch=2), None)


class ShapeTestCase(testtools.TestCase):
    def test_names_on_record(self) -> None:
        self.assertEqual(sorted(ONE_STORE), self.names(ONE, Method.GLANCE_DIRECT))
        self.assertEqual(sorted(TWO_FORMATS), self.names(TWO, Method.WEB_DOWNLOAD))
        self.assertEqual(sorted(DOWNLOAD), self.names(FOUND, Method.GLANCE_DOWNLOAD))
        self.assertEqual(sorted(TWO_COPIES), self.names(COPIES[-1], Method.COPY_IMAGE))
        for chosen, names in ((ONE, HASHED), (BEFORE, HASHED), (NEVER, UNHASHED)):
            self.assertEqual(sorted(names), self.names(chosen, Method.LOCATION_IMPORT))

    def test_a_digest_that_is_compared_comes_before_the_commit_and_another_one_after_it(self) -> None:
        for chosen, first in ((BEFORE, True), (ONE, False)):
            order = steps.names(chosen, FLOWS[Method.LOCATION_IMPORT])
            self.assertEqual(first, order.index(steps.HASH) < order.index(steps.ACTIVATE))

    def names(self, chosen: Plan, method: Method) -> list[str]:
        return sorted(node.name for node in atoms(flow_of(chosen, method)))

    def test_each_step_that_is_shown_is_a_task_and_the_other_way_round(self) -> None:
        for chosen, method, flow in flows():
            tasks = {node.name for node in atoms(flow) if isinstance(node, task.Task)}
            self.assertEqual(set(steps.names(chosen, FLOWS[method])), tasks)

    def test_steps_are_shown_in_an_order_in_which_they_can_run(self) -> None:
        for chosen, method, flow in flows():
            order = steps.names(chosen, FLOWS[method])
            provided = {name: node.name for node in atoms(flow) for name in node.provides}
            for node in atoms(flow):
                for needed in set(node.requires) & provided.keys():
                    earlier = provided[needed]
                    if earlier in order and node.name in order:
                        self.assertLess(order.index(earlier), order.index(node.name))

    def test_one_conversion_for_each_format(self) -> None:
        names = self.names(SAME_TWICE, Method.GLANCE_DIRECT)
        made = [name for name in names if name.startswith(('convert:', 'verify:'))]
        self.assertEqual(['convert:raw', 'verify:qcow2', 'verify:raw'], made)

    def test_everything_that_is_required_is_provided_or_a_resource(self) -> None:
        for _, _, flow in flows():
            nodes = atoms(flow)
            provided = {name for node in nodes for name in node.provides}
            for node in nodes:
                self.assertEqual(set(), set(node.requires) - provided - RESOURCES, node.name)
                self.assertEqual(set(), set(node.revert_rebind.values()) - RESOURCES - {'history'}, node.name)

    def test_the_resources_are_those_that_a_worker_has(self) -> None:
        made = resources.build(_AnyServices(), lambda: None)
        self.assertEqual(RESOURCES, {*made, 'run'})

    def test_a_revert_needs_nothing_that_another_step_makes(self) -> None:
        for _, _, flow in flows():
            provided = {name for node in atoms(flow) for name in node.provides}
            for node in atoms(flow):
                self.assertEqual(set(), set(node.revert_rebind.values()) & provided, node.name)

    def test_the_factory_is_pure(self) -> None:
        for chosen, method, flow in flows():
            again = flow_of(Plan.from_json(json.loads(json.dumps(chosen.as_json()))), method)
            self.assertEqual(self.description(flow), self.description(again))

    def description(self, flow: linear_flow.Flow) -> list[object]:
        return sorted(
            (node.name, type(node).__name__, sorted(node.rebind.items()), sorted(node.provides))
            for node in atoms(flow)
        )

    def test_the_factory_takes_the_record_alone(self) -> None:
        for factory in registry.FACTORIES.values():
            self.assertEqual(['plan', 'method'], list(inspect.signature(factory).parameters))
        record = Import(
            id='import', image_id='image', method='web-download', state=ImportState.RUNNING, plan=TWO
        )
        self.assertEqual('import', registry.build(record).name)
        self.assertEqual(set(registry.FACTORIES), set(FLOWS.values()))
        self.assertEqual([True, False], [registry.knows(1), registry.knows(99)])
        self.assertRaises(KeyError, registry.build, dataclasses.replace(record, flow_version=99))

    def test_every_atom_is_ours(self) -> None:
        for _, _, flow in flows():
            for node in atoms(flow):
                self.assertIsInstance(node, Step if isinstance(node, task.Task) else (Attempts, Restage))


class _AnyServices:
    """Has every part, each of which has whatever it is asked for; nothing is done with them."""

    def __getattr__(self, name: str) -> object:
        return self


class _Answer(Step):
    def __init__(self, answer: object) -> None:
        super().__init__('answer')
        self._answer = answer

    def work(self, run: Run) -> object:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def undo(self, run: Run) -> None:
        raise RuntimeError('the store is on fire')


class _Fence:
    """A database that says of the claim whether it is held."""

    def __init__(self, error: errors.ImagepipeError | None = None) -> None:
        self._error = error

    def run(self, operation: Callable[[object], object]) -> object:
        if self._error is not None:
            raise self._error
        return operation(None)


class StepTestCase(testtools.TestCase):
    """What the base does for every step."""

    def test_results_are_strict_json(self) -> None:
        self.assertEqual({'a': [1, None, 'x']}, _Answer({'a': (1, None, 'x')}).execute(run=a_run()))
        for wrong in ({'a': {1, 2}}, {'a': float('nan')}, b'x', object(), {'a': ImportState}):
            self.assertRaises(errors.StepResultInvalid, _Answer(wrong).execute, run=a_run())

    def test_its_error_is_remembered(self) -> None:
        run = a_run()
        self.assertRaises(errors.SourceInvalid, _Answer(errors.SourceInvalid(reason='r')).execute, run=run)
        step, error = run.last_error()
        self.assertEqual(('answer', 'imagepipe.source.invalid'), (step, error.code))

    def test_a_defect_is_told_as_such_and_no_more(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        run = a_run()
        run.db = _Fence()
        error = self.assertRaises(
            errors.ImagepipeError, _Answer(ZeroDivisionError('secret')).execute, run=run
        )
        self.assertEqual('imagepipe.internal', error.code)
        self.assertNotIn('secret', str(error))
        self.assertIn('Step answer of import import met a defect', log.output)

    def test_what_fails_since_another_worker_has_the_import_is_no_defect(self) -> None:
        for lost in (errors.ClaimLost(import_id='import'), errors.DatabaseUnavailable()):
            log = self.useFixture(fixtures.FakeLogger())
            run = a_run()
            run.db = _Fence(lost)
            self.assertRaises(errors.ClaimLost, _Answer(FileNotFoundError('staged')).execute, run=run)
            self.assertTrue(run.lost.is_set())
            self.assertIsNone(run.last_error())
            self.assertNotIn('defect', log.output)

    def test_a_revert_never_raises(self) -> None:
        self.assertIsNone(_Answer(None).revert(run=a_run(), result=None, flow_failures={}))

    def test_nothing_is_reverted_once_it_is_committed_or_lost(self) -> None:
        undone = []
        step = _Answer(None)
        step.undo = lambda **given: undone.append(given['run'])
        committed, lost, mine = a_run(), a_run(), a_run()
        committed.moved(ImportState.COMMITTED)
        lost.lost.set()
        for run in (committed, lost, mine):
            step.revert(run=run)
        self.assertEqual([mine], undone)

    def test_a_cancelled_import_starts_no_step(self) -> None:
        run = a_run()
        run.moved(ImportState.REVERTING)
        self.assertRaises(errors.ImportCancelled, _Answer(None).execute, run=run)
        run.lost.set()
        self.assertRaises(errors.ClaimLost, _Answer(None).execute, run=run)


class RunTestCase(testtools.TestCase):
    def test_names_of_this_claim_and_of_those_before(self) -> None:
        run = a_run()
        self.assertEqual('image.import.2.data', run.object_name('data'))
        self.assertEqual(['image.import.1.data', 'image.import.2.data'], run.object_names('data'))

    def test_progress_is_taken_once_and_stops_who_must_stop(self) -> None:
        run = a_run()
        run.entered('stage')
        run.progress('stage', 1, 10)
        run.progress('stage', 5, 10)
        self.assertEqual({'stage': (5, 10)}, run.take_progress())
        self.assertEqual({}, run.take_progress())
        self.assertEqual((5, 10), run.last_progress('stage'))
        run.cancelled.set()
        self.assertRaises(errors.ImportCancelled, run.progress, 'stage', 6)

    def test_a_step_without_a_sign_is_stuck(self) -> None:
        run = a_run()
        run.entered('stage')
        self.assertIsNone(run.stuck(-1.0), 'it may wait for its turn yet')
        with run.working('stage'):
            self.assertIsNone(run.stuck(60.0))
            self.assertEqual('stage', run.stuck(-1.0))
        self.assertIsNone(run.stuck(-1.0))

    def test_a_pause_ends_with_a_cancel(self) -> None:
        run = a_run()
        threading.Timer(0.01, run.cancelled.set).start()
        self.assertRaises(errors.ImportCancelled, run.pause, 3600.0)

    def test_what_a_lost_step_wrote_is_removed_until_it_has_ended(self) -> None:
        run, removed = a_run(), []
        run.discards('store:fast', lambda: removed.append('fast'))
        run.discard_unrecorded()
        run.discard_unrecorded('store:fast')  # the step came to its end and had written more
        self.assertEqual(['fast', 'fast'], removed)

    def test_what_is_recorded_or_may_be_is_not_removed(self) -> None:
        run, removed = a_run(), []
        run.discards('store:fast', lambda: removed.append('fast'))
        refused = run.recording('store:fast')
        run.discard_unrecorded()
        self.assertEqual([], removed)
        refused()
        run.discard_unrecorded()
        self.assertEqual(['fast'], removed)
        run.left('store:fast')
        run.discard_unrecorded()
        self.assertEqual(['fast'], removed)


def history(*failed: Exception) -> retry.History:
    """What a retry is told after so many attempts."""
    return retry.History(
        [(number, {'step': failure.Failure.from_exception(error)}) for number, error in enumerate(failed)]
    )


class RetriesTestCase(testtools.TestCase):
    PASSING = errors.StoreTransient(store='fast')
    LASTING = errors.StorePermanent(store='fast')
    LOST = errors.StagingLost(image_id='image')

    def decided(self, _run: Run, failed: object) -> None:
        self.told = failed

    def test_what_can_pass_is_tried_again_up_to_a_bound(self) -> None:
        attempts = Attempts('retry:x', attempts=3, provides='attempt')
        self.assertEqual(1, attempts.execute(history(), run=a_run()))
        self.assertEqual(retry.RETRY, attempts.on_failure(history(self.PASSING), run=a_run()))
        self.assertEqual(retry.RETRY, attempts.on_failure(history(self.PASSING, self.PASSING), run=a_run()))
        self.assertEqual(retry.REVERT, attempts.on_failure(history(*[self.PASSING] * 3), run=a_run()))

    def test_what_lasts_is_not_tried_again(self) -> None:
        attempts = Attempts('retry:x', attempts=3, provides='attempt')
        self.assertEqual(retry.REVERT, attempts.on_failure(history(self.LASTING), run=a_run()))
        self.assertEqual(retry.REVERT, attempts.on_failure(history(ValueError()), run=a_run()))

    def test_who_must_stop_tries_nothing_again(self) -> None:
        for stop in ('lost', 'cancelled'):
            run = a_run()
            getattr(run, stop).set()
            attempts = Attempts('retry:x', attempts=3, provides='attempt')
            self.assertEqual(retry.REVERT, attempts.on_failure(history(self.PASSING), run=run))
            outer = Restage('restage', attempts=3, rereadable=True)
            answer = outer.on_failure(history(self.LOST), run=run, decide=self.decided)
            self.assertEqual(retry.REVERT_ALL, answer)

    def test_lost_staging_is_answered_by_staging_again(self) -> None:
        outer = Restage('restage', attempts=2, rereadable=True)
        self.assertEqual(retry.RETRY, outer.on_failure(history(self.LOST), run=a_run(), decide=self.decided))
        for told in (history(self.LOST, self.LOST), history(self.LASTING), history(self.PASSING)):
            self.assertEqual(retry.REVERT_ALL, outer.on_failure(told, run=a_run(), decide=self.decided))
        self.assertEqual(1, len(self.told))

    def test_a_lost_upload_cannot_be_staged_again(self) -> None:
        outer = Restage('restage', attempts=2, rereadable=False)
        self.assertEqual(
            retry.REVERT_ALL, outer.on_failure(history(self.LOST), run=a_run(), decide=self.decided)
        )


class CauseTestCase(testtools.TestCase):
    """An error that another process met, found again in TaskFlow's record."""

    def test_each_error_is_known_by_its_own_code(self) -> None:
        for error in errors.REGISTRY.values():
            found = failure.Failure(
                exc_type_names=_names(error),
                exception_str='It went wrong.',
                traceback_str='',
            )
            remembered = resources._remembered([found])
            self.assertEqual(error.code, remembered.code)
        self.assertEqual('It went wrong.', remembered.message)

    def test_a_strangers_error_is_a_defect(self) -> None:
        found = failure.Failure(
            exc_type_names=['builtins.ZeroDivisionError', 'Exception'],
            exception_str='secret',
            traceback_str='',
        )
        self.assertEqual('imagepipe.internal', resources._remembered([found]).code)
        self.assertNotIn('secret', resources._remembered([found]).message)


def _names(error: type[Exception]) -> list[str]:
    return [f'{each.__module__}.{each.__qualname__}' for each in error.__mro__ if each is not object]


class DecideTestCase(testtools.TestCase):
    OK = {'store': 'fast', 'status': 'ok'}
    FAILED = {'store': 'cheap', 'status': 'failed', 'code': 'c', 'message': 'It is full.'}

    def test_all_must_succeed(self) -> None:
        self.assertEqual([self.OK], decide([self.OK], must_succeed=True))
        error = self.assertRaises(errors.StoreFailed, decide, [self.OK, self.FAILED], must_succeed=True)
        self.assertIn('cheap', str(error))

    def test_one_is_enough_where_not_all_must(self) -> None:
        results = [self.OK, self.FAILED]
        self.assertEqual(results, decide(results, must_succeed=False))
        error = self.assertRaises(errors.AllStoresFailed, decide, [self.FAILED], must_succeed=False)
        self.assertIn('It is full.', str(error))
