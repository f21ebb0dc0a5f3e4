"""QED: recognised, so that it is never taken for something else; never allowed."""

from collections.abc import Iterable

from imagepipe.formats.capture import Capture
from imagepipe.formats.examiners.examination import Examination, Window
from imagepipe.formats.verdict import Finding

MAGIC = b'QED\x00'


class Qed:
    """Four bytes are enough to say no."""

    format = 'qed'

    def wants(self, seen: Capture) -> Iterable[Window]:
        return ()

    def examine(self, seen: Capture) -> Examination | None:
        if seen.head(len(MAGIC)) != MAGIC:
            return None
        return Examination(self.format, (Finding('banned', 'The format qed is not supported.', self.format),))
