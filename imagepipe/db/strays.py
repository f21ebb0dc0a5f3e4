"""Objects in stores whose owner nobody knows: since when, by the database's clock.

Drivers do not tell how old an object is, so what is found is noted and looked at again later.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe.db.schema import strays

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class StrayRepository:
    """Notes by store and object name. Ages are seconds."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def note(self, store: str, object_names: Collection[str]) -> Mapping[str, float]:
        """These and no others are the strays of a store now; for how long each has been one."""
        before = self.ages(store)
        for name in before.keys() - set(object_names):
            self.forget(store, name)
        for name in set(object_names) - before.keys():
            self._add(store, name)
        return {name: before.get(name, 0.0) for name in object_names}

    def ages(self, store: str) -> dict[str, float]:
        """What was noted for a store, and how long ago."""
        statement = sa.select(strays.c.object_name, self._tx.clock - strays.c.since)
        rows = self._connection.execute(statement.where(strays.c.store == store))
        return {name: float(age) for name, age in rows}

    def forget(self, store: str, object_name: str) -> None:
        """It is none, or is gone; absent is fine."""
        self._connection.execute(
            sa.delete(strays).where(strays.c.store == store, strays.c.object_name == object_name)
        )

    def _add(self, store: str, object_name: str) -> None:
        row = {'store': store, 'object_name': object_name, 'since': self._tx.clock}
        try:
            with self._connection.begin_nested():
                self._connection.execute(sa.insert(strays).values(**row))
        except (db_exc.DBDuplicateEntry, sa.exc.IntegrityError):
            return  # another sweeper was here
