"""The cache directory: whole copies by image id, and below it those that are being written.

A copy is written to incomplete/<image id> under a lock of its file, checked, and renamed. So a file
in the directory itself is whole, whoever dies when; one in incomplete/ that nobody locks was left by
the dead, and a second writer of the same image sees that there is a first.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagepipe import errors
from imagepipe.domain.image import Image, Status
from imagepipe.stores.file import StoredFile
from imagepipe.stores.streams import sync_directory

LOG = logging.getLogger(__name__)

INCOMPLETE = 'incomplete'
#: What errors name in place of a store.
NAME = 'image cache'
_SAFE = re.compile('[A-Za-z0-9][A-Za-z0-9._-]*')


@dataclass(frozen=True)
class Usage:
    """complete: bytes of each copy. promised: bytes of those being written, unwritten of them not yet."""

    complete: dict[str, int]
    promised: int
    unwritten: int
    free: int


class Copy(StoredFile):
    """A whole copy, open; it can be read to its end even after it was removed."""

    def serves(self, image: Image) -> bool:
        """Whether it is read for this image: never for one that is deactivated, whoever asks."""
        return image.status is Status.ACTIVE and os.fstat(self.fileno()).st_size == image.size


class CacheDirectory:
    """Copies of images; safe for every thread and process of one host."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.incomplete = self.root / INCOMPLETE

    def prepare(self) -> None:
        """Make the directories. Raises OSError."""
        self.incomplete.mkdir(mode=0o750, parents=True, exist_ok=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Wait to be the only one of this host who does this. Raises OSError."""
        with open(self.root / f'.{name}.lock', 'a') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """What the file system refuses is StoreTransient: the image can still be read elsewhere."""
        try:
            yield
        except OSError as error:
            LOG.warning('The image cache at %s failed: %s', self.root, error)
            raise errors.StoreTransient(store=NAME) from error

    def open(self, image_id: str) -> Copy | None:
        """The image's copy, None when there is none or it cannot be read."""
        if not _SAFE.fullmatch(image_id):
            return None
        try:
            return Copy(self, os.open(self.root / image_id, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError as error:
            LOG.warning('The copy of image %s cannot be read: %s', image_id, error)
            return None

    def begin(self, image_id: str, size: int) -> int | None:
        """A locked file descriptor to write a copy of so many bytes to.

        None when the copy is there or somebody writes it at this moment. Raises OSError.
        """
        if not _SAFE.fullmatch(image_id):
            return None
        path = self.incomplete / image_id
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            # Whoever wrote it before may have finished between the two lines.
            if not _locked(fd) or not is_at(fd, path):
                return None
            if (self.root / image_id).exists():
                path.unlink()
                return None
            os.ftruncate(fd, 0)
            os.ftruncate(fd, size)
            undo.pop_all()
        return fd

    def finish(self, image_id: str, fd: int) -> None:
        """The file is whole and right: from now on it is served. Raises StoreTransient if it was removed."""
        path = self.incomplete / image_id
        os.fsync(fd)
        if not is_at(fd, path):
            raise errors.StoreTransient(store=NAME)
        path.rename(self.root / image_id)
        sync_directory(self.root)

    def give_up(self, image_id: str, fd: int) -> None:
        """Remove what was written so far, if it is still there."""
        path = self.incomplete / image_id
        if is_at(fd, path):
            path.unlink()

    def remove(self, image_id: str) -> bool:
        """Remove a copy; whether there was one. Raises OSError."""
        try:
            (self.root / image_id).unlink()
        except FileNotFoundError:
            return False
        return True

    def complete(self) -> dict[str, int]:
        """The sizes of the whole copies, by image id. Raises OSError."""
        return {name: found.st_size for name, found in _files(self.root)}

    def usage(self) -> Usage:
        """What is occupied now. Raises OSError."""
        writing = [found for _name, found in _files(self.incomplete)]
        room = os.statvfs(self.root)
        return Usage(
            complete=self.complete(),
            promised=sum(found.st_size for found in writing),
            unwritten=sum(max(0, found.st_size - found.st_blocks * 512) for found in writing),
            free=room.f_bavail * room.f_frsize,
        )

    def clean(self, stall_time: float) -> int:
        """Remove what dead writers left, and what living ones have not touched for so many seconds.

        How many files that were. Raises OSError.
        """
        return sum(
            self._clean(name, stalled=time.time() - found.st_mtime > stall_time)
            for name, found in list(_files(self.incomplete))
        )

    def _clean(self, name: str, *, stalled: bool) -> bool:
        path = self.incomplete / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not (_locked(fd) or stalled) or not is_at(fd, path):
                return False
            LOG.info('Removing a copy of image %s that nobody completes', name)
            path.unlink()
            return True
        finally:
            os.close(fd)


class NewCopy:
    """A sink that writes a copy; it is served after close(), which checks it, and gone after abort()."""

    def __init__(
        self, directory: CacheDirectory, image_id: str, fd: int, *, size: int, digest: tuple[str, str]
    ) -> None:
        self._directory = directory
        self._image_id = image_id
        self._fd = fd
        self._size = size
        self._algorithm, self._expected = digest
        self._digest = hashlib.new(self._algorithm, usedforsecurity=False)
        self._written = 0

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        view = memoryview(chunk)
        with self._directory.translated():
            while view:
                view = view[os.write(self._fd, view) :]
        self._written += len(chunk)

    def close(self) -> None:
        """Raises ExpectedSizeMismatch, DigestMismatch, StoreTransient; then abort() is still to be called."""
        if self._written != self._size:
            raise errors.ExpectedSizeMismatch(expected=self._size, found=self._written)
        found = self._digest.hexdigest()
        if found != self._expected:
            raise errors.DigestMismatch(algorithm=self._algorithm, found=found, expected=self._expected)
        with self._directory.translated():
            self._directory.finish(self._image_id, self._fd)
            self._release()

    def abort(self) -> None:
        if self._fd < 0:
            return
        try:
            self._directory.give_up(self._image_id, self._fd)
            self._release()
        except OSError as error:
            LOG.warning('A broken-off copy of image %s stays: %s', self._image_id, error)

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def is_at(fd: int, path: Path) -> bool:
    """Whether this path is the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if _SAFE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)
