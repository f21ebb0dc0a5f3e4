"""Finds the only member of a zip file, reading no more than its ends and one header.

Python's zipfile reads the whole directory into memory, however long it claims
to be, and takes directories of any number of members; an image has one.
APPNOTE.TXT 6.3, sections 4.3 and 4.5.3.
"""

import dataclasses
import os
import struct
from typing import BinaryIO

from imagepipe import errors

END = struct.Struct('<4s4H2LH')
END64_LOCATOR = struct.Struct('<4sLQL')
END64 = struct.Struct('<4sQ2H2L4Q')
CENTRAL = struct.Struct('<4s6H3L5H2L')
LOCAL = struct.Struct('<4s5H3L2H')
COMMENT_MAX = 65535
DIRECTORY_MAX = 3 * 65535 + CENTRAL.size
ZIP64_EXTRA = 1
ENCRYPTED = 1
STORED, DEFLATED = 0, 8

NOT_ONE = 'a zip file must hold exactly one member.'
NOT_VALID = 'the structure of the zip file is not valid.'


@dataclasses.dataclass(frozen=True)
class Member:
    """Where the compressed bytes stand, and what they must become."""

    offset: int
    compressed_size: int
    size: int
    crc: int
    deflated: bool


def only_member(path: str | os.PathLike[str]) -> Member:
    """The member; DecompressionFailed when there are several, or none, or it cannot be read."""
    with open(path, 'rb') as file:
        try:
            entries, length, offset = _directory(file)
            if entries != 1:
                raise errors.DecompressionFailed(reason=NOT_ONE)
            return _member(file, offset, length)
        except (struct.error, ValueError, OSError, OverflowError) as error:
            raise errors.DecompressionFailed(reason=NOT_VALID) from error


def _directory(file: BinaryIO) -> tuple[int, int, int]:
    """Number of entries, length and offset of the central directory."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - END.size - COMMENT_MAX)
    file.seek(start)
    tail = file.read(END.size + COMMENT_MAX)
    at = tail.rfind(b'PK\x05\x06')
    if at < 0:
        raise ValueError('no end of central directory')
    _magic, _disk, _first, _here, entries, length, offset, _comment = END.unpack_from(tail, at)
    if entries == 0xFFFF or 0xFFFFFFFF in (length, offset):
        entries, length, offset = _directory64(file, start + at)
    if offset + length > size:
        raise ValueError('the directory lies outside of the file')
    return entries, length, offset


def _directory64(file: BinaryIO, end_at: int) -> tuple[int, int, int]:
    file.seek(end_at - END64_LOCATOR.size)
    magic, _disk, at, _disks = END64_LOCATOR.unpack(file.read(END64_LOCATOR.size))
    if magic != b'PK\x06\x07':
        raise ValueError('no zip64 locator')
    file.seek(at)
    end = END64.unpack(file.read(END64.size))
    if end[0] != b'PK\x06\x06':
        raise ValueError('no zip64 end of central directory')
    entries, length, offset = end[7:10]
    return entries, length, offset


def _member(file: BinaryIO, offset: int, length: int) -> Member:
    if not CENTRAL.size <= length <= DIRECTORY_MAX:
        raise ValueError('the directory is not that of one member')
    file.seek(offset)
    directory = file.read(length)
    entry = CENTRAL.unpack_from(directory)
    magic, flags, method, crc, compressed, size, name_length, extra_length = (
        entry[0], entry[3], entry[4], entry[7], entry[8], entry[9], entry[10], entry[11],
    )  # fmt: skip
    if magic != b'PK\x01\x02' or flags & ENCRYPTED or method not in (STORED, DEFLATED):
        raise errors.DecompressionFailed(reason='the member of the zip file is encrypted or of an odd kind.')
    extra_at = CENTRAL.size + name_length
    extra = directory[extra_at : extra_at + extra_length]
    size, compressed, header_at = _sizes64(extra, (size, compressed, entry[16]))
    file.seek(header_at)
    local = LOCAL.unpack(file.read(LOCAL.size))
    if local[0] != b'PK\x03\x04':
        raise ValueError('no local header')
    data_at = header_at + LOCAL.size + local[9] + local[10]
    if data_at + compressed > offset:
        raise ValueError('the member runs into the directory')
    return Member(data_at, compressed, size, crc, method == DEFLATED)


def _sizes64(extra: bytes, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Size, compressed size and offset, from the zip64 field where the entry has only a mark."""
    values = list(_zip64_field(extra))
    marked = [index for index, size in enumerate(sizes) if size == 0xFFFFFFFF]
    if len(values) < len(marked):
        raise ValueError('sizes are missing')
    full = list(sizes)
    for index, value in zip(marked, values, strict=False):
        full[index] = value
    return full[0], full[1], full[2]


def _zip64_field(extra: bytes) -> tuple[int, ...]:
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from('<2H', extra, at)
        if kind == ZIP64_EXTRA:
            return struct.unpack_from(f'<{min(length // 8, 3)}Q', extra, at + 4)
        at += 4 + length
    return ()
