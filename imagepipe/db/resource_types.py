"""Resource types that metadata definitions are for: every one that was ever associated."""

import contextlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe.db.schema import metadef_resource_types
from imagepipe.domain.metadefs import Item

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_types = metadef_resource_types.c


class ResourceTypeRepository:
    """Names of resource types."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def all(self) -> Sequence[Item]:
        """All of them, oldest first."""
        statement = sa.select(metadef_resource_types).order_by(_types.created_at, _types.name)
        return [Item(**row._mapping) for row in self._connection.execute(statement)]

    def ensure(self, names: Collection[str]) -> None:
        """See that these are known."""
        while missing := self._unknown(names):
            rows = [
                {'name': name, 'created_at': self._tx.now, 'updated_at': self._tx.now} for name in missing
            ]
            # Another transaction may make one of them at the same moment: then look again.
            with contextlib.suppress(db_exc.DBDuplicateEntry), self._connection.begin_nested():
                self._connection.execute(sa.insert(metadef_resource_types), rows)

    def clear(self) -> None:
        """Forget them all."""
        self._connection.execute(sa.delete(metadef_resource_types))

    def _unknown(self, names: Collection[str]) -> list[str]:
        if not names:
            return []
        known = self._connection.execute(sa.select(_types.name).where(_types.name.in_(names))).scalars()
        return sorted(set(names).difference(known))
