"""A store's put() as a sink of the pump: bytes go into the store while they arrive."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from imagepipe import errors
from imagepipe.stores.store import Store
from imagepipe.stores.streams import DEPTH

LOG = logging.getLogger(__name__)

#: Seconds between looks whether the store has given up while its queue is full.
_LOOK = 0.5

#: Makes of a function one that runs in another thread as if it were called here.
Carried = Callable[[Callable[[], None]], Callable[[], None]]


class PutSink:
    """Runs store.put() in a thread of its own; `url` is known after close().

    patience: seconds that the store may take for one chunk, and for its last word, before the
    transfer fails with StoreTransient. What a failed put left is the caller's to discard. late: has the
    name from an abort() that did not see put() end until it has ended, and what it wrote was discarded;
    only for names that nobody writes again. carried: gives put() in its thread the trace of the thread
    that makes this.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        size: int | None,
        *,
        patience: float,
        late: set[str] | None = None,
        carried: Carried | None = None,
    ) -> None:
        self.url: str | None = None
        self._store = store
        self._name = name
        self._size = size
        self._patience = patience
        self._late = late
        self._feed = _Feed()
        self._error: BaseException | None = None
        self._ended = threading.Event()
        run = self._run if carried is None else carried(self._run)
        self._thread = threading.Thread(target=run, name=f'put-{store.id}', daemon=True)
        self._started = False

    def write(self, chunk: bytes) -> None:
        self._offer(chunk)

    def close(self) -> None:
        self._offer(None)
        if not self._ended.wait(self._patience):
            raise self._stuck()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        if not self._started:
            return
        self._feed.abandon()
        if not self._ended.wait(min(self._patience, 10.0)):
            LOG.warning(
                'Store %s still holds on to %s, whose transfer has failed', self._store.id, self._name
            )
            self._note_late()

    def _offer(self, item: bytes | None) -> None:
        if not self._started:
            self._started = True
            self._thread.start()
        deadline = time.monotonic() + self._patience
        while not self._ended.is_set():
            try:
                return self._feed.queue.put(item, timeout=_LOOK)
            except queue.Full:
                if time.monotonic() > deadline:
                    raise self._stuck() from None
        if self._error is not None:
            raise self._error
        if item is not None:  # put() came back before the data's end
            raise errors.StorePermanent(store=self._store.id)
        return None

    def _stuck(self) -> errors.StoreTransient:
        LOG.warning('Store %s took no data of %s for %s seconds', self._store.id, self._name, self._patience)
        return errors.StoreTransient(store=self._store.id)

    def _run(self) -> None:
        try:
            self.url = self._store.put(self._name, self._feed, self._size)
        except BaseException as error:  # noqa: BLE001  the edge of this thread: raised again by the sink
            self._error = error
        finally:
            self._ended.set()
            self._clear_late()

    # Whichever of these two comes second sees what the other has set.

    def _note_late(self) -> None:
        if self._late is not None:
            self._late.add(self._name)
            if self._ended.is_set():
                self._late.discard(self._name)

    def _clear_late(self) -> None:
        if self._late is None or self._name not in self._late:
            return
        try:
            self._store.discard(self._name)
        except errors.ImagepipeError as error:
            LOG.warning('%s in store %s is left to the sweeper: %s', self._name, self._store.id, error)
        finally:
            self._late.discard(self._name)


class _Feed:
    """The reader that put() gets: what the sink was given, in order."""

    def __init__(self) -> None:
        self.queue: queue.Queue[bytes | None] = queue.Queue(DEPTH)
        self._abandoned = threading.Event()
        self._rest = b''
        self._over = False

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            pieces = list(iter(self._next, b''))
            return b''.join(pieces)
        if not self._rest:
            self._rest = self._next()
        if size >= len(self._rest):
            piece, self._rest = self._rest, b''
            return piece
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def close(self) -> None:
        """Nothing to give back."""

    def abandon(self) -> None:
        """Make the next read() fail, so that put() ends."""
        self._abandoned.set()
        with contextlib.suppress(queue.Full):  # then nobody waits for an item
            self.queue.put_nowait(b'')

    def _next(self) -> bytes:
        if self._rest:
            piece, self._rest = self._rest, b''
            return piece
        if self._over:
            return b''
        item = self.queue.get()
        if self._abandoned.is_set():
            raise ConnectionAbortedError('the transfer was given up')
        if item is None:
            self._over = True
            return b''
        return item
