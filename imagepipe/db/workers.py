"""The conductors' workers that are alive, as the database sees it."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db.schema import workers

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class WorkerRepository:
    """Who works, and when it was last seen (database's clock)."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def seen(self, name: str, *, host: str, pid: int, version: str) -> None:
        """The worker is alive now."""
        statement = sa.update(workers).where(workers.c.name == name).values(seen=self._tx.clock)
        if self._connection.execute(statement).rowcount == 0:
            self._connection.execute(
                sa.insert(workers).values(
                    name=name,
                    host=host,
                    pid=pid,
                    version=version,
                    started_at=self._tx.now,
                    seen=self._tx.clock,
                )
            )

    def gone(self, name: str) -> None:
        """The worker has stopped."""
        self._connection.execute(sa.delete(workers).where(workers.c.name == name))

    def alive(self, within: float) -> list[str]:
        """Names of the workers seen within so many seconds."""
        statement = sa.select(workers.c.name).where(workers.c.seen > self._tx.clock - within)
        return list(self._connection.execute(statement.order_by(workers.c.name)).scalars())

    def forget(self, unseen_for: float) -> None:
        """Drop the rows of workers that died long ago."""
        self._connection.execute(sa.delete(workers).where(workers.c.seen < self._tx.clock - unseen_for))
