"""One pass over the data: a reader, any number of sinks, a few chunks of memory.

The pump reads in the caller's thread and hands every chunk to all sinks, each
in a thread of its own behind a short queue: hashlib and file writes release
the GIL, so the pass takes as long as its slowest sink and not as their sum.
"""

import contextlib
import errno
import hashlib
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self

from imagepipe import errors
from imagepipe.domain import names

LOG = logging.getLogger(__name__)

#: What the pump asks a reader for, and the most that one write() gets, in bytes.
CHUNK = 1 << 20
#: Chunks that may wait before a sink; the slowest sink holds the reader back.
DEPTH = 3
_ZEROS = bytes(CHUNK)
#: errno values that mean: no room.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Reader(Protocol):
    """Bytes to come; b'' is the end."""

    def read(self, size: int = -1) -> bytes: ...

    def close(self) -> None: ...


#: Whether nobody waits for the bytes any more; asked between short waits.
Cancelled = Callable[[], bool]


def never() -> bool:
    """Somebody waits for them until they are there."""
    return False


class Announced:
    """A reader that has exactly the announced number of bytes, or raises what `wrong` makes of those found.

    It raises instead of telling an early end, so that nobody behind it takes the data for complete;
    what lies beyond the announced bytes is not waited for.
    """

    def __init__(self, reader: Reader, size: int, wrong: Callable[[int], Exception]) -> None:
        self._reader = reader
        self._size = size
        self._wrong = wrong
        self._found = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._reader.read(size)
        self._found += len(piece)
        if self._found > self._size or (not piece and size != 0 and self._found < self._size):
            raise self._wrong(self._found)
        return piece

    def close(self) -> None:
        self._reader.close()


class Sink(Protocol):
    """A consumer of every byte of one transfer, in order."""

    def write(self, chunk: bytes) -> None: ...

    def close(self) -> None:
        """All data was seen; may raise our errors, which fails the transfer."""

    def abort(self) -> None:
        """The transfer failed, perhaps after this sink was closed; total, never raises."""


