"""VHDX: a parent in the metadata, and a log whose replay could still put one there.

[MS-VHDX]: two headers (the one with the higher sequence number counts), two
copies of the region table, and a metadata region that the tables point to.
"""

import struct
import uuid
from collections.abc import Iterable, Iterator, Mapping

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window, truncated
from imagepipe.formats.verdict import Finding

MAGIC = b'vhdxfile'
KIB, MIB = 1024, 1024 * 1024
HEADERS_AT = (64 * KIB, 128 * KIB)
HEADER_LENGTH = 4 * KIB
TABLES_AT = (192 * KIB, 256 * KIB)
TABLE_LENGTH = 64 * KIB
ENTRY_LENGTH = 32
ENTRIES_MAX = 2047


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


METADATA_REGION = _guid('8B7CA206-4790-4B9A-B8FE-575F050F886E')
FILE_PARAMETERS = _guid('CAA16737-FA36-4D43-B3B6-33F0AA44E76B')
DISK_SIZE = _guid('2FA54224-CD1B-4876-B211-5DBED83BF4B8')
PARENT_LOCATOR = _guid('A8D35F2D-B30B-454D-ABF7-D3D84834AB0C')
HAS_PARENT = 2
ITEM_LENGTH = 8


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901
        table.append(byte)
    return tuple(table)


CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of a few KiB."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def log_guid(headers: Iterable[bytes | None]) -> bytes | None:
    """The log's GUID in the header that counts, None when no header is valid."""
    valid = []
    for header in headers:
        if header is None or not header.startswith(b'head'):
            continue
        checksum, sequence = struct.unpack_from('<IQ', header, 4)
        if crc32c(header[:4] + bytes(4) + header[8:]) == checksum:
            valid.append((sequence, header[48:64]))
    # of two equal numbers the larger GUID: never the harmless one
    return max(valid)[1] if valid else None


def metadata_at(table: bytes | None) -> int | None:
    """Where a region table puts the metadata region, None when it is not a table that says so once."""
    if table is None or not table.startswith(b'regi'):
        return None
    count = struct.unpack_from('<I', table, 8)[0]
    entries = [table[at : at + ENTRY_LENGTH] for at in _entries(16, count)]
    offsets = [struct.unpack_from('<Q', entry, 16)[0] for entry in entries if entry[:16] == METADATA_REGION]
    # the first MiB belongs to headers and tables
    return offsets[0] if len(offsets) == 1 and offsets[0] >= MIB and offsets[0] % MIB == 0 else None


def items(table: bytes | None) -> Mapping[bytes, int] | None:
    """GUID to offset (inside the region) of the metadata items, None when the table is not valid."""
    if table is None or not table.startswith(b'metadata'):
        return None
    count = struct.unpack_from('<H', table, 10)[0]
    entries = [table[at : at + ENTRY_LENGTH] for at in _entries(32, count)]
    found = {entry[:16]: struct.unpack_from('<I', entry, 16)[0] for entry in entries}
    return found if len(found) == len(entries) == count else None


def _entries(first: int, count: int) -> range:
    return range(first, first + min(count, ENTRIES_MAX) * ENTRY_LENGTH, ENTRY_LENGTH)


class Vhdx:
    """Headers and tables from the head of the stream, the metadata as it comes by."""

    format = 'vhdx'

    def wants(self, seen: Capture) -> Iterable[Window]:
        if seen.head(len(MAGIC)) != MAGIC:
            return
        region = self._region(seen)
        if region is None:
            return
        yield region, TABLE_LENGTH
        known = items(seen.at(region, TABLE_LENGTH)) or {}
        for item in (FILE_PARAMETERS, DISK_SIZE):
            if item in known:
                yield region + known[item], ITEM_LENGTH

    def examine(self, seen: Capture) -> Examination | None:
        if seen.head(len(MAGIC)) != MAGIC:
            return None
        if seen.size < MIB:
            return Examination(self.format, (truncated(self.format),))
        findings = [*self._log(seen)]
        region = self._region(seen)
        table = items(seen.at(region, TABLE_LENGTH)) if region is not None else None
        if region is None or table is None:
            findings.append(self._malformed())
            return Examination(self.format, tuple(findings))
        findings += self._parent(table, self._item(seen, region, table, FILE_PARAMETERS))
        size = self._item(seen, region, table, DISK_SIZE)
        if size is None:
            findings.append(self._malformed())
        return Examination(self.format, tuple(findings), size)

    def _region(self, seen: Capture) -> int | None:
        first, second = (metadata_at(seen.at(at, TABLE_LENGTH)) for at in TABLES_AT)
        return first if first == second else None

    def _item(self, seen: Capture, region: int, table: Mapping[bytes, int], guid: bytes) -> int | None:
        value = seen.at(region + table[guid], ITEM_LENGTH) if guid in table else None
        return None if value is None else struct.unpack('<Q', value)[0]

    def _log(self, seen: Capture) -> Iterator[Finding]:
        guid = log_guid(seen.at(at, HEADER_LENGTH) for at in HEADERS_AT)
        if guid is None:
            yield self._malformed()
        elif any(guid):
            yield Finding(
                'log', 'The vhdx image has a log that was not replayed; close it cleanly first.', self.format
            )

    def _parent(self, table: Mapping[bytes, int], parameters: int | None) -> Iterator[Finding]:
        if parameters is None:
            yield self._malformed()
        elif PARENT_LOCATOR in table or parameters >> 32 & HAS_PARENT:
            yield Finding('parent', 'A vhdx image must not depend on a parent disk.', self.format)

    def _malformed(self) -> Finding:
        return Finding('malformed', 'The headers or metadata of the vhdx image are not valid.', self.format)
