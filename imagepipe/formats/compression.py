"""Unpacks compressed data under caps: in a stream, in bounded memory, one member only.

A bomb is stopped while it unfolds: by an absolute cap, and by the ratio of
what came out to what went in.
"""

import bz2
import dataclasses
import lzma
import os
import zlib
from typing import Protocol

from imagepipe import errors
from imagepipe.formats import zip_member

MAGICS = {
    'gzip': b'\x1f\x8b\x08',
    'bzip2': b'BZh',
    'xz': b'\xfd7zXZ\x00',
    'zstd': b'\x28\xb5\x2f\xfd',
    'zip': b'PK\x03\x04',
}
MAGIC_LENGTH = 10
#: What follows "BZh": the block size, then the first block's or the end's own magic.
BZIP2_BLOCKS = (b'1AY&SY', b'\x17rE8P\x90')

PIECE = 64 * 1024
OUTPUT = 1024 * 1024
#: xz -9 needs 65 MiB to unpack; a header can ask for gigabytes.
XZ_MEMORY = 80 * 1024 * 1024
#: zlib's window parameter, which also says what header stands before the data.
ZLIB = {'gzip': 16 + zlib.MAX_WBITS, 'deflate': -zlib.MAX_WBITS}
RATIO_FLOOR = 64 * 1024 * 1024

CORRUPT = 'it is damaged or not what it claims to be.'
TRUNCATED = 'it ends in the middle.'
MORE_MEMBERS = 'it holds more than one member, or other data behind it.'


class Reader(Protocol):
    """What is read from, and what a decompressor is itself."""

    def read(self, size: int = -1) -> bytes: ...

    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caps:
    """How much may come out: bytes, and bytes per byte that went in (0: any ratio).

    Small images may be almost empty: no ratio is held against the first
    `ratio_floor` bytes.
    """

    max_bytes: int
    max_ratio: int = 0
    ratio_floor: int = RATIO_FLOOR


def detect(head: bytes) -> str | None:
    """The compression that these first bytes (MAGIC_LENGTH suffice) announce, or None."""
    for kind, magic in MAGICS.items():
        if head.startswith(magic) and (kind != 'bzip2' or head[4:10] in BZIP2_BLOCKS):
            return kind
    return None


class Engine(Protocol):
    """A decompressor object: bz2's and lzma's own shape."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Deflate:
    """zlib's object in the shape of bz2's and lzma's."""

    def __init__(self, wbits: int) -> None:
        self._object = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


def _engine(kind: str) -> Engine:
    if kind in ZLIB:
        return Deflate(ZLIB[kind])
    if kind == 'bzip2':
        return bz2.BZ2Decompressor()
    if kind == 'xz':
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    # zstd comes with Python 3.14; a third-party library for it is not among the requirements
    raise errors.DecompressionFailed(reason=f'{kind} is not supported here.')


class Meter:
    """Counts both sides and says when it is too much."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._taken = 0
        self._given = 0

    def take(self, count: int) -> None:
        self._taken += count

    def give(self, count: int) -> None:
        """Raises DecompressionBomb."""
        self._given += count
        if self._given > self._caps.max_bytes:
            raise errors.DecompressionBomb(limit=f'{self._caps.max_bytes} bytes')
        ratio = self._caps.max_ratio
        if ratio and self._given > self._caps.ratio_floor + ratio * self._taken:
            raise errors.DecompressionBomb(limit=f'{ratio} times its size')


class Decompressor:
    """A reader of what `source` holds in compressed form; gzip, bzip2 and xz.

    read() raises DecompressionFailed and DecompressionBomb, and what `source` raises.
    """

    def __init__(self, source: Reader, kind: str, *, caps: Caps) -> None:
        self._source = source
        self._engine = _engine(kind)
        self._meter = Meter(caps)
        self._done = False

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, fewer at any time, none at the end; without a size all that is left."""
        if size < 0:
            return b''.join(iter(lambda: self.read(OUTPUT), b''))
        while size and not self._done:
            data = self._step(min(size, OUTPUT))
            if data:
                return data
        return b''

    def close(self) -> None:
        self._source.close()

    def _step(self, size: int) -> bytes:
        piece = b''
        if self._engine.needs_input:
            piece = self._source.read(PIECE)
            self._meter.take(len(piece))
            if not piece:
                raise errors.DecompressionFailed(reason=TRUNCATED)
        try:
            data = self._engine.decompress(piece, size)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            raise errors.DecompressionFailed(reason=CORRUPT) from error
        self._meter.give(len(data))
        if self._engine.eof:
            self._finish()
        return data

    def _finish(self) -> None:
        """Only padding may follow: a second member would be read by some and missed by others."""
        rest = self._engine.unused_data or self._source.read(PIECE)
        while rest:
            if rest.count(0) != len(rest):
                raise errors.DecompressionFailed(reason=MORE_MEMBERS)
            rest = self._source.read(PIECE)
        self._done = True


class Part:
    """The compressed bytes of a zip member, out of the file around them."""

    def __init__(self, path: str | os.PathLike[str], member: zip_member.Member) -> None:
        self._file = open(path, 'rb')  # noqa: SIM115 - close() closes it
        self._file.seek(member.offset)
        self._left = member.compressed_size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


class Checked:
    """A reader that has passed on what the zip member promised, or has raised DecompressionFailed."""

    def __init__(self, source: Reader, member: zip_member.Member) -> None:
        self._source = source
        self._member = member
        self._given = 0
        self._crc = 0

    def read(self, size: int = -1) -> bytes:
        """As Decompressor.read()."""
        data = self._source.read(size)
        self._given += len(data)
        self._crc = zlib.crc32(data, self._crc)
        at_end = not data and size != 0
        if at_end and (self._given, self._crc) != (self._member.size, self._member.crc):
            raise errors.DecompressionFailed(reason=CORRUPT)
        return data

    def close(self) -> None:
        self._source.close()


def open_compressed(path: str | os.PathLike[str], kind: str, *, caps: Caps) -> Reader:
    """A reader of what the compressed file at `path` holds; read it to its end, then close it.

    A zip file is read by its directory, so it is needed whole; the others stream
    through Decompressor, which this is when `kind` is one of them.
    """
    if kind == 'zip':
        return _open_zip(path, caps)
    return _decompress(open(path, 'rb'), kind, caps)


def _open_zip(path: str | os.PathLike[str], caps: Caps) -> Reader:
    member = zip_member.only_member(path)
    if member.size > caps.max_bytes:
        raise errors.DecompressionBomb(limit=f'{caps.max_bytes} bytes')
    part = Part(path, member)
    return Checked(_decompress(part, 'deflate', caps) if member.deflated else part, member)


def _decompress(source: Reader, kind: str, caps: Caps) -> Reader:
    try:
        return Decompressor(source, kind, caps=caps)
    except errors.DecompressionFailed:
        source.close()
        raise
