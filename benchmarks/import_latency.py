"""How soon an import starts: from the answer to its POST until its first step runs.

    python benchmarks/import_latency.py [--imports 50] [--poll 0.5] [sql redis zookeeper]

A real API and a real conductor with one worker over one database, and a server of the board's own. The
clients wait a different part of the polling interval before each POST, so that no board is lucky.
"""

import argparse
import datetime
import os
import statistics
import sys
import threading

from benchmarks.measuring import Nobody, cpu
from imagepipe.domain.import_ import ENDED
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.jobboards import KINDS, BoardFixture
from imagepipe.tests.fixtures.workers import wait_until

WARM_UP = 5
#: Milliseconds that an import may wait on an external board, in the median.
TARGET = 100


def measure(kind: str, imports: int, poll: float) -> dict[str, float]:
    """Milliseconds until the first step; and CPU in ms/s of an idle worker."""
    test = Nobody('nothing')
    with BoardFixture(test, kind) as board:
        settings = board.overrides() | {
            'conductor.poll': poll,
            'conductor.lease': 30.0,
            'conductor.sweep_interval': 30.0,
            'conductor.store_sweep_interval': 3600.0,
            'notifications.interval': 0.5,
            'jobboard.timeout': 2.0,
        }
        with CloudFixture(test, kind='postgresql', stores=('fast',), overrides=settings) as cloud:
            waits = [_wait(cloud, poll * (number % 10) / 10) for number in range(WARM_UP + imports)]
            (worker,) = cloud.workers()
            before = cpu(worker.pid)
            threading.Event().wait(4)
            idle = 1000 * (cpu(worker.pid) - before) / 4
    waits = sorted(waits[WARM_UP:])
    return {
        'median': statistics.median(waits),
        'p90': waits[int(len(waits) * 0.9)],
        'worst': waits[-1],
        'idle': idle,
    }


def _wait(cloud: CloudFixture, pause: float) -> float:
    image_id = cloud.image()
    cloud.stage(image_id, os.urandom(1024))
    threading.Event().wait(pause)
    import_id = cloud.start(image_id)
    answered = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    db = cloud.parts.services.db
    wait_until(lambda: db.read(lambda tx: tx.imports.get(import_id)).state in ENDED, 'the import ends')
    found = db.read(lambda tx: tx.steps.of_imports([import_id]))[import_id]
    return max(0.0, 1000 * (found[0].started_at - answered).total_seconds())


def main() -> int:
    """Print a table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('boards', nargs='*', metavar='BOARD', help=', '.join(KINDS))
    parser.add_argument('--imports', type=int, default=50)
    parser.add_argument('--poll', type=float, default=0.5)
    arguments = parser.parse_args()
    row = '{:<11} {:>10} {:>10} {:>10} {:>10}'
    print(row.format('', 'median ms', '90 % ms', 'worst ms', 'idle ms/s'))
    missed = False
    for kind in arguments.boards or KINDS:
        found = measure(kind, arguments.imports, arguments.poll)
        missed |= kind != 'sql' and found['median'] > TARGET
        print(row.format(kind, *(f'{value:.1f}' for value in found.values())), flush=True)
    return int(missed)


if __name__ == '__main__':
    sys.exit(main())
