"""What needs no cluster: what is drawn from a seed, when it comes, and what counts as two runners at once."""

import collections
import itertools

import testtools

from imagepipe.tests.chaos.faults import FAULTS
from imagepipe.tests.chaos.pace import Pace
from imagepipe.tests.chaos.plan import KINDS, LONGEST, Plan, befallen
from imagepipe.tests.chaos.witness import Sighting, overlaps


class PlanTest(testtools.TestCase):
    def test_a_seed_repeats_it(self) -> None:
        first, again, other = (Plan.draw(seed, imports=200, seconds=120) for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first.orders, other.orders)
        self.assertNotEqual(first.faults, other.faults)

    def test_many_imports_meet_every_source_and_every_fault(self) -> None:
        plan = Plan.draw(1, imports=2000, seconds=2000)
        self.assertEqual(set(FAULTS), {fault.what for fault in plan.faults})
        self.assertEqual({kind.name for kind in KINDS}, {order.kind.name for order in plan.orders})
        self.assertEqual({1, 2, 3}, {len(order.stores) for order in plan.orders})

    def test_no_outage_is_longer_and_none_befalls_what_is_not_whole(self) -> None:
        busy: dict[str, list[tuple[float, float]]] = collections.defaultdict(list)
        for fault in Plan.draw(3, imports=1, seconds=1000).faults:
            self.assertLessEqual(fault.seconds, LONGEST)
            for part in befallen(fault):
                busy[part].append((fault.at, fault.until))
        for spells in busy.values():
            for (_, until), (at, _) in itertools.pairwise(spells):
                self.assertLessEqual(until, at)


class _Machine:
    """What a pace goes by: the seconds since the beginning, and how many imports are under way, and wait."""

    def __init__(self) -> None:
        self.seconds, self.under_way, self.late = 0.0, 0, 0
        self.db = self

    def now(self) -> float:
        return self.seconds

    def read(self, _count: object) -> int:
        return self.under_way

    def waiting(self, _now: float) -> int:
        return self.late


class PaceTest(testtools.TestCase):
    def test_the_time_of_the_plan_stands_still_while_the_machine_is_behind(self) -> None:
        machine = _Machine()
        pace = Pace(machine, machine.waiting)
        for seconds, under_way, late, shown in (
            (1, 0, 0, 1),
            (2, 100, 0, 2),
            (5, 100, 0, 2),
            (6, 0, 0, 2),
            (8, 32, 4, 4),
            # Every client is busy, so that no more imports than these can be under way.
            (9, 32, 30, 5),
            (12, 32, 30, 5),
            (13, 32, 0, 5),
            (14, 32, 0, 6),
        ):
            machine.seconds, machine.under_way, machine.late = seconds, under_way, late
            pace.look()
            self.assertEqual(shown, pace.now(), f'after {seconds} s')


def _claim(epoch: int, worker: str | None, *, at: float = 0.0, expired: float | None = None) -> Sighting:
    return Sighting(at, 'an import', None, 'running', epoch, worker, expired)


def _step(worker: str, state: str = 'running') -> Sighting:
    return Sighting(0.0, 'an import', 'stage', state, None, worker, None)


class OverlapsTest(testtools.TestCase):
    def test_what_is_in_order(self) -> None:
        for seen in (
            [_claim(1, 'one'), _step('one'), _step('one', 'done'), _claim(1, None)],
            [_claim(1, 'one'), _claim(2, 'two', at=5.0, expired=4.9), _step('two')],
            [_claim(1, 'one'), _claim(1, None), _claim(2, 'two', at=5.0)],
            # A step ends, or is closed, under the name of whoever began it.
            [_claim(1, 'one'), _step('one'), _claim(2, 'two', at=5.0, expired=4.9), _step('one', 'reverted')],
        ):
            self.assertEqual([], list(overlaps(seen)))

    def test_what_is_not(self) -> None:
        for text, seen in (
            ('epoch 1 was followed by 3', [_claim(1, 'one'), _claim(3, 'two', at=5.0, expired=4.9)]),
            ('without a new epoch', [_claim(1, 'one'), _claim(1, 'two')]),
            ('took the claim 0.100 s before', [_claim(1, 'one'), _claim(2, 'two', at=4.8, expired=4.9)]),
            ('running on one while', [_claim(1, 'one'), _claim(2, 'two', at=5.0, expired=4.9), _step('one')]),
            ('running on one while', [_claim(1, None), _step('one')]),
        ):
            (found,) = overlaps(seen)
            self.assertIn(text, found)
