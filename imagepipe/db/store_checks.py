"""What the hosts of conductors have found of the stores; that holds for a time, by the database's clock."""

import collections
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db.schema import store_checks
from imagepipe.domain.store_state import StoreCheck

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class StoreCheckRepository:
    """One finding per host and store."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def note(self, host: str, found: Mapping[str, errors.ImagepipeError | None], *, holds: float) -> None:
        """What a host has just found of these stores, None of one that can be used; holds: for seconds."""
        statement = sa.select(store_checks.c.store, store_checks.c.code).where(store_checks.c.host == host)
        before = {row.store: row.code for row in self._connection.execute(statement)}
        for store, error in found.items():
            row = {
                'code': error and error.code,
                'message': error and error.message,
                'full': isinstance(error, errors.StoreFull),
                'holds_until': self._tx.clock + holds,
            }
            if store not in before or before[store] != row['code']:
                row['since'] = self._tx.now
            self._write(host, store, row, known=store in before)

    def latest(self) -> Mapping[str, Sequence[StoreCheck]]:
        """The findings that hold, by store."""
        statement = sa.select(store_checks).where(store_checks.c.holds_until > self._tx.clock)
        found = collections.defaultdict(list)
        for row in self._connection.execute(statement.order_by(store_checks.c.host)):
            found[row.store].append(
                StoreCheck(
                    host=row.host,
                    store=row.store,
                    code=row.code,
                    message=row.message,
                    full=row.full,
                    since=row.since,
                )
            )
        return found

    def down(self, host: str) -> set[str]:
        """The stores that cannot be used on a host, by what holds; not those that are merely full."""
        statement = sa.select(store_checks.c.store).where(
            store_checks.c.host == host,
            store_checks.c.code.is_not(None),
            store_checks.c.full == sa.false(),
            store_checks.c.holds_until > self._tx.clock,
        )
        return set(self._connection.execute(statement).scalars())

    def forget(self, age: float) -> None:
        """Drop findings that have not held for so many seconds: of hosts and stores that are gone."""
        self._connection.execute(
            sa.delete(store_checks).where(store_checks.c.holds_until < self._tx.clock - age)
        )

    def _write(self, host: str, store: str, row: Mapping[str, object], *, known: bool) -> None:
        place = {'host': host, 'store': store}
        if not known:
            try:
                with self._connection.begin_nested():
                    self._connection.execute(sa.insert(store_checks).values(**place, **row))
                return
            except (db_exc.DBDuplicateEntry, sa.exc.IntegrityError):
                pass  # another conductor of the host was first
        here = (store_checks.c.host == host, store_checks.c.store == store)
        self._connection.execute(sa.update(store_checks).where(*here).values(**row))
