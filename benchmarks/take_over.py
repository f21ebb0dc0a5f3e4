"""How soon another worker goes on with an import whose worker was killed.

    python benchmarks/take_over.py [--kills 10] [--lease 4] [--poll 0.5] [sql redis zookeeper]

For each board a real API and a real conductor with two workers, over PostgreSQL, all at once; the boards
take turns. A worker is killed (SIGKILL) while it fetches, at any time since it last renewed its claim.
"""

import argparse
import contextlib
import datetime
import os
import random
import signal
import statistics
import sys
import threading

from benchmarks.measuring import Nobody
from imagepipe.domain.import_ import StepState
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.jobboards import KINDS, BoardFixture
from imagepipe.tests.fixtures.workers import wait_until

SIZE = 256 << 10
#: Seconds, besides the rest of the lease, in the median.
TARGET = 2.0


class Site:
    """One board, and the imagepipe that uses it."""

    def __init__(self, stack: contextlib.ExitStack, kind: str, lease: float, poll: float) -> None:
        test = Nobody('nothing')
        board = stack.enter_context(BoardFixture(test, kind))
        settings = board.overrides() | {
            'conductor.workers': 2,
            'conductor.lease': lease,
            'conductor.poll': poll,
            'conductor.sweep_interval': 30.0,
            'conductor.store_sweep_interval': 3600.0,
            'jobboard.timeout': 2.0,
            'api.unavailable_after': 1440,
        }
        self._lease = lease
        self._cloud = stack.enter_context(
            CloudFixture(test, kind='postgresql', stores=('fast',), overrides=settings)
        )
        self._db = self._cloud.parts.services.db

    def kill(self) -> tuple[float, float]:
        """Kill the worker of a new import: seconds until it goes on, and those that its lease had left."""
        cloud, data = self._cloud, os.urandom(SIZE)
        self._wait_for_workers()
        image_id = cloud.image()
        cloud.source.serve(f'/{image_id}', data, fault=Fault(stall_after=SIZE // 2, stalls=1))
        import_id = cloud.start(image_id, uri=cloud.source.url(f'/{image_id}'))
        first = wait_until(lambda: self._at_work(import_id), 'a worker fetches')
        threading.Event().wait(random.uniform(0.1, 0.1 + self._lease / 3))
        left = self._db.read(lambda tx: tx.imports.lease(import_id))
        killed = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        os.kill(_pid(first), signal.SIGKILL)
        wait_until(lambda: self._stage(import_id).worker != first, 'another worker fetches')
        went_on = self._stage(import_id).started_at
        cloud.source.release.set()
        cloud.wait(import_id)
        cloud.source.release.clear()
        return (went_on - killed).total_seconds(), left

    def _wait_for_workers(self) -> None:
        """Both are there, and have said so."""
        wait_until(lambda: len(self._cloud.workers()) == 2 and self._known() >= 2, 'two workers')

    def _known(self) -> int:
        alive = self._db.read(lambda tx: tx.workers.alive(within=self._lease))
        return len({process.pid for process in self._cloud.workers()} & {_pid(name) for name in alive})

    def _stage(self, import_id: str) -> object:
        return self._db.read(lambda tx: tx.steps.of_imports([import_id]))[import_id][0]

    def _at_work(self, import_id: str) -> str | None:
        """The worker that fetches, by its name."""
        step = self._stage(import_id)
        return step.worker if step.state is StepState.RUNNING else None


def _pid(worker: str) -> int:
    return int(worker.split(':')[1])


def main() -> int:
    """Print a table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('boards', nargs='*', metavar='BOARD', help=', '.join(KINDS))
    parser.add_argument('--kills', type=int, default=10)
    parser.add_argument('--lease', type=float, default=4.0)
    parser.add_argument('--poll', type=float, default=0.5)
    arguments = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in arguments.boards or KINDS}
    with contextlib.ExitStack() as stack:
        sites = {kind: Site(stack, kind, arguments.lease, arguments.poll) for kind in found}
        for _ in range(arguments.kills):
            for kind, site in sites.items():
                found[kind].append(site.kill())
    print(f'Seconds after SIGKILL; a lease of {arguments.lease:g} s, a look each {arguments.poll:g} s')
    row = '{:<11} {:>8} {:>8} {:>8} {:>12} {:>14} {:>10}'
    print(row.format('', 'median', 'least', 'most', 'lease left', 'besides it', 'x first'))
    first, missed = None, False
    for kind, samples in found.items():
        besides = statistics.median(taken - left for taken, left in samples)
        first = besides if first is None else first
        missed |= besides > TARGET
        taken = [each for each, _ in samples]
        left = statistics.median(left for _, left in samples)
        figures = statistics.median(taken), min(taken), max(taken), left, besides, besides / first
        print(row.format(kind, *(f'{value:.2f}' for value in figures)), flush=True)
    return int(missed)


if __name__ == '__main__':
    sys.exit(main())
