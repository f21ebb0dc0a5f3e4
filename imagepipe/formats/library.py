"""oslo.utils' inspectors as a second opinion that can be wrong, but cannot fail.

They parse hostile bytes and may raise anything a parser raises. Whoever raises
is out: a finding when the format matches all the same, else no match.
"""

import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

from oslo_utils.imageutils import format_inspector

from imagepipe.formats.verdict import Finding

Result = TypeVar('Result')
ANSWERS_RAW = 'raw'
#: What parsing of hostile bytes may raise, all of it; nothing else is expected and nothing else caught.
PARSER_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    format_inspector.ImageFormatError,
    format_inspector.SafetyViolation,
)


class Opinion:
    """One inspector of the library, fed with blocks of equal size."""

    def __init__(self, format_: str, inspector: format_inspector.FileInspector) -> None:
        self.format = format_
        self.broken = False
        self._inspector = inspector

    def eat(self, block: bytes) -> None:
        if not self.broken:
            self._guard(lambda: self._inspector.eat_chunk(block), None)

    def finish(self) -> None:
        self._inspector.finish()

    @property
    def matches(self) -> bool:
        return bool(self._ask(lambda: self._inspector.format_match, False))

    @property
    def settled(self) -> bool:
        """Whether more bytes cannot change the answer; asked behind the head of the stream."""
        return self.broken or not self.matches or (self._complete and not self._follows)

    @property
    def virtual_size(self) -> int | None:
        return self._ask(lambda: self._inspector.virtual_size, 0) or None

    def findings(self) -> Iterator[Finding]:
        """The failed safety checks, in this service's words where the library's are not sentences."""
        if self.broken or not self._complete:
            yield self._malformed()
            return
        try:
            self._inspector.safety_check()
        except format_inspector.SafetyCheckFailed as failed:
            for check, reason in sorted(failed.failures.items()):
                yield Finding(check, f'{reason}.', self.format)
        except PARSER_ERRORS:
            yield self._malformed()

    @property
    def _complete(self) -> bool:
        return bool(self._ask(lambda: self._inspector.complete, False))

    @property
    def _follows(self) -> bool:
        """VMDK's footer stands at the end; VHDX asks for its last item only after the table."""
        return any(
            (self.format == 'vmdk' and self._inspector.has_region('footer'),
             self.format == 'vhdx' and not self._inspector.has_region('vds'))
        )  # fmt: skip

    def _malformed(self) -> Finding:
        return Finding('malformed', f'The structures of the {self.format} image are not valid.', self.format)

    def _guard(self, call: Callable[[], Result], default: Result) -> Result:
        try:
            return call()
        except PARSER_ERRORS:
            self.broken = True
            return default

    @staticmethod
    def _ask(call: Callable[[], Result], default: Result) -> Result:
        try:
            return call()
        except PARSER_ERRORS:
            return default


def opinions() -> list[Opinion]:
    """A fresh opinion per format that the library knows; raw is what remains when none matches."""
    return [
        Opinion(name, inspector())
        for name, inspector in format_inspector.ALL_FORMATS.items()
        if name != ANSWERS_RAW
    ]
