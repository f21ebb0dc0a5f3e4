"""The hosts of conductors, and who works there, as the database sees it."""

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe.db.schema import conductor_hosts as hosts
from imagepipe.db.schema import imports, workers
from imagepipe.domain.conductor import Drain, Host, WorkerSign
from imagepipe.domain.readiness import Part

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class ConductorRepository:
    """Which hosts take imports, and what their workers have in hand."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def host(self, name: str) -> Host | None:
        """The host, as it is at this moment."""
        row = self._connection.execute(sa.select(hosts).where(hosts.c.host == name)).first()
        return None if row is None else _host(row)

    def hosts(self) -> list[Host]:
        """Every host that has, or had, conductors."""
        return [_host(row) for row in self._connection.execute(sa.select(hosts).order_by(hosts.c.host))]

    def locked(self, name: str) -> Host:
        """The host, which is a known one from now on; nobody else changes it or claims for it meanwhile."""
        statement = sa.select(hosts).where(hosts.c.host == name).with_for_update()
        row = self._connection.execute(statement).first()
        if row is None:
            self._add(name)
            row = self._connection.execute(statement).one()
        return _host(row)

    def known(self, name: str) -> None:
        """The host is a known one from now on."""
        if self.host(name) is None:
            self._add(name)

    def _add(self, name: str) -> None:
        try:
            with self._connection.begin_nested():
                self._connection.execute(sa.insert(hosts).values(host=name, seen=self._tx.clock))
        except (db_exc.DBDuplicateEntry, sa.exc.IntegrityError):
            return  # another worker of the host was first

    def drain(self, name: str, drain: Drain | None) -> None:
        """The host's conductors take no import from now on; None: they do again."""
        since = self._tx.now if drain is not None else None
        values = {'drain': drain.value if drain is not None else None, 'drained_at': since}
        self._connection.execute(sa.update(hosts).where(hosts.c.host == name).values(values))

    def lacks(self, name: str, parts: Iterable[Part]) -> None:
        """What the host's conductors have found to be missing there, just now."""
        lacks = ','.join(sorted(parts)) or None
        found = sa.update(hosts).where(hosts.c.host == name)
        self._connection.execute(found.values(lacks=lacks, seen=self._tx.clock))

    def lose(self, name: str) -> None:
        """The host is given up until one of its conductors gives a sign."""
        self._connection.execute(sa.update(hosts).where(hosts.c.host == name).values(lost_at=self._tx.now))

    def back(self, name: str) -> None:
        """A conductor of the host has given a sign."""
        self._connection.execute(sa.update(hosts).where(hosts.c.host == name).values(lost_at=None))

    def lost(self, names: Iterable[str], after: float) -> list[str]:
        """Those of these hosts that were given up, or of which no sign has come for so many seconds."""
        then = self._tx.clock - after
        signs = sa.exists().where(workers.c.host == hosts.c.host, workers.c.seen > then)
        silent = sa.and_(sa.func.coalesce(hosts.c.seen, 0.0) <= then, ~signs)
        statement = sa.select(hosts.c.host).where(
            hosts.c.host.in_(list(names)), sa.or_(hosts.c.lost_at.is_not(None), silent)
        )
        return list(self._connection.execute(statement.order_by(hosts.c.host)).scalars())

    def at_work(self, within: float) -> list[Host]:
        """Hosts whose conductors take imports, and that were heard of within so many seconds."""
        taking = sa.select(workers.c.host).where(
            workers.c.seen > self._tx.clock - within, workers.c.draining == sa.false()
        )
        statement = sa.select(hosts).where(hosts.c.drain.is_(None), hosts.c.host.in_(taking))
        return [_host(row) for row in self._connection.execute(statement.order_by(hosts.c.host))]

    def workers(self) -> list[WorkerSign]:
        """Every worker that has not said good-bye, and the imports that it holds."""
        held = collections.defaultdict(list)
        claims = sa.select(imports.c.claim_owner, imports.c.id).where(imports.c.claim_host.is_not(None))
        for row in self._connection.execute(claims.order_by(imports.c.id)):
            held[row.claim_owner].append(row.id)
        statement = sa.select(workers, (self._tx.clock - workers.c.seen).label('silence'))
        rows = self._connection.execute(statement.order_by(workers.c.host, workers.c.pid))
        return [
            WorkerSign(
                name=row.name,
                host=row.host,
                pid=row.pid,
                conductor_pid=row.conductor_pid,
                version=row.version,
                started_at=row.started_at,
                silence=row.silence,
                draining=row.draining,
                imports=tuple(held[row.name]),
            )
            for row in rows
        ]


def _host(row: sa.Row) -> Host:
    # What stands there otherwise is a newer release's.
    drain = None if row.drain is None else Drain(row.drain) if row.drain in set(Drain) else Drain.FINISH
    lacks = frozenset(Part(name) for name in (row.lacks or '').split(',') if name in set(Part))
    return Host(name=row.host, drain=drain, drained_at=row.drained_at, lacks=lacks, lost_at=row.lost_at)
