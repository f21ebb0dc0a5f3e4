"""qcow2: backing file, external data file, features of later versions (docs/interop/qcow2 of QEMU)."""

import struct
from collections.abc import Iterable, Iterator

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window, truncated
from imagepipe.formats.verdict import Finding

MAGIC = b'QFI\xfb'
# magic, version, backing file offset and size, cluster bits, virtual size
HEADER = struct.Struct('>4sIQIIQ')
V2_LENGTH = 72
INCOMPATIBLE_AT = 72
DATA_FILE = 2
# dirty, corrupt, compression type: understood by every consumer, none of them names another file
HARMLESS = (0, 1, 3)
FEATURES = {4: 'extended L2 entries (bit 4)'}


class Qcow2:
    """The header, which decides what else a reader opens."""

    format = 'qcow2'

    def wants(self, seen: Capture) -> Iterable[Window]:
        return ()

    def examine(self, seen: Capture) -> Examination | None:
        if seen.head(len(MAGIC)) != MAGIC:
            return None
        header = seen.head(V2_LENGTH)
        if len(header) < V2_LENGTH:
            return Examination(self.format, (truncated(self.format),))
        _magic, version, backing, _backing_length, _cluster, size = HEADER.unpack_from(header)
        findings = list(self._findings(seen, version, backing))
        return Examination(self.format, tuple(findings), size)

    def _findings(self, seen: Capture, version: int, backing: int) -> Iterator[Finding]:
        if backing:
            yield Finding('backing_file', 'A qcow2 image must not have a backing file.', self.format)
        if version == 3:
            yield from self._features(seen)
        elif version != 2:
            yield Finding(
                'unknown_features', f'Version {version} of the format is not supported.', self.format
            )

    def _features(self, seen: Capture) -> Iterator[Finding]:
        field = seen.at(INCOMPATIBLE_AT, 8)
        if field is None:
            yield truncated(self.format)
            return
        bits = int.from_bytes(field, 'big')
        if bits >> DATA_FILE & 1:
            yield Finding('data_file', 'A qcow2 image must not have an external data file.', self.format)
        unknown = [bit for bit in range(64) if bits >> bit & 1 and bit != DATA_FILE and bit not in HARMLESS]
        if unknown:
            named = ', '.join(FEATURES.get(bit, f'bit {bit}') for bit in unknown)
            yield Finding(
                'unknown_features',
                f'The image uses features of qcow2 that are not supported: {named}.',
                self.format,
            )
