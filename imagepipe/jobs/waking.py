"""Waking workers up through an external jobboard: posting, relaying, and heeding what was posted.

All of it only makes imports start sooner. Whoever cannot reach the board logs it once and goes on.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence

from taskflow.types import timing

from imagepipe import errors
from imagepipe.db.database import Database
from imagepipe.flows import registry
from imagepipe.jobs.external import PAGE, BoardUnavailable, ExternalBoard, Posting

LOG = logging.getLogger(__name__)

#: Imports that wait in a process to be posted; of more than these the relay tells.
_WAITING = 1000
#: Seconds for which a board that was away is left alone, at first and at most.
_PAUSE = 0.5
_MAX_PAUSE = 5.0
#: Seconds between two looks of the relay for imports that the board does not show.
RELAY = 1.0
#: Seconds for which a worker without room does not look at the board.
_FULL = 0.1
#: The longest that a thread waits for postings before it looks whether it is to end.
_PATIENCE = 0.5
#: Seconds after which a posting that was heeded is looked at again.
_AGAIN = 0.1


class Rest(timing.Timeout):
    """The pause of a conductor between two looks at the database, which wake() ends."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self._woken = threading.Event()

    def wake(self) -> None:
        """There is something to look at; the next pause ends at once if there is none now."""
        self._woken.set()

    def interrupt(self) -> None:
        """Stop for good."""
        super().interrupt()
        self._woken.set()

    def wait(self) -> None:
        """Pause."""
        self._woken.wait(self.value)
        self._woken.clear()


class Link:
    """A board that may be away: says so once, leaves it alone for a while, and says when it is back."""

    def __init__(self, board: ExternalBoard) -> None:
        self.board = board
        self._away = False
        self._pause = _PAUSE
        self._due = 0.0

    @property
    def left_alone(self) -> float:
        """Seconds until the board is tried again; 0.0 when it may be used."""
        return max(0.0, self._due - time.monotonic())

    def connect(self) -> None:
        """Connect unless that was done. Raises BoardUnavailable."""
        self.board.connect()
        if self._away:
            LOG.info('The jobboard is back')
        self._away = False
        self._pause = _PAUSE

    def lost(self, error: BoardUnavailable) -> None:
        """It failed."""
        self.board.close()
        if not self._away:
            LOG.warning('The jobboard is away, and imports wait for conductors to look: %s', error)
        self._away = True
        self._due = time.monotonic() + self._pause
        self._pause = min(_MAX_PAUSE, self._pause * 2)


class Poster:
    """Posts what a process has accepted, from a thread of its own that starts with the first import.

    Nobody waits for it: with the board away, or slow, postings are dropped, and a relay posts.
    """

    def __init__(self, board: ExternalBoard) -> None:
        self._link = Link(board)
        self._waiting: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def post(self, import_id: str) -> None:
        """Say soon that an import waits; returns at once."""
        try:
            self._waiting.put_nowait(import_id)
        except queue.Full:
            LOG.debug('Import %s is left to the relay', import_id)
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name='poster', daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread, if there is one."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
                thread.join(_MAX_PAUSE)

    def _run(self) -> None:
        for import_id in iter(self._waiting.get, None):
            if self._link.left_alone:
                continue
            try:
                self._link.connect()
                self._link.board.post(import_id)
            except BoardUnavailable as error:
                self._link.lost(error)
            except Exception:
                LOG.exception('Import %s could not be posted', import_id)
        self._link.board.close()


class Waker(threading.Thread):
    """A worker's thread that heeds the board: wakes the conductor up for imports that wait.

    A posting stays until its import is held, has ended or is unknown; then whoever sees that takes it
    away. has_room: whether the worker could take an import. relays: whether it also posts what waits
    and is not on the board, because the API could not, or somebody emptied it. host: whose worker it is;
    what waits for another host is left to that one's.
    """

    def __init__(
        self,
        db: Database,
        board: ExternalBoard,
        *,
        wake: Callable[[], None],
        has_room: Callable[[], bool],
        relays: bool,
        look: float,
        host: str | None = None,
    ) -> None:
        super().__init__(name='waker', daemon=True)
        self._db = db
        self._link = Link(board)
        self._wake = wake
        self._has_room = has_room
        self._relays = relays
        self._look = look
        self._host = host
        self._relay_due = 0.0
        self._done = threading.Event()
        #: When a posting that was heeded is looked at again, by its id.
        self._heeded: dict[str, float] = {}

    def stop(self) -> None:
        """End the thread soon."""
        self._done.set()
        self.join(_MAX_PAUSE)

    def run(self) -> None:
        """Heed the board until stopped."""
        while not self._done.wait(self._link.left_alone):
            try:
                self._link.connect()
                self.turn()
            except BoardUnavailable as error:
                self._link.lost(error)
            except errors.DatabaseUnavailable as error:
                LOG.debug('Postings wait for the database: %s', error)
                self._done.wait(_PAUSE)
            except Exception:
                LOG.exception('Heeding the jobboard failed; it goes on')
                self._done.wait(_PAUSE)
        self._link.board.close()

    def turn(self) -> None:
        """One look at the board, if there is room. Raises BoardUnavailable, DatabaseUnavailable."""
        if self._relays and time.monotonic() >= self._relay_due:
            self._relay_due = time.monotonic() + RELAY
            self.relay()
        if not self._has_room():
            self._done.wait(_FULL)
            return
        found = self._link.board.wait(_PATIENCE)
        self.heed(found)
        # The more there is, the more a look costs.
        self._done.wait(self._look * (1 + len(found) / 10))

    def relay(self) -> None:
        """Post the imports that wait and that the board does not show, unless it shows many others.

        Not those that are given up because nobody knows their flow: what is late by a day is in no hurry.
        """
        claimable = self._db.read(lambda tx: tx.imports.claimable(PAGE, registry.FACTORIES, host=self._host))
        if not claimable:
            return
        found = self._link.board.postings()
        self._take_away(found, self._waiting(found))
        shown = {posting.import_id for posting in found}
        for waiting in claimable:
            if waiting.id not in shown and len(found) < PAGE:
                self._link.board.post(waiting.id)

    def heed(self, postings: Sequence[Posting]) -> None:
        """Wake the conductor up for what waits, and take the rest away."""
        now = time.monotonic()
        fresh = [posting for posting in postings if self._heeded.get(posting.id, 0.0) <= now]
        self._heeded = {
            posting.id: self._heeded[posting.id] for posting in postings if posting.id in self._heeded
        }
        if not fresh:
            return
        waiting = self._waiting(fresh)
        if any(waiting.values()):
            self._wake()
        self._heeded |= {
            posting.id: now + (_AGAIN if waiting[posting.import_id] else RELAY)
            for posting in fresh
            if posting.import_id in waiting
        }
        self._take_away(fresh, waiting)

    def _waiting(self, postings: Sequence[Posting]) -> dict[str, bool]:
        """The imports that are named and that wait: whether workers of this host may take them."""
        named = {posting.import_id for posting in postings} - {None}
        if not named:
            return {}
        return self._db.read(lambda tx: tx.imports.waiting(named, registry.FACTORIES, self._host))

    def _take_away(self, postings: Sequence[Posting], waiting: Collection[str]) -> None:
        for posting in postings:
            if posting.import_id not in waiting:
                self._link.board.discard(posting)
