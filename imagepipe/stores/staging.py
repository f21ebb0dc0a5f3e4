"""Staging in a directory that all hosts, or the processes of this one, can reach."""

import errno
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from imagepipe import errors
from imagepipe.stores.streams import FileSink, StagedFile

LOG = logging.getLogger(__name__)

_SAFE = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,199}')
P = ParamSpec('P')
R = TypeVar('R')


def _guarded(method: Callable[P, R]) -> Callable[P, R]:
    """A file system that refuses is StagingUnavailable, and the log says why."""

    @wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            LOG.warning('The staging area failed at %s: %s', method.__name__, error)
            raise errors.StagingUnavailable from error

    return guarded


class StagingDirectory:
    """Files by name in one flat directory; every method but path() raises StagingUnavailable.

    `capacity` caps what free_bytes() reports, in bytes, below what the file
    system has. Names come from domain.names; a name with a slash, a leading
    dot or other surprises is a ValueError.
    """

    def __init__(self, path: Path | str, *, capacity: int | None = None, host: str | None = None) -> None:
        self.root = Path(path)
        self.capacity = capacity
        self.host = host

    def path(self, name: str) -> Path:
        """Where a file of this name lies or would lie."""
        if _SAFE.fullmatch(name) is None:
            raise ValueError(f'not a staging name: {name!r}')
        return self.root / name

    @_guarded
    def new(self, name: str) -> Path:
        """The path for a file that does not exist yet; what an earlier run left there is removed."""
        path = self.path(name)
        self._make_root()
        _remove(path)
        return path

    def sink(self, name: str) -> FileSink:
        """A sink that writes the new file of this name."""
        return FileSink(self.new(name))

    def open(self, name: str, *, progress: Callable[[int], None] | None = None) -> StagedFile:
        """A reader of the complete file; StagingLost when it is gone."""
        return StagedFile(self.path(name), progress=progress)

    @_guarded
    def discard(self, name: str) -> None:
        """Remove the file or work directory of this name; absent is fine."""
        _remove(self.path(name))

    @_guarded
    def names(self, prefix: str = '') -> Iterator[str]:
        """All names, or none: a directory that cannot be listed in full is an error, never a short list."""
        with os.scandir(self.root) as entries:
            found = [entry.name for entry in entries]
        return iter(sorted(name for name in found if _SAFE.fullmatch(name) and name.startswith(prefix)))

    @_guarded
    def identity(self, name: str) -> dict[str, int] | None:
        """What tells whether the bytes are still those once recorded; None when they are gone."""
        try:
            fd = os.open(self.path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        if not stat.S_ISREG(found.st_mode):
            return None
        return {'inode': found.st_ino, 'size': found.st_size, 'mtime_ns': found.st_mtime_ns}

    @_guarded
    def age(self, name: str) -> float | None:
        """Seconds since the last write, by the file system's own clock; None when absent."""
        try:
            written = self.path(name).lstat().st_mtime
        except FileNotFoundError:
            return None
        with tempfile.TemporaryFile(dir=self.root) as now:  # a file server's clock may not be ours
            return max(0.0, os.fstat(now.fileno()).st_mtime - written)

    @_guarded
    def free_bytes(self) -> int:
        """What may still be written: the file system's room, at most what `capacity` leaves."""
        found = os.statvfs(self.root)
        free = found.f_bavail * found.f_frsize
        if self.capacity is None:
            return free
        return max(0, min(free, self.capacity - self.used_bytes()))

    @_guarded
    def used_bytes(self) -> int:
        """Disk space held by everything in staging; a file deleted meanwhile counts nothing."""
        used = 0
        for folder, _, files in os.walk(self.root, onerror=_raise):
            used += sum(_allocated(os.path.join(folder, file)) for file in files)
        return used

    @_guarded
    def check(self) -> None:
        """Staging can be made, written and removed from now; StagingFull when it has no room at all."""
        self._make_root()
        try:
            # Most file systems give it no name, so that a process killed here leaves nothing.
            with tempfile.TemporaryFile(dir=self.root) as probe:
                probe.write(b'imagepipe')
                probe.flush()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise errors.StagingFull from error
            raise

    def _make_root(self) -> None:
        self.root.mkdir(mode=0o750, parents=True, exist_ok=True)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _allocated(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):
        if not path.is_dir():
            raise
        shutil.rmtree(path)
