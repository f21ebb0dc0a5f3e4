"""What befalls a cluster, and how it is mended. Told in the third person: `kill` `conductor-1`."""

import collections
import contextlib
import heapq
import itertools
import random
import signal
import threading
from collections.abc import Callable, Iterable, Mapping

import psutil

from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.pace import Pace
from imagepipe.tests.chaos.plan import APIS, CONDUCTORS, KIB, Fault
from imagepipe.tests.fixtures.wires import Wires

Mend = Callable[[], None]


def _kill(cluster: Cluster, target: str, _chance: random.Random) -> Mend:
    cluster.members[target].kill()
    return cluster.members[target].revive


def _kill_parent(cluster: Cluster, target: str, _chance: random.Random) -> Mend:
    cluster.members[target].signal_parent(signal.SIGKILL)
    return cluster.members[target].revive


def _kill_worker(cluster: Cluster, target: str, chance: random.Random) -> Mend:
    _to_worker(cluster, target, chance, signal.SIGKILL)
    return cluster.members[target].revive


def _freeze(cluster: Cluster, target: str, _chance: random.Random) -> Mend:
    cluster.members[target].signal(signal.SIGSTOP)
    return lambda: cluster.members[target].signal(signal.SIGCONT)


def _freeze_worker(cluster: Cluster, target: str, chance: random.Random) -> Mend:
    _to_worker(cluster, target, chance, signal.SIGSTOP)
    return lambda: cluster.members[target].signal(signal.SIGCONT)


def _to_worker(cluster: Cluster, target: str, chance: random.Random, number: int) -> None:
    workers = cluster.members[target].workers()
    if workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(workers).send_signal(number)


def _databases(target: str) -> list[str]:
    return [f'database of {name}' for name in ([target] if target else CONDUCTORS + APIS)]


def _on_wires(
    do: Callable[[Wires, str], None], named: Callable[[str], Iterable[str]]
) -> Callable[[Cluster, str, random.Random], Mend]:
    """What is done to every wire that belongs to a target."""

    def befall(cluster: Cluster, target: str, _chance: random.Random) -> Mend:
        def mend() -> None:
            for wire in named(target):
                cluster.wires.mend(wire)

        for wire in named(target):
            do(cluster.wires, wire)
        return mend

    return befall


def _fill(cluster: Cluster, _target: str, chance: random.Random) -> Mend:
    cluster.disk.fill(chance.choice((0, 64 * KIB, 1000 * KIB)))
    return cluster.disk.clear


def _restart_board(cluster: Cluster, _target: str, _chance: random.Random) -> Mend:
    cluster.board.server.stop()
    return cluster.board.server.start


def _freeze_board(cluster: Cluster, _target: str, _chance: random.Random) -> Mend:
    cluster.board.server.freeze()
    return cluster.board.server.thaw


def _empty_board(cluster: Cluster, _target: str, _chance: random.Random) -> Mend:
    cluster.board.empty()
    return lambda: None


#: By what a plan calls it: does it, and returns what mends it.
FAULTS: Mapping[str, Callable[[Cluster, str, random.Random], Mend]] = {
    'kill': _kill,
    'kill the supervisor of': _kill_parent,
    'kill a worker of': _kill_worker,
    'freeze': _freeze,
    'freeze a worker of': _freeze_worker,
    'cut off the database from': _on_wires(Wires.cut, _databases),
    'hold up the database for': _on_wires(Wires.hold, _databases),
    'break connections to the database of': _on_wires(Wires.reset, _databases),
    'cut off the database': _on_wires(Wires.cut, _databases),
    'hold up the database': _on_wires(Wires.hold, _databases),
    'cut off the broker': _on_wires(Wires.cut, lambda _: ('broker',)),
    'hold up the broker': _on_wires(Wires.hold, lambda _: ('broker',)),
    'cut off the store': _on_wires(Wires.cut, lambda _: ('store',)),
    'hold up the store': _on_wires(Wires.hold, lambda _: ('store',)),
    'fill the disk': _fill,
    'restart the board': _restart_board,
    'freeze the board': _freeze_board,
    'empty the board': _empty_board,
}


class Havoc:
    """Faults as they come, each mended in its time. `story` is what was done and when, `counts` how often.

    They come by the time of the plan, and are mended by the clock: no outage is longer on a slow machine.
    """

    def __init__(self, cluster: Cluster, pace: Pace, faults: Iterable[Fault], *, seed: int) -> None:
        self._cluster = cluster
        self._pace = pace
        self._chance = random.Random(f'{seed}/havoc')
        self._numbers = itertools.count()
        self._coming = collections.deque(sorted(faults, key=lambda fault: fault.at))
        self._mends: list[tuple[float, int, Fault, Mend]] = []
        self._pause = threading.Event()
        self.story: list[tuple[float, str]] = []
        self.counts: collections.Counter[str] = collections.Counter()

    def run(self, over: Callable[[], bool]) -> None:
        """Until nothing is left to befall the cluster, and it is over.

        Runs in the thread that started the members: those it starts again live as long as it does.
        """
        while self._coming or self._mends or not over():
            self._pace.look()
            if self._mends and self._mends[0][0] <= self._cluster.now():
                _, _, fault, mend = heapq.heappop(self._mends)
                mend()
                self._tell(f'mended: {fault}')
            elif self._coming and self._coming[0].at <= self._pace.now():
                self._befall(self._coming.popleft())
            else:
                self._pause.wait(0.02)

    def _befall(self, fault: Fault) -> None:
        self._tell(f'{fault} for {fault.seconds:.1f} s')
        self.counts[fault.what] += 1
        mend = FAULTS[fault.what](self._cluster, fault.target, self._chance)
        heapq.heappush(self._mends, (self._cluster.now() + fault.seconds, next(self._numbers), fault, mend))

    def _tell(self, what: str) -> None:
        self.story.append((self._cluster.now(), what))
