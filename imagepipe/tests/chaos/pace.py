"""The time of a plan, which stands still while the machine is behind it."""

from collections.abc import Callable

from imagepipe.tests.chaos.cluster import Cluster

#: So many imports under way or waiting for a client are enough to meet everything that goes wrong.
_MOST = 40
_LOOK = 0.5


class Pace:
    """Seconds of the plan since the cluster began: its orders and its faults come by them.

    A plan asks for a number of imports a second that only a fast machine can run; on a slower one they would
    pile up, what is behind would look like what never ends, and the faults would be over long before the
    orders. waiting: how many orders are due at a time of the plan that no client has begun with.
    """

    def __init__(self, cluster: Cluster, waiting: Callable[[float], int]) -> None:
        self._cluster = cluster
        self._waiting = waiting
        self._lost = 0.0
        self._stands_since: float | None = None
        self._due = 0.0

    def now(self) -> float:
        """Seconds of the plan."""
        since = self._stands_since
        return (self._cluster.now() if since is None else since) - self._lost

    def look(self) -> None:
        """See whether time may go on; for one thread, as often as it likes."""
        if self._cluster.now() < self._due:
            return
        self._due = self._cluster.now() + _LOOK
        live = self._cluster.db.read(lambda tx: tx.imports.count_live())
        behind = live + self._waiting(self.now()) > _MOST
        if behind and self._stands_since is None:
            self._stands_since = self._cluster.now()
        elif not behind and self._stands_since is not None:
            self._lost += self._cluster.now() - self._stands_since
            self._stands_since = None
