"""Whether imports can work at all: no method is told to clients that has not worked for minutes.

The answer comes from the database, by its clock, so every API process gives the same one.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagepipe.db.database import Database


class Availability:
    """Asks the database for hindrances, and no more often than their age can matter.

    patience: seconds for which a hindrance must hold before it counts. What is younger cannot come
    of age before the rest of these have passed, so until then the database is not asked again.
    """

    def __init__(
        self, db: 'Database', *, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._patience = patience
        self._clock = clock
        self._certain_until = float('-inf')

    def imports_work(self) -> bool:
        """Whether nothing has kept imports from working for as long as `patience`."""
        asked = self._clock()
        if asked < self._certain_until:
            return True
        left = self._patience - self._db.read(lambda tx: tx.hindrances.longest())
        self._certain_until = asked + left
        return left > 0
