"""Copying a local file with as few bytes moved as the file system allows."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator

from imagepipe.stores.streams import CHUNK

#: linux/fs.h: share the blocks of another file (Btrfs, XFS, NFS 4.2).
FICLONE = 0x40049409
#: Bytes per copy_file_range call: small enough for a sign of life every second or so.
RANGE = 64 * CHUNK
#: errno values that mean: not here, or not between these two files.
CANNOT = frozenset(
    {
        errno.EXDEV,
        errno.EPERM,
        errno.EMLINK,
        errno.EOPNOTSUPP,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EINVAL,
        errno.EBADF,
        errno.ETXTBSY,
    }
)


def copy(source: int, target: int, size: int, advance: Callable[[int], None]) -> None:
    """Make the empty file `target` equal to `source` (descriptors); holes stay holes.

    By reference where the file system can, else inside the kernel, else
    through this process. `advance` is told of every piece; it may raise.
    """
    if _reflink(source, target):
        advance(size)
        return
    os.ftruncate(target, size)
    done = 0
    move = _in_kernel
    for start, end in _extents(source, size):
        advance(start - done)
        done = start
        while done < end:
            count = move(source, target, done, min(RANGE, end - done))
            if count is None:
                move = _through_memory
                continue
            done += count
            advance(count)
    if os.fstat(source).st_size != size:  # what was cut off looks like a hole
        raise OSError(errno.EIO, 'the source changed while it was copied')
    advance(size - done)


def _reflink(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in CANNOT:
            return False
        raise
    return True


def _in_kernel(source: int, target: int, offset: int, count: int) -> int | None:
    """Bytes copied; None where the kernel cannot do this."""
    try:
        copied = os.copy_file_range(source, target, count, offset, offset)
    except OSError as error:
        if error.errno in CANNOT:
            return None
        raise
    return copied or None  # some file systems answer 0 instead of an error


def _through_memory(source: int, target: int, offset: int, count: int) -> int:
    data = os.pread(source, min(count, CHUNK), offset)
    if not data:
        raise OSError(errno.EIO, 'the source became shorter while it was copied')
    written = 0
    while written < len(data):
        written += os.pwrite(target, memoryview(data)[written:], offset + written)
    return written


def _extents(source: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of the file that are no holes, as (start, end)."""
    position = 0
    while position < size:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            if error.errno in CANNOT:
                yield position, size
                return
            raise
        position = min(os.lseek(source, start, os.SEEK_HOLE), size)
        yield start, position
