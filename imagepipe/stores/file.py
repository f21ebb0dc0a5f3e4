"""The file store: staged files are taken over by hard link, streams are written once.

It has the options and URLs of glance_store's file driver, so that images of
either are readable by the other; it does not write with that driver, which
copies and hashes every byte again.
"""

import contextlib
import errno
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from imagepipe import errors
from imagepipe.stores import copying
from imagepipe.stores.streams import (
    NO_ROOM,
    Announced,
    Cancelled,
    FileSink,
    Reader,
    StagedFile,
    never,
    pump,
    sync_directory,
)

LOG = logging.getLogger(__name__)

#: Below each data directory: what is not complete yet, as <name>~<random>.
UNFINISHED = '.imagepipe'
#: A class of errors (`type` is an attribute of the store).
Refusal = type[errors.ImagepipeError]
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
HOPELESS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})


@dataclass(frozen=True)
class Datadir:
    """One directory of the store; a higher priority is filled first."""

    path: Path
    priority: int = 0

    @property
    def unfinished(self) -> Path:
        return self.path / UNFINISHED

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


class FileStore:
    """Objects are files <datadir>/<name>; several processes may put the same name at once.

    `file_perm` is the mode of the files (0: what the umask leaves), `thin`
    leaves out blocks of zeros when a stream is written. A StagedFile is taken
    over by hard link, and where that is not possible by reflink,
    copy_file_range or copying; its later changes would be changes of the object.
    `chunk_size` is only shown: reads and writes are of 1 MiB, or what is asked.
    """

    type = 'file'
    schemes = ('file', 'filesystem')
    read_only = False
    needs_size = False
    takes_files = True

    def __init__(
        self,
        store_id: str,
        datadirs: Sequence[Datadir],
        *,
        file_perm: int = 0,
        chunk_size: int = 65536,
        thin: bool = False,
        description: str | None = None,
        weight: int = 0,
    ) -> None:
        self.id = store_id
        self.description = description
        self.weight = weight
        self.datadirs = tuple(sorted(datadirs, key=lambda datadir: -datadir.priority))
        self._mode = file_perm
        self._chunk_size = chunk_size
        self._thin = thin
        #: Data directories in which that of the unfinished ones has been seen: it does not go by itself.
        self._seen: set[Path] = set()

    # The contract.

    def put(self, name: str, stream: Reader, size: int | None) -> str:
        with self.translated(missing=errors.StoreTransient):
            datadir = self._best(size or 0)
            final = self._path(datadir, name)
            self._prepared(datadir)
            temporary = datadir.unfinished / f'{name}~{secrets.token_hex(8)}'
            try:
                if isinstance(stream, StagedFile):
                    self._take_over(stream, size, temporary)
                else:
                    self._receive(stream, size, temporary)
                if self._mode > 0:
                    temporary.chmod(self._mode)
                temporary.rename(final)
            finally:
                # Renaming one hard link onto another of the same file does nothing, and leaves it.
                temporary.unlink(missing_ok=True)
            sync_directory(datadir.path)
            for other in self.datadirs:
                if other != datadir:
                    self._path(other, name).unlink(missing_ok=True)
            return f'file://{final}'

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        """A file object with fileno() at `offset`; a server's file wrapper may ignore that offset."""
        with self.translated(), contextlib.ExitStack() as undo:
            reader = StoredFile(self, self._open(url))
            undo.callback(reader.close)
            reader.seek(offset)
            undo.pop_all()
            return reader

    def discard(self, name: str) -> None:
        with self.translated():
            for datadir in self.datadirs:
                self._path(datadir, name).unlink(missing_ok=True)
                for entry in self._unfinished(datadir):
                    if entry.rpartition('~')[0] == name:
                        (datadir.unfinished / entry).unlink(missing_ok=True)
                self._require(datadir)

    def delete(self, url: str) -> None:
        with self.translated():
            self._located(url).unlink(missing_ok=True)

    def names(self, prefix: str = '') -> Iterator[str]:
        """Objects, and by the same names what interrupted puts left; the temporary names never show."""
        found = set()
        with self.translated(missing=errors.StoreTransient):
            for datadir in self.datadirs:
                with os.scandir(datadir.path) as entries:
                    found.update(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
                found.update(entry.rpartition('~')[0] for entry in self._unfinished(datadir))
        return iter(sorted(name for name in found if name.startswith(prefix) and not name.startswith('.')))

    def size(self, url: str) -> int:
        with self.translated():
            fd = self._open(url)
            try:
                return os.fstat(fd).st_size
            finally:
                os.close(fd)

    def holds(self, url: str) -> bool:
        with contextlib.suppress(errors.ImagepipeError):
            return bool(self._located(url))
        return False

    def check(self) -> None:
        """Every data directory can be listed and written."""
        with self.translated(missing=errors.StoreTransient):
            for datadir in self.datadirs:
                self._prepared(datadir)
                os.listdir(datadir.path)
                # Most file systems give it no name, so that a process killed here leaves nothing.
                with tempfile.TemporaryFile(dir=datadir.unfinished) as probe:
                    probe.write(b'imagepipe')
                    probe.flush()

    def properties(self) -> dict[str, object]:
        """What GET /v2/info/stores/detail shows."""
        return {
            'data_dir': str(self.datadirs[0].path),
            'chunk_size': self._chunk_size,
            'thin_provisioning': self._thin,
        }

    def prepare(self) -> None:
        """Make the data directories; to be called once, when the service starts."""
        with self.translated():
            for datadir in self.datadirs:
                datadir.unfinished.mkdir(parents=True, exist_ok=True)
                self._seen.add(datadir.path)

    def rely(self) -> None:
        """For a process that is no service: what services have made is there, or it is an outage.

        To make it here would hide that a file system is not mounted, from this process and from services.
        """
        self._seen.update(datadir.path for datadir in self.datadirs)

    def is_new(self) -> bool:
        """Whether no service has been here yet, and one could make what it needs."""
        return not any(datadir.unfinished.is_dir() for datadir in self.datadirs) and all(
            _can_be_made(datadir.path) for datadir in self.datadirs
        )

    # Writing.

    def _take_over(self, staged: StagedFile, size: int | None, temporary: Path) -> None:
        if size is not None and staged.size != size:
            raise errors.StorePermanent(store=self.id)
        os.fsync(staged.fileno())
        if _link(staged, temporary):
            staged.advance(staged.size)
            return
        target = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        try:
            copying.copy(staged.fileno(), target, staged.size, staged.advance)
            os.fsync(target)
        finally:
            os.close(target)

    def _receive(self, stream: Reader, size: int | None, temporary: Path) -> None:
        if size is not None:
            stream = Announced(stream, size, lambda found: errors.StorePermanent(store=self.id))
        pump(stream, [FileSink(temporary, thin=self._thin, translate=self._refused)])

    def _best(self, size: int) -> Datadir:
        """By priority, then by room; with one directory the write itself finds out."""
        if len(self.datadirs) == 1:
            return self.datadirs[0]
        fitting = [
            (datadir.priority, free, datadir) for datadir in self.datadirs if (free := datadir.free()) >= size
        ]
        if not fitting:
            raise errors.StoreFull(store=self.id)
        return max(fitting, key=lambda found: found[:2])[2]

    # Paths.

    def _path(self, datadir: Datadir, name: str) -> Path:
        if not name or name.startswith('.') or set(name) & set('/~\0'):
            raise ValueError(f'not an object name: {name!r}')
        return datadir.path / name

    def _unfinished(self, datadir: Datadir) -> list[str]:
        try:
            return os.listdir(datadir.unfinished)
        except FileNotFoundError:
            self._require(datadir)
            return []

    def _require(self, datadir: Datadir) -> None:
        """An absent data directory is an outage, not an empty store; so is a bare mount point."""
        if not (datadir.unfinished if datadir.path in self._seen else datadir.path).is_dir():
            LOG.warning('Store %s: %s is not there, or its file system is not', self.id, datadir.path)
            raise errors.StoreTransient(store=self.id)

    def _prepared(self, datadir: Datadir) -> None:
        """It can be written to: never below a mount point, beside the data that was there before."""
        if datadir.path in self._seen:
            self._require(datadir)
            return
        datadir.unfinished.mkdir(exist_ok=True)
        self._seen.add(datadir.path)

    def _located(self, url: str) -> Path:
        """The path of a URL; StorePermanent when it leads out of the data directories."""
        scheme, _, rest = url.partition('://')
        path = Path(rest)
        if scheme not in ('file', 'filesystem') or not path.is_absolute() or '\0' in rest:
            raise errors.StorePermanent(store=self.id)
        parent = Path(os.path.realpath(path.parent))
        for datadir in self.datadirs:
            root = Path(os.path.realpath(datadir.path))
            inside = parent.is_relative_to(root) and path.name not in ('', '.', '..')
            if inside and not any(
                part.startswith('.') for part in (*parent.relative_to(root).parts, path.name)
            ):
                self._require(datadir)
                return parent / path.name
        raise errors.StorePermanent(store=self.id)

    def _open(self, url: str) -> int:
        path = self._located(url)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise errors.StorePermanent(store=self.id)
        return fd

    # Errors.

    @contextlib.contextmanager
    def translated(self, missing: Refusal = errors.StoreObjectMissing) -> Iterator[None]:
        """OSError becomes one of our errors; `missing` is the one for a path that does not exist."""
        try:
            yield
        except OSError as error:
            raise self._refused(error, missing) from error

    def _refused(self, error: OSError, missing: Refusal = errors.StoreTransient) -> errors.ImagepipeError:
        LOG.warning('Store %s: %s', self.id, error)
        if error.errno in NO_ROOM:
            return errors.StoreFull(store=self.id)
        if error.errno in DENIED:
            return errors.StoreDenied(store=self.id)
        if error.errno in HOPELESS:
            return errors.StorePermanent(store=self.id)
        return (missing if error.errno == errno.ENOENT else errors.StoreTransient)(store=self.id)


def _link(staged: StagedFile, temporary: Path) -> bool:
    """Whether `temporary` is the staged file now; False where no link can be made."""
    try:
        os.link(staged.path, temporary, follow_symlinks=False)
    except OSError as error:
        if error.errno in copying.CANNOT:
            return False
        raise
    if os.path.samestat(os.lstat(temporary), os.fstat(staged.fileno())):
        return True
    temporary.unlink()  # somebody replaced the staged file after it was opened
    return False


class StoredFile:
    """A seekable reader with fileno(), so that a server can send it without copying.

    The descriptor is its own, also when it is of no file and this raises OSError.
    """

    def __init__(self, store: FileStore, fd: int) -> None:
        self._store = store
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, fd)
            self._file = open(fd, 'rb', buffering=0)  # noqa: SIM115  closed by close()
            undo.pop_all()

    def read(self, size: int = -1) -> bytes:
        with self._store.translated():
            return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _can_be_made(path: Path) -> bool:
    while not path.exists():
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
