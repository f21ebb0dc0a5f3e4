"""VDI: a differencing image names a parent by UUID; VirtualBox then reads the parent's file."""

import struct
from collections.abc import Iterable, Iterator

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window, truncated
from imagepipe.formats.verdict import Finding

MAGIC_AT = 0x40
MAGIC = (0xBEDA107F).to_bytes(4, 'little')
HEADER_LENGTH = 512
VERSION = 0x00010001
SIZE = struct.Struct('<Q')
TYPES = {1: 'dynamic', 2: 'static'}
DIFFERENCING = 4
# UUIDs of the linked and of the parent image
LINKS = ((0x1A8, 16), (0x1B8, 16))


class Vdi:
    """The header; the magic lies behind 64 bytes of free text."""

    format = 'vdi'

    def wants(self, seen: Capture) -> Iterable[Window]:
        return ()

    def examine(self, seen: Capture) -> Examination | None:
        if seen.at(MAGIC_AT, len(MAGIC)) != MAGIC:
            return None
        header = seen.head(HEADER_LENGTH)
        if len(header) < HEADER_LENGTH:
            return Examination(self.format, (truncated(self.format),))
        size = SIZE.unpack_from(header, 0x170)[0]
        return Examination(self.format, tuple(self._findings(header)), size)

    def _findings(self, header: bytes) -> Iterator[Finding]:
        version, _length, type_ = struct.unpack_from('<III', header, 0x44)
        if version != VERSION:
            yield Finding('version', 'This version of the vdi format is not supported.', self.format)
        linked = any(any(header[at : at + length]) for at, length in LINKS)
        if type_ == DIFFERENCING or linked:
            yield Finding('parent', 'A vdi image must not depend on a parent image.', self.format)
        elif type_ not in TYPES:
            yield Finding('image_type', f'The vdi image type {type_} is not supported.', self.format)
