"""What an examiner answers, and the sentences they share."""

import dataclasses
from collections.abc import Iterable
from typing import Protocol

from imagepipe.formats.capture import Capture
from imagepipe.formats.verdict import Finding

Window = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Examination:
    """The bytes are of `format`; `findings` are the checks they fail."""

    format: str
    findings: tuple[Finding, ...] = ()
    virtual_size: int | None = None
    subformat: str | None = None


class Examiner(Protocol):
    """Knows one format."""

    format: str

    def wants(self, seen: Capture) -> Iterable[Window]:
        """Offset and length of what must be kept; asked again after each block."""
        ...

    def examine(self, seen: Capture) -> Examination | None:
        """The examination, at the end of the stream."""
        ...


def truncated(format_: str) -> Finding:
    """The finding for a file that ends inside its own header."""
    return Finding('truncated', f'The {format_} header is not complete.', format_)
