"""VMDK: only sparse extents that carry their own descriptor; text-only descriptors name other files."""

import re
import struct
from collections.abc import Iterable, Iterator

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window, truncated
from imagepipe.formats.examiners.vmdk_descriptor import Descriptor
from imagepipe.formats.verdict import Finding

MAGIC = b'KDMV'
OLD_MAGIC = b'COWD'
SECTOR = 512
# magic, version, flags, capacity, grain, descriptor offset and size, GTEs per GT, rgd, gd
HEADER = struct.Struct('<4sIIQQQQIQQ')
GD_AT_END = 0xFFFFFFFFFFFFFFFF
DESCRIPTOR_MAX = (1 << 20) - 1
FOOTER_AT = -1024
# how a reader recognises a descriptor without data: comments and blank lines, then the version
TEXT = re.compile(rb'(?:#[^\n]*+\n|[ \t]*+\r?\n)*+[ \t]*+version[ \t]*+=[ \t]*+[0-9]', re.IGNORECASE)
TEXT_PROBE = 64 * 1024


class Vmdk:
    """Header, embedded descriptor, and the footer that overrides the header in streams."""

    format = 'vmdk'

    def wants(self, seen: Capture) -> Iterable[Window]:
        return ()

    def examine(self, seen: Capture) -> Examination | None:
        magic = seen.head(len(MAGIC))
        if magic == MAGIC:
            return self._sparse(seen)
        if magic == OLD_MAGIC or TEXT.match(seen.head(TEXT_PROBE)):
            reason = 'A vmdk image must carry its descriptor and its data in one file.'
            return Examination(self.format, (Finding('descriptor', reason, self.format),))
        return None

    def _sparse(self, seen: Capture) -> Examination:
        header = seen.head(HEADER.size)
        if len(header) < HEADER.size:
            return Examination(self.format, (truncated(self.format),))
        _magic, _version, _flags, sectors, _grain, at, length, *_rest, gd = HEADER.unpack(header)
        findings = [*self._header(sectors, at), *self._footer(seen, header, gd)]
        text = seen.at(at * SECTOR, min(length * SECTOR, DESCRIPTOR_MAX))
        if text is None:
            findings.append(Finding('descriptor', 'The vmdk image has no descriptor.', self.format))
            return Examination(self.format, tuple(findings))
        descriptor = Descriptor(text)
        findings += descriptor.findings()
        return Examination(self.format, tuple(findings), sectors * SECTOR, descriptor.create_type)

    def _header(self, sectors: int, descriptor_at: int) -> Iterator[Finding]:
        if sectors == 0:
            # readers then take the extents from the descriptor: any file of the host
            yield Finding('extents', 'The vmdk image has no data of its own.', self.format)
        if descriptor_at != 1:
            yield Finding('descriptor', 'The vmdk descriptor is not where it must be.', self.format)

    def _footer(self, seen: Capture, header: bytes, gd: int) -> Iterator[Finding]:
        if gd != GD_AT_END:
            return
        footer = seen.tail(-FOOTER_AT)[: HEADER.size]
        # all fields but the place of the grain directories
        if footer[:48] != header[:48]:
            yield Finding('footer', 'The footer of the vmdk image differs from its header.', self.format)
