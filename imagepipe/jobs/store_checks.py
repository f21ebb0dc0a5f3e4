"""Looks at the stores of this host, so that everybody knows which of them can be used."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.stores.asking import Question

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: A store is down when it has failed so often in a row: one failure may be a hiccup.
_CERTAIN = 2
#: Seconds before a store is asked again that has failed once.
_AGAIN = 2.0
#: A finding holds until so many looks were missed.
_MISSED = 3


class StoreChecker(threading.Thread):
    """Asks every store each `interval` seconds whether it can be used, and records the answer.

    timeout: seconds after which a store that has not answered counts as one that cannot be reached. It is
    not asked again before it has: a call that hangs cannot be interrupted, and must not become many.
    """

    def __init__(self, services: 'Services', *, interval: float, timeout: float) -> None:
        super().__init__(name='store-checker', daemon=True)
        self._services = services
        self._interval = interval
        self._timeout = timeout
        self._holds = _MISSED * interval + timeout
        self._done = threading.Event()
        self._asked: dict[str, Question] = {}
        self._failed: dict[str, int] = {}

    def stop(self) -> None:
        """End the thread; what hangs in a store is left behind."""
        self._done.set()
        self.join(1.0)

    def run(self) -> None:
        """Look until stopped."""
        wait = 0.0
        while not self._done.wait(wait):
            doubtful = False
            try:
                doubtful = self.look()
            except errors.DatabaseUnavailable as error:
                LOG.warning('What stores answered could not be recorded: %s', error)
            except Exception:
                LOG.exception('Looking at the stores failed')
            wait = min(_AGAIN, self._interval) if doubtful else self._interval

    def look(self) -> bool:
        """Ask every store once, and record what is certain; whether something is not."""
        answers = self._answers()
        certain = {}
        for store, error in answers.items():
            failed = self._failed[store] = 0 if error is None else self._failed.get(store, 0) + 1
            if failed == 0 or failed >= _CERTAIN:
                certain[store] = error
            if error is not None and failed == _CERTAIN:
                LOG.error('Store %s is taken for down on this host: %s %s', store, error.code, error)
        host = self._services.host
        self._services.db.run(lambda tx: tx.store_checks.note(host, certain, holds=self._holds))
        return len(certain) < len(answers)

    def _answers(self) -> dict[str, errors.ImagepipeError | None]:
        """What each store says, those that are slow included; all are asked at the same time."""
        deadline = time.monotonic() + self._timeout
        for store_id, store in self._services.stores.all.items():
            if store_id not in self._asked or self._asked[store_id].answered.is_set():
                self._asked[store_id] = Question(store)
        return {store_id: self._asked[store_id].answer(deadline) for store_id in self._services.stores.all}
