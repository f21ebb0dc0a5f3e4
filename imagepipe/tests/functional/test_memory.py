"""The memory of an import does not grow with its image; benchmarks/import_memory.py is the long form."""

import testtools

from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures.bulk import MIB, BulkSource, peak, pieces
from imagepipe.tests.fixtures.cloud import CloudFixture

SMALL, LARGE = 32, 256
#: MiB that the large image may take more.
ALLOWED = 20


class MemoryTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.source = self.useFixture(BulkSource())
        overrides = {'import_filtering_opts.allowed_ports': self.source.port}
        self.cloud = self.useFixture(CloudFixture(self, stores=('fast',), overrides=overrides))

    def peaks(self):
        (worker,), (api,) = self.cloud.workers(), self.cloud.api_workers()
        return peak(worker.pid), peak(api.pid)

    def import_staged(self, size):
        image_id = self.cloud.image()
        self.cloud.stage(image_id, pieces(size))
        return image_id, self.cloud.start(image_id)

    def fetch(self, size):
        image_id = self.cloud.image()
        return image_id, self.cloud.start(image_id, uri=self.source.url(size))

    def run_both(self, size):
        """Both methods, chunked without a size."""
        for begin in (self.import_staged, self.fetch):
            image_id, import_id = begin(size)
            self.assertIs(ImportState.SUCCEEDED, self.cloud.wait(import_id).state)
            self.assertEqual(size * MIB, self.cloud.call('GET', f'/v2/images/{image_id}').json()['size'])
            self.assertEqual(204, self.cloud.call('DELETE', f'/v2/images/{image_id}').status_code)

    def test_a_large_image_needs_no_more_than_a_small_one(self):
        self.run_both(SMALL)
        before = self.peaks()
        self.run_both(LARGE)
        growth = [round(now - then, 1) for now, then in zip(self.peaks(), before, strict=True)]
        self.assertLess(max(growth), ALLOWED, f'worker and API grew by {growth} MiB')
