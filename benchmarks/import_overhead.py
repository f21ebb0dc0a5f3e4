"""What an import costs besides moving bytes: CPU of the API and of the worker, statements, commits.

    python benchmarks/import_overhead.py [--imports 50] [sqlite postgresql mariadb redis zookeeper]

A real API and a real conductor import images of 64 KiB by glance-direct into one file store. With a jobboard
on Redis or ZooKeeper, they do over PostgreSQL.
CPU is user and system time of the processes; it does not depend on how fast disk and network are.
"""

import argparse
import collections
import contextlib
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator

import requests
import sqlalchemy as sa

from benchmarks.measuring import Nobody, cpu
from imagepipe.domain.import_ import ENDED
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.jobboards import BoardFixture
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

SIZE = 64 << 10
WARM_UP = 5
#: As a new installation has them.
SETTINGS = {
    'conductor.poll': 0.5,
    'conductor.lease': 30.0,
    'conductor.sweep_interval': 30.0,
    'conductor.store_sweep_interval': 3600.0,
    'notifications.interval': 0.5,
    'oslo_messaging_notifications.driver': 'noop',
}
TARGETS = {'sqlite': 100, 'postgresql': 150, 'mariadb': 150, 'redis': 150, 'zookeeper': 150}
BOARDS = ('redis', 'zookeeper')


class Client:
    """Imports images over HTTP; the end is looked up in the database, at no cost to the API."""

    def __init__(self, cloud: CloudFixture) -> None:
        self._cloud = cloud
        self._session = requests.Session()
        #: Sent with every request.
        self.headers: dict[str, str] = {}
        self._data = os.urandom(SIZE)

    def run_import(self) -> None:
        formats = {'disk_format': 'raw', 'container_format': 'bare'}
        image = self._call('POST', '/v2/images', json=formats).json()
        path = f'/v2/images/{image["id"]}'
        self._call(
            'PUT', f'{path}/stage', data=self._data, headers={'Content-Type': 'application/octet-stream'}
        )
        body = {'method': {'name': 'glance-direct'}, 'stores': ['fast']}
        accepted = self._call('POST', f'{path}/import', json=body)
        import_id = accepted.headers['OpenStack-image-import-task-id']
        db = self._cloud.parts.services.db
        wait_until(lambda: db.read(lambda tx: tx.imports.get(import_id)).state in ENDED, 'the import ends')

    def _call(self, method: str, path: str, **request: object) -> requests.Response:
        headers = self.headers | request.pop('headers', {})
        response = self._session.request(
            method, self._cloud.url + path, timeout=60, headers=headers, **request
        )
        response.raise_for_status()
        return response


@contextlib.contextmanager
def _parts(kind: str) -> Iterator[tuple[str, dict[str, object], Callable[[], int]]]:
    """Database and settings of a row, and what counts the requests to its jobboard."""
    with BoardFixture(Nobody('nothing'), kind if kind in BOARDS else 'sql') as board:
        settings = SETTINGS | board.overrides()
        yield 'postgresql' if kind in BOARDS else kind, settings, board.server.requests


def measure_cpu(kind: str, imports: int) -> dict[str, float]:
    """Milliseconds of CPU per import: median and mean, of the worker and of the API; and idle ones.

    And requests to the jobboard: of an import, and in a second of an idle worker.
    """
    with (
        _parts(kind) as (database, settings, requested),
        CloudFixture(Nobody('nothing'), kind=database, stores=('fast',), overrides=settings) as cloud,
    ):
        client = Client(cloud)
        for _ in range(WARM_UP):
            client.run_import()
        (worker,), (api,) = cloud.workers(), cloud.api_workers()
        pids = {'worker': worker.pid, 'api': api.pid}
        threading.Event().wait(2)
        asked = requested()
        idle = _spent(worker.pid, lambda: threading.Event().wait(4)) / 4
        looks = (requested() - asked) / 4
        costs = collections.defaultdict(list)
        for _ in range(imports):
            asked, before = requested(), {name: cpu(pid) for name, pid in pids.items()}
            started = time.monotonic()
            client.run_import()
            threading.Event().wait(0.05)  # what follows the end belongs to it
            elapsed = time.monotonic() - started
            for name, pid in pids.items():
                costs[name].append(1000 * (cpu(pid) - before[name]))
            costs['net'].append(costs['worker'][-1] - 1000 * idle * elapsed)
            costs['board'].append(requested() - asked - looks * (time.monotonic() - started))
        figures = {name: statistics.median(values) for name, values in costs.items()}
        return figures | {'mean': statistics.mean(costs['worker']), 'idle': 1000 * idle, 'looks': looks}


