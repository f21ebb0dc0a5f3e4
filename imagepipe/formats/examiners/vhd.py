"""VHD: a differencing disk (type 4) names a parent file; the footer must say what its copy says.

Virtual Hard Disk Image Format Specification 1.0: the 512 bytes of the footer
stand at the end and, for dynamic and differencing disks, at the start too.
"""

import struct
from collections.abc import Iterable, Iterator

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window, truncated
from imagepipe.formats.verdict import Finding

MAGIC = b'conectix'
FOOTER_LENGTH = 512
DYNAMIC_MAGIC = b'cxsparse'
DYNAMIC_LENGTH = 1024
DYNAMIC, DIFFERENCING, FIXED = 3, 4, 2
# In the dynamic disk header: parent's UUID, parent's name, eight parent locators
PARENT = ((40, 16), (64, 512), (576, 192))


def _type(footer: bytes) -> int:
    return struct.unpack_from('>I', footer, 60)[0]


def _data_offset(footer: bytes) -> int:
    return struct.unpack_from('>Q', footer, 16)[0]


def _size(footer: bytes) -> int:
    return struct.unpack_from('>Q', footer, 48)[0]


class Vhd:
    """The footer's copy at the start, the dynamic header it points to, and the footer."""

    format = 'vhd'

    def wants(self, seen: Capture) -> Iterable[Window]:
        copy = seen.head(FOOTER_LENGTH)
        if copy.startswith(MAGIC) and len(copy) == FOOTER_LENGTH and _type(copy) == DYNAMIC:
            yield _data_offset(copy), DYNAMIC_LENGTH

    def examine(self, seen: Capture) -> Examination | None:
        copy = seen.head(FOOTER_LENGTH)
        if not copy.startswith(MAGIC):
            return None
        if len(copy) < FOOTER_LENGTH:
            return Examination(self.format, (truncated(self.format),))
        findings = (*self._disk(seen, copy), *self._footer(seen, copy))
        return Examination(self.format, findings, _size(copy))

    def _disk(self, seen: Capture, copy: bytes) -> Iterator[Finding]:
        type_ = _type(copy)
        if type_ == DIFFERENCING:
            yield self._parent()
        elif type_ == DYNAMIC:
            yield from self._dynamic(seen.at(_data_offset(copy), DYNAMIC_LENGTH))
        elif type_ != FIXED:
            yield Finding('image_type', f'The vhd disk type {type_} is not supported.', self.format)

    def _dynamic(self, header: bytes | None) -> Iterator[Finding]:
        if header is None or not header.startswith(DYNAMIC_MAGIC):
            yield Finding('malformed', 'The dynamic disk header of the vhd image is missing.', self.format)
        elif any(any(header[at : at + length]) for at, length in PARENT):
            yield self._parent()

    def _footer(self, seen: Capture, copy: bytes) -> Iterator[Finding]:
        footer = seen.tail(FOOTER_LENGTH)
        if not footer.startswith(MAGIC):
            return  # cut off; every reader then uses the copy
        facts = [(_type(each), _data_offset(each), _size(each)) for each in (copy, footer)]
        if facts[0] != facts[1]:
            yield Finding('footer', 'The footer of the vhd image differs from its copy.', self.format)

    def _parent(self) -> Finding:
        return Finding('parent', 'A vhd image must not depend on a parent disk.', self.format)
