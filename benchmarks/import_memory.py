"""Peak resident memory of every process for a small and a large import.

    python benchmarks/import_memory.py [--sizes 256 4096] [--directory DIR]

Sizes are in MiB. Data come chunked, without a size: uploaded to staging and imported by
glance-direct, and fetched by web-download from a server that sends chunks. A fresh imagepipe runs
each import; what is shown is VmHWM of the API's and the conductor's worker.
"""

import argparse
import shutil
import sys
import tempfile

import requests

from benchmarks.measuring import Nobody
from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures.bulk import MIB, BulkSource, peak, pieces
from imagepipe.tests.fixtures.cloud import CloudFixture

SIZES = (256, 4096)
METHODS = ('glance-direct', 'web-download')
#: MiB that the large import may need more.
ALLOWED = 20
_HOUR = 3600.0


def peaks(size: int, method: str) -> dict[str, float]:
    """MiB of memory at their peak, of each process, in one import of so many MiB."""
    with BulkSource() as source:
        return _imported(size, method, source)


def _imported(size: int, method: str, source: BulkSource) -> dict[str, float]:
    overrides = {'import_filtering_opts.allowed_ports': source.port, 'transfers.client_timeout': 600}
    with CloudFixture(Nobody('nothing'), stores=('fast',), overrides=overrides) as cloud:
        image_id = cloud.image()
        if method == 'glance-direct':
            _stage(cloud, image_id, size)
            import_id = cloud.start(image_id)
        else:
            import_id = cloud.start(image_id, uri=source.url(size))
        record = cloud.wait(import_id, seconds=_HOUR)
        if record.state is not ImportState.SUCCEEDED:
            raise SystemExit(f'The import of {size} MiB failed: {record.error_code} {record.error_message}')
        stored = cloud.call('GET', f'/v2/images/{image_id}').json()['size']
        if stored != size * MIB:
            raise SystemExit(f'{stored} bytes were stored instead of {size} MiB')
        (worker,), (api,) = cloud.workers(), cloud.api_workers()
        return {'API': peak(api.pid), 'worker': peak(worker.pid)}


def _stage(cloud: CloudFixture, image_id: str, size: int) -> None:
    """Chunked: requests does not know the length of an iterator."""
    response = requests.put(
        f'{cloud.url}/v2/images/{image_id}/stage', data=pieces(size), timeout=_HOUR,
        headers={'Content-Type': 'application/octet-stream'},
    )  # fmt: skip
    response.raise_for_status()


def main() -> int:
    """Print a table; 1 when a process needs more for the large import than for the small one."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--sizes', type=int, nargs=2, default=SIZES, metavar='MIB')
    parser.add_argument('--directory', default=tempfile.gettempdir(), help='where the data go, and go from')
    arguments = parser.parse_args()
    small, large = sorted(arguments.sizes)
    free = shutil.disk_usage(arguments.directory).free // MIB
    if free < 2 * large + 1024:
        parser.error(f'{arguments.directory} has {free} MiB free; {2 * large + 1024} are needed')
    tempfile.tempdir = arguments.directory
    row = '{:<14} {:<8} {:>12} {:>12} {:>8}'
    print(row.format('', '', f'{small} MiB', f'{large} MiB', 'more'))
    worst = 0.0
    for method in METHODS:
        before, after = peaks(small, method), peaks(large, method)
        for name in before:
            more = after[name] - before[name]
            worst = max(worst, more)
            figures = f'{before[name]:.1f}', f'{after[name]:.1f}', f'{more:+.1f}'
            print(row.format(method, name, *figures), flush=True)
    return int(worst > ALLOWED)


if __name__ == '__main__':
    sys.exit(main())
