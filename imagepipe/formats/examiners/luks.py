"""LUKS: version 1 only, as QEMU and Nova read no other; what is inside stays unknown."""

import struct
from collections.abc import Iterable

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window, truncated
from imagepipe.formats.verdict import Finding

MAGIC = b'LUKS\xba\xbe'
HEADER_LENGTH = 592
SECTOR = 512
VERSION = struct.Struct('>6sH')
PAYLOAD_AT = 104


class Luks:
    """The header of an encrypted disk; its passphrase is not ours."""

    format = 'luks'

    def wants(self, seen: Capture) -> Iterable[Window]:
        return ()

    def examine(self, seen: Capture) -> Examination | None:
        if seen.head(len(MAGIC)) != MAGIC:
            return None
        header = seen.head(HEADER_LENGTH)
        if len(header) < HEADER_LENGTH:
            return Examination(self.format, (truncated(self.format),))
        _magic, version = VERSION.unpack_from(header)
        if version != 1:
            reason = f'LUKS version {version} is not supported.'
            return Examination(self.format, (Finding('version', reason, self.format),))
        payload = int.from_bytes(header[PAYLOAD_AT : PAYLOAD_AT + 4], 'big') * SECTOR
        return Examination(self.format, virtual_size=max(0, seen.size - payload))
