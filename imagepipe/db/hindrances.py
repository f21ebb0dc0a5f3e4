"""What keeps imports from working, and for how long: by the database's clock, alike for every process."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db.schema import hindrances, workers

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: No worker of a conductor is there. Its time is that of the last orderly stop, or of the installation.
NO_WORKER = 'no_worker'
#: No conductor can write the staging area.
NO_STAGING = 'no_staging'


class HindranceRepository:
    """Notes since when a hindrance holds; the rows are made by the migration and never removed."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def holds(self, name: str) -> None:
        """It holds: from now on, or as it was noted before."""
        self._set(name, hindrances.c.since.is_(None), self._tx.clock)

    def begins(self, name: str) -> None:
        """It holds from now on, whatever was noted before."""
        self._set(name, sa.true(), self._tx.clock)

    def ends(self, name: str) -> None:
        """It does not hold."""
        self._set(name, hindrances.c.since.is_not(None), None)

    def longest(self) -> float:
        """Seconds for which the oldest hindrance holds now; 0 when none is noted. One statement."""
        last_sign = sa.select(sa.func.max(workers.c.seen)).scalar_subquery()
        statement = sa.select(hindrances.c.name, hindrances.c.since, last_sign, self._tx.clock)
        return max((_seconds(*row) for row in self._connection.execute(statement)), default=0.0)

    def _set(
        self, name: str, condition: sa.ColumnElement[bool], since: sa.ColumnElement[float] | None
    ) -> None:
        statement = sa.update(hindrances).where(hindrances.c.name == name, condition)
        self._connection.execute(statement.values(since=since))


def _seconds(name: str, since: float | None, last_sign: float | None, now: float) -> float:
    if name == NO_WORKER and last_sign is not None:
        since = max(last_sign, since or 0.0)
    return 0.0 if since is None else max(0.0, now - since)