def pump(
    reader: Reader,
    sinks: Sequence[Sink],
    *,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Move all of the reader's bytes into every sink; returns their number.

    Raises the first error of anybody: of the reader, of a sink, of `progress`
    (called in this thread with the bytes read so far; raising cancels), or
    SizeCapExceeded beyond `limit` bytes. Then every sink has had one abort().
    The pump cannot end a read() or write() that blocks: it returns after it.
    """
    parts = [part for sink in sinks for part in getattr(sink, 'split', lambda sink=sink: [sink])()]
    done = False
    try:
        total = _transfer(_chunks(reader, limit, progress), parts)
        done = True
        return total
    finally:
        if not done:
            for part in parts:
                _abort(part)


def _transfer(chunks: Iterator[bytes], sinks: Sequence[Sink]) -> int:
    """Short data inline, without the cost of threads; the rest in lanes."""
    first = next(chunks, b'')
    second = next(chunks, b'')
    if second:
        return _run_lanes(first, second, chunks, sinks)
    for sink in sinks if first else ():
        sink.write(first)
    for sink in sinks:
        sink.close()
    return len(first)


def _run_lanes(first: bytes, second: bytes, chunks: Iterator[bytes], sinks: Sequence[Sink]) -> int:
    failure = _Failure()
    lanes = [_Lane(sink, failure) for sink in sinks]
    total = 0
    try:
        for lane in lanes:
            lane.start()
        for chunk in _chain(first, second, chunks):
            for lane in lanes:
                lane.queue.put(chunk)
            total += len(chunk)
            failure.raise_if_any()
    except BaseException as error:
        failure.set(error)  # so that no lane closes its sink as if all were well
        raise
    finally:
        _finish(lanes)
    failure.raise_if_any()
    return total


def _finish(lanes: 'list[_Lane]') -> None:
    running = [lane for lane in lanes if lane.ident is not None]
    for lane in running:
        lane.queue.put(None)
    for lane in running:
        lane.join()


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _chunks(reader: Reader, limit: int | None, progress: Callable[[int], None] | None) -> Iterator[bytes]:
    """Chunks of CHUNK bytes (the last one shorter), however little or much the reader gives."""
    pieces: list[bytes] = []
    held = total = 0
    while piece := reader.read(CHUNK - held):
        total += len(piece)
        if limit is not None and total > limit:
            raise errors.SizeCapExceeded(limit=limit)
        if progress is not None:
            progress(total)
        pieces.append(piece)
        held += len(piece)
        if held < CHUNK:
            continue
        data = pieces[0] if len(pieces) == 1 else b''.join(pieces)
        whole = held - held % CHUNK
        if whole == held == CHUNK:
            yield data
        else:  # more than was asked for: uWSGI's chunked reader does that
            yield from (data[start : start + CHUNK] for start in range(0, whole, CHUNK))
        pieces = [data[whole:]] if whole < held else []
        held -= whole
    if held:
        yield b''.join(pieces)


class _Failure:
    """The first error of a transfer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.error: BaseException | None = None

    def set(self, error: BaseException) -> None:
        with self._lock:
            if self.error is None:
                self.error = error

    def raise_if_any(self) -> None:
        if self.error is not None:
            raise self.error


class _Lane(threading.Thread):
    """One sink behind its queue. After an error anywhere it only empties the queue, so no put() blocks."""

    def __init__(self, sink: Sink, failure: _Failure) -> None:
        super().__init__(name=f'sink-{type(sink).__name__}', daemon=True)
        self.queue: queue.Queue[bytes | None] = queue.Queue(DEPTH)
        self._sink = sink
        self._failure = failure

    def run(self) -> None:
        while (chunk := self.queue.get()) is not None:
            if self._failure.error is None:
                self._try(self._sink.write, chunk)
        if self._failure.error is None:
            self._try(self._sink.close)

    def _try(self, call: Callable[..., None], *args: bytes) -> None:
        try:
            call(*args)
        except BaseException as error:  # noqa: BLE001  the edge of this thread: raised again by the pump
            self._failure.set(error)


def _abort(sink: Sink) -> None:
    try:
        sink.abort()
    except Exception:
        LOG.exception('Aborting %s failed', type(sink).__name__)


class Digests:
    """A sink over hashlib algorithms; the pump gives each algorithm a thread of its own."""

    def __init__(self, algorithms: Sequence[str]) -> None:
        self._parts = {name: _Digest(name) for name in dict.fromkeys(algorithms)}

    def split(self) -> 'list[Sink]':
        """The sinks that the pump runs in place of this one."""
        return list(self._parts.values())

    def write(self, chunk: bytes) -> None:
        for part in self._parts.values():
            part.write(chunk)

    def close(self) -> None:
        """Nothing to end."""

    def abort(self) -> None:
        """Nothing to remove."""

    def results(self) -> dict[str, str]:
        """Hexadecimal digests by algorithm."""
        return {name: part.digest.hexdigest() for name, part in self._parts.items()}


class _Digest:
    def __init__(self, algorithm: str) -> None:
        self.digest = hashlib.new(algorithm, usedforsecurity=False)
        self.write = self.digest.update

    def close(self) -> None:
        """Nothing to end."""

    def abort(self) -> None:
        """Nothing to remove."""


def staging_error(error: OSError) -> errors.ImagepipeError:
    """What a refusal of the file system means for staging."""
    return errors.StagingFull() if error.errno in NO_ROOM else errors.StagingUnavailable()


class FileSink:
    """Writes a new file in an existing directory; durable after close(), gone after abort().

    `thin` leaves chunks of zeros out as holes. `translate` makes the error for
    whatever the file system refuses (a file that exists already, among others).
    """

    def __init__(
        self,
        path: Path | str,
        *,
        mode: int = 0o640,
        thin: bool = False,
        translate: Callable[[OSError], Exception] = staging_error,
    ) -> None:
        self.path = Path(path)
        self._thin = thin
        self._holes = False
        self._translate = translate
        with self._translated():
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def write(self, chunk: bytes) -> None:
        with self._translated():
            if self._thin and chunk == _ZEROS[: len(chunk)]:
                os.lseek(self._fd, len(chunk), os.SEEK_CUR)
                self._holes = True
                return
            written = os.write(self._fd, chunk)
            while written < len(chunk):
                written += os.write(self._fd, memoryview(chunk)[written:])

    def close(self) -> None:
        with self._translated():
            try:
                if self._holes:
                    os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR))
                os.fsync(self._fd)
            finally:
                self._release()
            sync_directory(self.path.parent)

    def abort(self) -> None:
        try:
            self._release()
            self.path.unlink(missing_ok=True)
        except OSError as error:
            LOG.warning('File %s of a failed transfer could not be removed: %s', self.path, error)

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            LOG.warning('Writing %s failed: %s', self.path, error)
            raise self._translate(error) from error


def sync_directory(path: Path) -> None:
    """Make the directory's entries durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class StagedFile:
    """A reader of a complete local file, which a store may take over by `path` instead of reading.

    Each of N stores written in parallel opens its own. `progress` is called
    with the bytes read or copied so far, and may raise to cancel. Raises
    StagingLost when the file is gone, StagingUnavailable when it cannot be read.
    """

    def __init__(self, path: Path | str, *, progress: Callable[[int], None] | None = None) -> None:
        self.path = Path(path)
        self._progress = progress
        self._done = 0
        try:
            self._file = open(self.path, 'rb', buffering=0)  # noqa: SIM115  closed by close()
            self.size = os.fstat(self._file.fileno()).st_size
        except FileNotFoundError as error:
            name = names.parse(self.path.name)
            raise errors.StagingLost(image_id=name.image_id if name else self.path.name) from error
        except OSError as error:
            LOG.warning('Opening %s failed: %s', self.path, error)
            raise errors.StagingUnavailable from error

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            LOG.warning('Reading %s failed: %s', self.path, error)
            raise errors.StagingUnavailable from error
        self.advance(len(data))
        return data

    def advance(self, count: int) -> None:
        """Whoever copies the file without read() says so here."""
        self._done += count
        if self._progress is not None:
            self._progress(self._done)

    def rewind(self, position: int) -> None:
        """Read again from here, because somebody failed to send what was read."""
        self._file.seek(position)
        self._done = position

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