def _spent(pid: int, during: Callable[[], object]) -> float:
    before = cpu(pid)
    during()
    return cpu(pid) - before


def measure_statements(kind: str, imports: int = 10) -> dict[str, float]:
    """Statements and commits per import, of the worker's threads and of the API's."""
    counts: collections.Counter[str] = collections.Counter()
    main = threading.get_ident()

    def side() -> str:
        return 'api' if threading.get_ident() == main else 'worker'

    def on_statement(*_rest: object) -> None:
        counts[f'{side()} statements'] += 1

    def on_commit(*_rest: object) -> None:
        counts[f'{side()} commits'] += 1

    sa.event.listen(sa.Engine, 'before_cursor_execute', on_statement)
    sa.event.listen(sa.Engine, 'commit', on_commit)
    try:
        with (
            _parts(kind) as (database, settings, _),
            PipelineFixture(
                Nobody('nothing'), kind=database, stores=('fast',), overrides=settings
            ) as pipeline,
        ):
            found = collections.defaultdict(list)
            for _ in range(imports + 1):
                counts.clear()
                image_id = pipeline.image()
                pipeline.stage(image_id, bytes(SIZE))
                import_id = pipeline.start(image_id)
                asked = dict(counts)
                pipeline.wait(import_id)
                threading.Event().wait(0.05)
                for name in ('worker statements', 'worker commits'):
                    found[name].append(counts[name])
                for name in ('api statements', 'api commits'):
                    found[name].append(asked[name])
            return {name: statistics.median(values[1:]) for name, values in found.items()}
    finally:
        sa.event.remove(sa.Engine, 'before_cursor_execute', on_statement)
        sa.event.remove(sa.Engine, 'commit', on_commit)


def main() -> int:
    """Print a table; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('rows', nargs='*', metavar='ROW', help=', '.join(TARGETS))
    parser.add_argument('--imports', type=int, default=50)
    arguments = parser.parse_args()
    row = '{:<11} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>12} {:>12} {:>10} {:>10} {:>8}'
    names = 'worker', 'net', 'mean', 'API', 'idle', 'target', 'worker', 'API', 'board', 'board idle', 'net'
    units = *['ms CPU'] * 4, 'ms/s', 'ms', *['stmt/commit'] * 2, 'requests', 'requests/s', 'x first'
    print(row.format('', *names))
    print(row.format('', *units))
    missed, first = False, None
    for kind in arguments.rows or TARGETS:
        spent, said = measure_cpu(kind, arguments.imports), measure_statements(kind)
        missed |= spent['worker'] > TARGETS[kind]
        first = spent['net'] if first is None else first
        print(
            row.format(
                kind,
                *(f'{spent[name]:.1f}' for name in ('worker', 'net', 'mean', 'api', 'idle')),
                TARGETS[kind],
                f'{said["worker statements"]:.0f}/{said["worker commits"]:.0f}',
                f'{said["api statements"]:.0f}/{said["api commits"]:.0f}',
                f'{spent["board"]:.1f}',
                f'{spent["looks"]:.1f}',
                f'{spent["net"] / first:.2f}',
            ),
            flush=True,
        )
    return int(missed)


if __name__ == '__main__':
    sys.exit(main())
