"""What tracing costs an import: off, on without being asked for, and traced into Redis.

    python benchmarks/tracing_cost.py [--imports 50]

Three imagepipes on SQLite, each with an API and a conductor, import in turns as import_overhead.py does.
The last two have every trace point, those of statements too.
"""

import argparse
import collections
import contextlib
import statistics
import sys
import threading
import uuid

from osprofiler import profiler, web

from benchmarks.import_overhead import SETTINGS, WARM_UP, Client
from benchmarks.measuring import Nobody, cpu
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.jobboards import RedisServer

KEY = 'a-key-of-the-operator'
ROWS = ('off', 'on', 'traced')
#: How much more an import may cost while tracing is on and nobody asks for it.
TARGET = 1.1


def measure(imports: int) -> dict[str, dict[str, float]]:
    """Milliseconds of CPU of worker and API for an import, in the median; and trace points of each."""
    costs: dict[str, dict[str, list[float]]] = {row: collections.defaultdict(list) for row in ROWS}
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(RedisServer(Nobody('nothing')))
        clouds = {row: stack.enter_context(_cloud(row, redis.url)) for row in ROWS}
        clients = {row: Client(cloud) for row, cloud in clouds.items()}
        for number in range(WARM_UP + imports):
            for row, cloud in clouds.items():
                spent = _one(clients[row], cloud, redis, traced=row == 'traced')
                if number >= WARM_UP:
                    for name, value in spent.items():
                        costs[row][name].append(value)
    return {
        row: {name: statistics.median(values) for name, values in found.items()}
        for row, found in costs.items()
    }


def _cloud(row: str, redis: str) -> CloudFixture:
    settings = dict(SETTINGS)
    if row != 'off':
        settings |= {
            'profiler.enabled': True,
            'profiler.hmac_keys': KEY,
            'profiler.trace_sqlalchemy': True,
            'profiler.connection_string': redis,
        }
    return CloudFixture(Nobody('nothing'), stores=('fast',), overrides=settings)


def _one(client: Client, cloud: CloudFixture, redis: RedisServer, *, traced: bool) -> dict[str, float]:
    (worker,), (api,) = cloud.workers(), cloud.api_workers()
    client.headers = _asking() if traced else {}
    asked, before = redis.requests(), (cpu(worker.pid), cpu(api.pid))
    client.run_import()
    threading.Event().wait(0.05)  # what follows the end belongs to it
    after = cpu(worker.pid), cpu(api.pid)
    return {
        'worker': 1000 * (after[0] - before[0]),
        'API': 1000 * (after[1] - before[1]),
        'points': redis.requests() - asked,
    }


def _asking() -> dict[str, str]:
    """The headers of a client that wants a trace of its own."""
    profiler.clean()
    profiler.init(KEY, base_id=str(uuid.uuid4()))
    try:
        return web.get_trace_id_headers()
    finally:
        profiler.clean()


def main() -> int:
    """Print a table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--imports', type=int, default=50)
    found = measure(parser.parse_args().imports)
    row = '{:<8} {:>10} {:>10} {:>10} {:>16}'
    print(row.format('', 'worker ms', 'API ms', 'x off', 'messages/import'))
    whole = {name: figures['worker'] + figures['API'] for name, figures in found.items()}
    for name, figures in found.items():
        ratio = whole[name] / whole['off']
        cells = (
            f'{figures["worker"]:.1f}',
            f'{figures["API"]:.1f}',
            f'{ratio:.2f}',
            f'{figures["points"]:.0f}',
        )
        print(row.format(name, *cells), flush=True)
    return int(whole['on'] > TARGET * whole['off'])


if __name__ == '__main__':
    sys.exit(main())
