"""The few bytes of a stream that inspection keeps: its head, its tail, and windows asked for."""

# The largest thing read at the start: a VMDK descriptor of nearly 1 MiB behind its header.
# A multiple of the block in which the inspector cuts the stream.
HEAD = 17 * 64 * 1024
# A VMDK's footer with the markers around it, and a VHD's footer.
TAIL = 1536
WINDOW_MAX = 64 * 1024
WINDOWS_MAX = 8


class Capture:
    """Keeps at most HEAD + TAIL + WINDOWS_MAX * WINDOW_MAX bytes of a stream of any length."""

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._tail = b''
        self._windows: dict[tuple[int, int], bytearray] = {}

    @property
    def head_complete(self) -> bool:
        return len(self._head) == HEAD

    def feed(self, block: bytes) -> bool:
        """Take the next bytes of the stream; true when the head grew or a window became complete."""
        start = self.size
        self.size += len(block)
        news = not self.head_complete
        if news:
            self._head += block[: HEAD - len(self._head)]
        self._tail = (self._tail + block[-TAIL:])[-TAIL:]
        for (offset, length), data in self._windows.items():
            if offset < self.size and start < offset + length:
                data.extend(block[max(0, offset - start) : offset + length - start])
                news = news or len(data) == length
        return news

    def want(self, offset: int, length: int) -> None:
        """Keep these bytes when they come by; what has passed already stays lost."""
        window = (offset, length)
        inside_head = offset + length <= HEAD
        if inside_head or window in self._windows or length > WINDOW_MAX or offset < self.size:
            return
        if len(self._windows) < WINDOWS_MAX:
            self._windows[window] = bytearray()

    def at(self, offset: int, length: int) -> bytes | None:
        """These bytes, or None when the stream does not have them or they were not kept."""
        if offset < 0 or length <= 0 or offset + length > self.size:
            return None
        if offset + length <= len(self._head):
            return bytes(self._head[offset : offset + length])
        kept = self._windows.get((offset, length))
        return bytes(kept) if kept is not None and len(kept) == length else None

    def head(self, length: int) -> bytes:
        """The first bytes, fewer when the stream is shorter."""
        return bytes(self._head[:length])

    def tail(self, length: int) -> bytes:
        """The last bytes so far, fewer when the stream is shorter."""
        return self._tail[-length:]
