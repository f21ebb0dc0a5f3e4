"""A part of a file, to be sent on its own and, when that failed, again."""

import io
import os
from pathlib import Path


class Section(io.RawIOBase):
    """`length` bytes of a file from `start` on, seekable, with a descriptor of its own."""

    def __init__(self, path: Path | str, start: int, length: int) -> None:
        super().__init__()
        self._file = open(path, 'rb', buffering=0)  # noqa: SIM115  closed by close()
        self._start = start
        self._length = length
        self._position = 0

    def readinto(self, buffer: memoryview) -> int:
        left = max(0, self._length - self._position)
        count = os.preadv(self._file.fileno(), [memoryview(buffer)[:left]], self._start + self._position)
        self._position += count
        return count

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()
        super().close()
