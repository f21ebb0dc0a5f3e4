"""Byte ranges of a download (reference, section 8.2; RFC 9110, section 14)."""

import dataclasses
import re

from imagepipe import errors

_RANGE = re.compile(r'bytes\s*=\s*(?:(?P<first>\d+)-(?P<last>\d*)|-(?P<suffix>\d+))\s*', re.IGNORECASE)
_CONTENT_RANGE = re.compile(r'bytes\s+(?P<first>\d+)-(?P<last>\d+)/(?P<total>\d+|\*)\s*', re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangeRequest:
    """The part of the data that a request asks for, as it spelt it.

    content: the request used Content-Range instead of Range, as old clients do.
    """

    text: str
    content: bool = False

    def resolve(self, size: int) -> tuple[int, int]:
        """The first byte, and the one after the last, of data of `size` bytes.

        Raises RangeNotSatisfiable, RangesNotSupported.
        """
        if self.content:
            return self._old(size)
        if ',' in self.text:
            raise errors.RangesNotSupported()
        found = _RANGE.fullmatch(self.text.strip())
        if found is None:
            raise self._refused(size)
        if found['suffix'] is not None:
            return self._checked(max(0, size - int(found['suffix'])), size, size)
        stop = min(int(found['last']) + 1, size) if found['last'] else size
        return self._checked(int(found['first']), stop, size)

    def _old(self, size: int) -> tuple[int, int]:
        found = _CONTENT_RANGE.fullmatch(self.text.strip())
        if found is None:
            raise self._refused(size)
        stop = int(found['last']) + 1
        if stop > size and found['total'] == '*':
            raise self._refused(size)
        return self._checked(int(found['first']), min(stop, size), size)

    def _checked(self, start: int, stop: int, size: int) -> tuple[int, int]:
        if start >= stop:
            raise self._refused(size)
        return start, stop

    def _refused(self, size: int) -> errors.RangeNotSatisfiable:
        error = errors.RangeNotSatisfiable(range=self.text, size=size)
        error.headers = {'Content-Range': f'bytes */{size}'}
        return error
