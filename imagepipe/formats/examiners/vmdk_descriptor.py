"""The grammar of a VMDK descriptor: each line is understood, or the image is refused.

VMware Virtual Disk Format 1.1. What a descriptor names, a reader opens:
other extents (CVE-2022-47951), a parent disk.
"""

import re
from collections.abc import Iterator

from imagepipe.formats.verdict import Finding

VMDK = 'vmdk'
#: The create types whose data stand in the same file as the descriptor.
EMBEDDED_TYPES = ('monolithicsparse', 'streamoptimized')
NO_PARENT = 'ffffffff'
FIELD = re.compile(r'([a-z][a-z0-9_.]*+)\s*+=\s*+("[^"]*+"|[^"\s]*+)$')
EXTENT = re.compile(
    r'(?:rw|rdonly|noaccess)[ \t]++[0-9]++[ \t]++([a-z]++)(?:[ \t]++"([^"]*+)"(?:[ \t]++[0-9]++)?)?$'
)
FILE_NAME = re.compile(r'[^/\\:]++$')


class Descriptor:
    """A descriptor's lines, sorted; findings() says what is wrong with them."""

    def __init__(self, data: bytes) -> None:
        text = data.split(b'\0', 1)[0].decode('latin-1').lower()
        self._text = text
        self.fields: list[tuple[str, str]] = []
        self.extents: list[tuple[str, str]] = []
        self.understood = True
        for line in text.split('\n'):
            self._sort(line.strip())

    @property
    def create_type(self) -> str | None:
        """Lower case; None when it is not given exactly once."""
        types = [value for name, value in self.fields if name == 'createtype']
        return types[0] if len(types) == 1 else None

    def findings(self) -> Iterator[Finding]:
        """What fails, in the order in which a reader would stumble over it."""
        if not self.understood:
            yield Finding('descriptor', 'The vmdk descriptor has a line that is not understood.', VMDK)
        yield from self._type()
        yield from self._extents()
        yield from self._parent()

    def _sort(self, line: str) -> None:
        if not line or line.startswith('#'):
            return
        field = FIELD.match(line)
        extent = EXTENT.match(line)
        if field:
            self.fields.append((field[1], field[2].strip('"')))
        elif extent:
            self.extents.append((extent[1], extent[2] or ''))
        else:
            self.understood = False

    def _type(self) -> Iterator[Finding]:
        # a comment that names the type misleads readers that search the text
        if self.create_type not in EMBEDDED_TYPES or self._text.count('createtype') != 1:
            yield Finding('create_type', 'The create type of the vmdk image is not allowed.', VMDK)

    def _extents(self) -> Iterator[Finding]:
        if len(self.extents) != 1:
            yield Finding('extents', 'A vmdk image must have exactly one extent, its own.', VMDK)
        for kind, name in self.extents[:1]:
            if kind != 'sparse' or not FILE_NAME.match(name):
                yield Finding('extents', 'The vmdk descriptor names data outside of the image.', VMDK)

    def _parent(self) -> Iterator[Finding]:
        parents = [value for name, value in self.fields if name == 'parentcid']
        if 'parentfilenamehint' in self._text or any(value != NO_PARENT for value in parents):
            yield Finding('parent', 'A vmdk image must not depend on a parent disk.', VMDK)
