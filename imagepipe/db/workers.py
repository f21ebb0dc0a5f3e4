"""The conductors' workers that are alive, as the database sees it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db.hindrances import NO_WORKER
from imagepipe.db.schema import conductor_hosts, workers

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class WorkerRepository:
    """Who works, and when it was last seen (database's clock)."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def seen(
        self,
        name: str,
        *,
        host: str,
        pid: int,
        version: str,
        conductor_pid: int | None = None,
        flows: Iterable[int] = (),
        draining: bool = False,
    ) -> None:
        """The worker is alive now. flows: the versions that it can run."""
        sign = {'seen': self._tx.clock, 'draining': draining}
        statement = sa.update(workers).where(workers.c.name == name).values(sign)
        if self._connection.execute(statement).rowcount == 0:
            self._connection.execute(
                sa.insert(workers).values(
                    name=name,
                    host=host,
                    pid=pid,
                    version=version,
                    started_at=self._tx.now,
                    conductor_pid=conductor_pid,
                    flows=','.join(map(str, sorted(flows))),
                    **sign,
                )
            )

    def gone(self, name: str) -> None:
        """The worker has stopped; that it was here until now stays known, of its host too."""
        self._tx.hindrances.begins(NO_WORKER)
        host = conductor_hosts.c.host == name.partition(':')[0]
        self._connection.execute(sa.update(conductor_hosts).where(host).values(seen=self._tx.clock))
        self._connection.execute(sa.delete(workers).where(workers.c.name == name))

    def alive(self, within: float) -> list[str]:
        """Names of the workers seen within so many seconds."""
        statement = sa.select(workers.c.name).where(workers.c.seen > self._tx.clock - within)
        return list(self._connection.execute(statement.order_by(workers.c.name)).scalars())

    def taking(self, within: float, flow: int) -> tuple[list[str], list[str]]:
        """Names of those of them that take imports: neither they nor their hosts are drained.

        Those that know this flow, and the others.
        """
        drained = sa.exists().where(
            conductor_hosts.c.host == workers.c.host, conductor_hosts.c.drain.is_not(None)
        )
        statement = sa.select(workers.c.name, workers.c.flows).where(
            workers.c.seen > self._tx.clock - within, workers.c.draining == sa.false(), ~drained
        )
        rows = self._connection.execute(statement.order_by(workers.c.name)).all()
        known = [row.name for row in rows if flow in _flows(row.flows)]
        return known, [row.name for row in rows if row.name not in known]

    def flows(self, within: float) -> set[int]:
        """The versions of flows that workers know which were seen within so many seconds."""
        statement = sa.select(workers.c.flows).where(workers.c.seen > self._tx.clock - within).distinct()
        told = self._connection.execute(statement).scalars()
        return {version for flows in told for version in _flows(flows)}

    def forget(self, unseen_for: float) -> None:
        """Drop the rows of workers that died long ago."""
        self._connection.execute(sa.delete(workers).where(workers.c.seen < self._tx.clock - unseen_for))


def _flows(told: str | None) -> set[int]:
    """The versions that a worker knows; one of the first release says none, and knows the first."""
    return {int(version) for version in (told or '1').split(',')}
