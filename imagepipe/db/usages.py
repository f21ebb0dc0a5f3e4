"""Counters of limited resources: what a project or the staging area uses, reserved by one UPDATE."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import schema

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: Makes the error for a reservation that does not fit; gets what is used already.
Refusal = Callable[[int], errors.ImagepipeError]

_usages = schema.usages


class UsageRepository:
    """Counter rows by scope (`project:<id>`, `staging`) and resource; amounts are bytes."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection: sa.Connection = tx.connection

    def reserve(
        self, scope: str, resource: str, amount: int, limit: int | None, *, refusal: Refusal | None = None
    ) -> None:
        """Add `amount` unless that passes `limit` (None: unlimited); nothing changes when it does.

        Raises what `refusal` makes, QuotaExceeded without one. The row is locked until the
        transaction ends, so that two reservations never share the last bytes.
        """
        if amount <= 0:
            return
        if self._add(scope, resource, amount, limit) or self._first(scope, resource, amount, limit):
            return
        used = self.used(scope, resource)
        if refusal is not None:
            raise refusal(used)
        raise errors.QuotaExceeded(requested=amount, limit=limit, used=used)

    def release(self, scope: str, resource: str, amount: int) -> None:
        """Give `amount` back; a counter never goes below 0."""
        if amount <= 0:
            return
        left = sa.case((_usages.c.used > amount, _usages.c.used - amount), else_=0)
        statement = _usages.update().where(*_row(scope, resource))
        self._connection.execute(statement.values(used=left, updated_at=self._tx.now))

    def used(self, scope: str, resource: str) -> int:
        """What is used and reserved together; 0 for a counter never touched."""
        statement = sa.select(_usages.c.used).where(*_row(scope, resource))
        return self._connection.execute(statement).scalar() or 0

    def hold(self, scope: str, resource: str) -> int:
        """What is used. The counter is locked until the transaction ends: nobody reserves meanwhile."""
        statement = _usages.update().where(*_row(scope, resource)).values(used=_usages.c.used)
        # A counter that was never touched has no row that could be locked: it gets one.
        if self._connection.execute(statement).rowcount == 0 and not self._insert(scope, resource, 0):
            self._connection.execute(statement)
        return self.used(scope, resource)

    def set(self, scope: str, resource: str, used: int) -> None:
        """Put the counter right after a recount."""
        statement = _usages.update().where(*_row(scope, resource)).values(used=used, updated_at=self._tx.now)
        if self._connection.execute(statement).rowcount == 0 and not self._insert(scope, resource, used):
            self._connection.execute(statement)

    def _add(self, scope: str, resource: str, amount: int, limit: int | None) -> bool:
        statement = _usages.update().where(*_row(scope, resource))
        if limit is not None:
            statement = statement.where(_usages.c.used <= limit - amount)
        statement = statement.values(used=_usages.c.used + amount, updated_at=self._tx.now)
        return self._connection.execute(statement).rowcount == 1

    def _first(self, scope: str, resource: str, amount: int, limit: int | None) -> bool:
        """The first reservation makes the row; another transaction may make it at the same moment."""
        if limit is not None and amount > limit:
            return False
        statement = sa.select(_usages.c.used).where(*_row(scope, resource))
        if self._connection.execute(statement).first() is not None:
            # Another transaction made the row since _add() looked: now it can be added to.
            return self._add(scope, resource, amount, limit)
        return self._insert(scope, resource, amount) or self._add(scope, resource, amount, limit)

    def _insert(self, scope: str, resource: str, used: int) -> bool:
        row = {'scope': scope, 'resource': resource, 'used': used, 'updated_at': self._tx.now}
        try:
            with self._connection.begin_nested():
                self._connection.execute(_usages.insert().values(row))
        except (db_exc.DBDuplicateEntry, sa.exc.IntegrityError):
            return False
        return True


def _row(scope: str, resource: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _usages.c.scope == scope, _usages.c.resource == resource
