"""Asking stores whether they can be used, by somebody who does not wait for one that hangs."""

import threading
import time
from collections.abc import Iterable

from imagepipe import errors
from imagepipe.stores.store import Store


class Question:
    """One call of Store.check(), in a thread of its own: a call that hangs cannot be interrupted."""

    def __init__(self, store: Store) -> None:
        self.answered = threading.Event()
        self._store = store
        #: Until it has answered, and if it meets a defect.
        self._error: errors.ImagepipeError | None = errors.StorePermanent(store=store.id)
        threading.Thread(target=self._ask, name=f'check-{store.id}', daemon=True).start()

    def answer(self, deadline: float) -> errors.ImagepipeError | None:
        """None when the store can be used; StoreTransient without an answer by then (monotonic time)."""
        if self.answered.wait(max(0.0, deadline - time.monotonic())):
            return self._error
        return errors.StoreTransient(store=self._store.id)

    def _ask(self) -> None:
        try:
            self._store.check()
            self._error = None
        except errors.ImagepipeError as error:
            self._error = error
        finally:
            self.answered.set()


def ask(stores: Iterable[Store], timeout: float) -> dict[str, errors.ImagepipeError | None]:
    """What each store says within so many seconds, by its id; all are asked at the same time."""
    deadline = time.monotonic() + timeout
    questions = {store.id: Question(store) for store in stores}
    return {store_id: question.answer(deadline) for store_id, question in questions.items()}
