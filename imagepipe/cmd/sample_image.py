"""A disk made on the spot: partitioned, with an ext4 file system that can be mounted, as qcow2.

Made by mkfs.ext4 and qemu-img without being root: nothing is mounted here.
"""

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

_MIB = 1 << 20
_SECTOR = 512
_DISK = 96 * _MIB
_FIRST = _MIB
_FILE_SYSTEM = 94 * _MIB
_FILLING = 24 * _MIB

#: Program -> the Debian package that has it.
_PACKAGES = {
    'mkfs.ext4': 'e2fsprogs',
    'mkfs.vfat': 'dosfstools',
    'mcopy': 'mtools',
    'qemu-img': 'qemu-utils',
}

_README = """\
This disk was made by imagepipe's quickstart. To look at it once more:

  qemu-img convert -O raw sample.qcow2 sample.raw
  sudo mount -o loop,offset=1048576 sample.raw /mnt
"""


class MissingToolError(Exception):
    """A program is missing or failed; the sentence names its Debian package or its words."""


def make(path: Path) -> None:
    """Make the disk, whole or not at all. Raises MissingToolError."""
    qemu_img = _found('qemu-img')
    build = _file_system()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix='.sample-') as work:
        here = Path(work)
        tree = here / 'tree'
        tree.mkdir()
        (tree / 'README.txt').write_text(_README)
        (tree / 'filling.bin').write_bytes(os.urandom(_FILLING))  # or there would be nothing to watch
        build(here / 'partition', tree)
        _assemble(here / 'disk', here / 'partition')
        _call(qemu_img, 'convert', '-f', 'raw', '-O', 'qcow2', here / 'disk', here / 'disk.qcow2')
        os.replace(here / 'disk.qcow2', path)


def _file_system() -> Callable[[Path, Path], None]:
    """ext4 where it can be made, else FAT."""
    if shutil.which('mkfs.ext4', path=_path()):
        return _ext4
    if shutil.which('mkfs.vfat', path=_path()) and shutil.which('mcopy', path=_path()):
        return _fat
    return _ext4


def _ext4(target: Path, tree: Path) -> None:
    _empty(target, _FILE_SYSTEM)
    _call(_found('mkfs.ext4'), '-q', '-F', '-L', 'imagepipe', '-d', tree, target)


def _fat(target: Path, tree: Path) -> None:
    _empty(target, _FILE_SYSTEM)
    _call(_found('mkfs.vfat'), '-n', 'IMAGEPIPE', target)
    _call(_found('mcopy'), '-i', target, *sorted(tree.iterdir()), '::/')


def _assemble(disk: Path, partition: Path) -> None:
    """A DOS partition table with one partition (type Linux), and the file system in it."""
    entry = struct.pack(
        '<B3BB3BII', 0, 32, 33, 0, 0x83, 0xFF, 0xFF, 0xFF, _FIRST // _SECTOR, _FILE_SYSTEM // _SECTOR
    )
    _empty(disk, _DISK)
    with disk.open('r+b') as file, partition.open('rb') as content:
        file.write(bytes(446) + entry + bytes(48) + b'\x55\xaa')
        file.seek(_FIRST)
        shutil.copyfileobj(content, file, _MIB)


def _empty(path: Path, size: int) -> None:
    with path.open('wb') as file:
        file.truncate(size)


def _path() -> str:
    """Where programs are looked for: mkfs is not in an ordinary user's PATH."""
    return os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])


def _found(program: str) -> str:
    found = shutil.which(program, path=_path())
    if found is None:
        package = _PACKAGES[program]
        raise MissingToolError(
            f'{program} is missing, so no disk can be made on the spot: apt-get install {package} '
            '(as root), or name an image of yours, by path or URL.'
        )
    return found


def _call(program: str, *arguments: object) -> None:
    ended = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={'PATH': _path(), 'LC_ALL': 'C', 'MTOOLS_SKIP_CHECK': '1'}, check=False,
    )  # fmt: skip
    if ended.returncode:
        words = (ended.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise MissingToolError(f'{os.path.basename(program)} could not make the disk: {words}')
