"""What the tests of qemu-img share."""

import pathlib
import tempfile

import testtools

from imagepipe.formats.child import Limits
from imagepipe.formats.qemu import QemuImg
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.tools import need

LIMITS = {'memory': 1 << 30, 'cpu_seconds': 60, 'file_size': 1 << 30, 'timeout': 60.0}


def converter(*, binary: str = 'qemu-img', sandbox: str = 'auto', **limits: float) -> QemuImg:
    """A QemuImg with generous limits, but for those given."""
    return QemuImg(binary=binary, sandbox=sandbox, limits=Limits(**{**LIMITS, **limits}))


class QemuImgCase(testtools.TestCase):
    """A directory, a converter, and nothing left in the end."""

    sandbox = 'auto'

    def setUp(self):
        super().setUp()
        need(self, 'qemu-img', 'setpriv', 'prlimit')
        images.needs(self)
        directory = tempfile.TemporaryDirectory(prefix='imagepipe-test-')
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.output = self.directory / 'output'
        self.qemu_img = converter(sandbox=self.sandbox)

    def convert(
        self, source: pathlib.Path, source_format: str, target: pathlib.Path, target_format: str, **kwargs
    ) -> None:
        self.qemu_img.convert(
            source, source_format, target, target_format, workdir=self.directory / 'work', **kwargs
        )

    def leftovers(self) -> list[str]:
        """What stands in the work directory."""
        work = self.directory / 'work'
        return sorted(path.name for path in work.iterdir()) if work.exists() else []
