"""Peak resident memory of every process for a small and a large import.

    python benchmarks/import_memory.py [--sizes 256 4096] [--directory DIR]

Sizes are in MiB. Data come chunked, without a size: uploaded to staging and imported by
glance-direct, and fetched by web-download from a server that sends chunks. A fresh imagepipe runs
each import; what is shown is VmHWM of the API's and the conductor's worker.
"""

import argparse
import http.server
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator

import requests
import testtools

from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures.cloud import CloudFixture

MIB = 1 << 20
SIZES = (256, 4096)
METHODS = ('glance-direct', 'web-download')
#: MiB that the large import may need more.
ALLOWED = 20
_HOUR = 3600.0
_BLOCK = os.urandom(MIB)


class Nobody(testtools.TestCase):
    """For the fixtures, which want a test."""

    def nothing(self) -> None:
        """The name that a TestCase must be made with."""


class Source(http.server.BaseHTTPRequestHandler):
    """Sends as many MiB as the path says, in chunks."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        """Whole, whatever range is asked for."""
        self.send_response(200)
        self.send_header('Transfer-Encoding', 'chunked')
        self.send_header('Connection', 'close')
        self.end_headers()
        for piece in pieces(int(self.path.strip('/'))):
            self.wfile.write(b'%x\r\n%b\r\n' % (len(piece), piece))
        self.wfile.write(b'0\r\n\r\n')
        self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def pieces(size: int) -> Iterator[bytes]:
    """So many MiB, of which no two are the same."""
    for number in range(size):
        yield number.to_bytes(8, 'big') + _BLOCK[8:]


def peaks(size: int, method: str) -> dict[str, float]:
    """MiB of memory at their peak, of each process, in one import of so many MiB."""
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Source) as source:
        threading.Thread(target=source.serve_forever, daemon=True).start()
        try:
            return _imported(size, method, source.server_port)
        finally:
            source.shutdown()


def _imported(size: int, method: str, port: int) -> dict[str, float]:
    overrides = {'import_filtering_opts.allowed_ports': port, 'transfers.client_timeout': 600}
    with CloudFixture(Nobody('nothing'), stores=('fast',), overrides=overrides) as cloud:
        image_id = cloud.image()
        if method == 'glance-direct':
            _stage(cloud, image_id, size)
            import_id = cloud.start(image_id)
        else:
            import_id = cloud.start(image_id, uri=f'http://127.0.0.1:{port}/{size}')
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


def peak(pid: int) -> float:
    """MiB of resident memory at the peak of a process."""
    with open(f'/proc/{pid}/status') as file:
        return int(re.search(r'^VmHWM:\s+(\d+) kB', file.read(), re.MULTILINE)[1]) / 1024


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
