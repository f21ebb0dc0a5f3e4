"""Imports that the workers of one host only can run: what is staged for them is in its own directory."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db import import_rows
from imagepipe.db.schema import imports, transfers
from imagepipe.domain.import_ import REREADABLE, REVERTIBLE
from imagepipe.domain.transfer import TransferState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: What is staged may be needed yet.
_NEEDED = imports.c.state.in_([state.value for state in REVERTIBLE])


def reachable(host: str | sa.BindParameter[str] | None) -> sa.ColumnElement[bool]:
    """Whether a worker of the host can run an import. To undo it, or to tidy up after it, any can."""
    return sa.or_(imports.c.staged_host.is_(None), imports.c.staged_host == host, ~_NEEDED)


class BindingRepository:
    """What nobody holds and only one host's workers may take: it waits for that host."""

    def __init__(self, tx: 'Transaction') -> None:
        self._connection = tx.connection
        self._waits = sa.and_(imports.c.staged_host.is_not(None), _NEEDED, import_rows.unheld(tx.clock))

    def of(self, import_ids: Iterable[str]) -> dict[str, str]:
        """The hosts that these imports wait for, by import id; those that wait for none are left out."""
        statement = sa.select(imports.c.id, imports.c.staged_host).where(
            imports.c.id.in_(list(import_ids)), self._waits
        )
        return {row.id: row.staged_host for row in self._connection.execute(statement)}

    def hosts(self) -> list[str]:
        """Every host that an import waits for."""
        statement = sa.select(imports.c.staged_host).where(self._waits).distinct()
        return list(self._connection.execute(statement.order_by(imports.c.staged_host)).scalars())

    def to(self, host: str) -> list[str]:
        """The ids of the imports that wait for this host."""
        statement = sa.select(imports.c.id).where(imports.c.staged_host == host, self._waits)
        return list(self._connection.execute(statement.order_by(imports.c.id)).scalars())

    def undo(self, host: str) -> int:
        """What waits for this host and can read its source again may be taken by any; how many that were."""
        stored = sa.exists().where(
            transfers.c.image_id == imports.c.image_id,
            transfers.c.state == TransferState.FINISHED.value,
            transfers.c.url.is_not(None),
        )
        rereadable = imports.c.method.in_([method.value for method in REREADABLE])
        bound = sa.update(imports).where(imports.c.staged_host == host, self._waits, rereadable | stored)
        return self._connection.execute(bound.values(staged_host=None)).rowcount
