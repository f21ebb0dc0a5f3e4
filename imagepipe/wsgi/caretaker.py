"""The thread of an API process that fetches what this node's cache is to have, and keeps it in order."""

import logging
import threading
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.operations import cache

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: Seconds between two looks for what other processes left, and for what is out of order.
INTERVAL = 60.0


class Caretaker(threading.Thread):
    """Works when this process queued something, and now and then.

    Each process of a node has one and they take turns, by a lock that a dying process lets go of. One
    that waits for its turn looks at the queue again when it has it, so nothing queued is overlooked.
    """

    def __init__(self, services: 'Services', *, interval: float = INTERVAL) -> None:
        super().__init__(name='cache-caretaker', daemon=True)
        self._services = services
        self._interval = interval

    def run(self) -> None:
        """Work for as long as the process lives."""
        wanted = self._services.cache.wanted
        while True:
            try:
                self.work()
            except errors.ImagepipeError as error:
                LOG.warning('The image cache was not looked after: %s', error)
            except Exception:
                LOG.exception('The image cache was not looked after')
            wanted.wait(self._interval)
            wanted.clear()

    def work(self) -> None:
        """Put the cache in order, then fetch what is queued. Raises StoreTransient, DatabaseUnavailable."""
        directory = self._services.cache.directory
        with directory.translated(), directory.lock('caretaker'):
            self._services.cache.upkeep()
            cache.prefetch(self._services)
