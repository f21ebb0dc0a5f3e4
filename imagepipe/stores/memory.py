"""A store in memory, for tests: it keeps the contract and fails on demand."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imagepipe import errors
from imagepipe.stores.streams import CHUNK, Cancelled, Reader, never

Failure = Exception | type[Exception] | Callable[[], Exception]


@dataclass
class _Fault:
    error: Failure
    times: int | None
    after_bytes: int | None = None


class InMemoryStore:
    """Objects in `contents` by name; those a failed put left behind also in `partial`."""

    type = 'memory'
    schemes = ('memory',)

    def __init__(
        self,
        store_id: str = 'memory',
        *,
        description: str | None = None,
        weight: int = 0,
        read_only: bool = False,
        capacity: int | None = None,
        needs_size: bool = False,
        takes_files: bool = False,
    ) -> None:
        self.id = store_id
        self.description = description
        self.weight = weight
        self.read_only = read_only
        self.capacity = capacity
        self.needs_size = needs_size
        self.takes_files = takes_files
        self.contents: dict[str, bytes] = {}
        self.partial: set[str] = set()
        #: Set while a put waits in hang_on_put(): tests wait for it.
        self.hanging = threading.Event()
        self._lock = threading.Lock()
        self._faults: dict[str, _Fault] = {}
        self._gate: threading.Event | None = None

    # Switches.

    def fail_on_put(
        self, error: Failure, after_bytes: int | None = None, *, times: int | None = None
    ) -> None:
        """Every put (the next `times`) fails: at once, or leaving `after_bytes` bytes behind."""
        self._faults['put'] = _Fault(error, times, after_bytes)

    def fail_on(self, operation: str, error: Failure, *, times: int | None = None) -> None:
        """The same for 'open', 'discard', 'delete', 'names', 'size' or 'check'."""
        self._faults[operation] = _Fault(error, times)

    def hang_on_put(self, event: threading.Event) -> None:
        """Every put stops in the middle until the event is set."""
        self._gate = event

    def heal(self) -> None:
        """No more failures."""
        self._faults.clear()
        self._gate = None
        self.capacity = None

    # The contract.

    def put(self, name: str, stream: Reader, size: int | None) -> str:
        if self.read_only:
            raise errors.StoreReadOnly(store=self.id)
        if self.needs_size and size is None:
            raise errors.StorePermanent(store=self.id)
        fault = self._due('put')
        if fault is not None and fault.after_bytes is None:
            raise self._made(fault.error)
        self._keep(name, b'', partial=True)
        data = bytearray()
        while chunk := stream.read(CHUNK):
            data += chunk
            if fault is not None and len(data) >= fault.after_bytes:
                break
            self._keep(name, data, partial=True)
        if fault is not None:
            self._keep(name, data[: fault.after_bytes], partial=True)
            raise self._made(fault.error)
        self._wait_at_gate()
        if size is not None and len(data) != size:
            raise errors.StorePermanent(store=self.id)
        self._keep(name, data, partial=False)
        return self.url(name)

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        self._fail_if_due('open')
        data = self._at(url)
        reader = io.BytesIO(data)
        reader.seek(offset)
        return reader

    def discard(self, name: str) -> None:
        self._fail_if_due('discard')
        self._drop(name)

    def delete(self, url: str) -> None:
        self._fail_if_due('delete')
        if self.read_only:
            raise errors.StoreReadOnly(store=self.id)
        self._drop(self._name(url))

    def names(self, prefix: str = '') -> Iterator[str]:
        self._fail_if_due('names')
        with self._lock:
            return iter(sorted(name for name in self.contents if name.startswith(prefix)))

    def size(self, url: str) -> int:
        self._fail_if_due('size')
        return len(self._at(url))

    def holds(self, url: str) -> bool:
        return url.startswith(self.url(''))

    def check(self) -> None:
        self._fail_if_due('check')

    def properties(self) -> dict[str, object]:
        return {}

    # Within.

    def url(self, name: str) -> str:
        """The URL that put() gives to this name."""
        return f'memory://{self.id}/{name}'

    def _name(self, url: str) -> str:
        start = self.url('')
        if not url.startswith(start):
            raise errors.StorePermanent(store=self.id)
        return url.removeprefix(start)

    def _at(self, url: str) -> bytes:
        with self._lock:
            name = self._name(url)
            if name not in self.contents or name in self.partial:
                raise errors.StoreObjectMissing(store=self.id)
            return self.contents[name]

    def _keep(self, name: str, data: bytes | bytearray, *, partial: bool) -> None:
        with self._lock:
            others = sum(len(kept) for other, kept in self.contents.items() if other != name)
            if self.capacity is not None and others + len(data) > self.capacity:
                raise errors.StoreFull(store=self.id)
            self.contents[name] = bytes(data)
            (self.partial.add if partial else self.partial.discard)(name)

    def _drop(self, name: str) -> None:
        with self._lock:
            self.contents.pop(name, None)
            self.partial.discard(name)

    def _wait_at_gate(self) -> None:
        gate = self._gate
        if gate is not None:
            self.hanging.set()
            gate.wait()
            self.hanging.clear()

    def _due(self, operation: str) -> _Fault | None:
        with self._lock:
            fault = self._faults.get(operation)
            if fault is not None and fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    del self._faults[operation]
            return fault

    def _fail_if_due(self, operation: str) -> None:
        fault = self._due(operation)
        if fault is not None:
            raise self._made(fault.error)

    def _made(self, error: Failure) -> Exception:
        if isinstance(error, Exception):
            return error
        if isinstance(error, type) and issubclass(error, errors.ImagepipeError):
            return error(store=self.id, image_id='')
        return error()
