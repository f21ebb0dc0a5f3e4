"""What a worker takes next: limits of its host, and room that big imports leave to small ones.

The limits are asked in the transaction that claims, with the host's row locked, so no two workers take the
last place. What came of it shapes the next look: a big import that has to wait is not overtaken by another
big one, and small ones go by.
"""

import dataclasses
from collections.abc import Callable, Collection

from imagepipe.db.transaction import Transaction


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much may run: imports, and bytes of big ones, on the host; big ones in the worker. None: any.

    unknown: bytes that an import counts while nobody knows its size.
    """

    imports: int | None = None
    size: int | None = None
    unknown: int = 0
    big_ones: int | None = None


class Admission:
    """One worker's; used by its conductor's thread only. Without a host there are no limits of one."""

    def __init__(self, host: str | None = None, bounds: Bounds = Bounds()) -> None:
        self._host = host
        self._bounds = bounds
        self._full = self._big_waits = False
        #: The imports that run in this worker, those included whose claims were lost in the middle of a step.
        self.at_work: Callable[[], Collection[str]] = tuple

    @property
    def host(self) -> str | None:
        """The worker's host."""
        return self._host

    def look(self) -> bool:
        """A new look at what waits begins; whether it is for small imports only."""
        small_only = self._big_waits
        self._full = self._big_waits = False
        return small_only

    def goes_on(self, *, small: bool, big_ones: int) -> bool:
        """Whether this look comes to such an import, while so many big ones run in this worker."""
        if not small and self._bounds.big_ones is not None and big_ones >= self._bounds.big_ones:
            self._big_waits = True
        return not self._full and (small or not self._big_waits)

    def admits(self, tx: Transaction, *, small: bool, weight: int) -> bool:
        """Whether it may be claimed now; until the end of the transaction nobody else on the host claims."""
        if self._host is None:
            return True
        self._full = tx.conductors.locked(self._host).drain is not None
        if not self._full and (self._bounds.imports is not None or self._bounds.size is not None):
            self._weigh(tx, small, weight)
        return not self._full and (small or not self._big_waits)

    def _weigh(self, tx: Transaction, small: bool, weight: int) -> None:
        imports, size = tx.imports.load(self._host, unknown=self._bounds.unknown)
        self._full = self._bounds.imports is not None and imports >= self._bounds.imports
        if self._bounds.size is not None and not small:
            wanted = weight or self._bounds.unknown
            self._big_waits = size > 0 and size + wanted > self._bounds.size
