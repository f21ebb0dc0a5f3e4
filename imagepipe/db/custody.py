"""Images whose status does not last, and what keeps them in it (domain/custody.py)."""

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db.schema import images, imports, pending_deletes, transfers
from imagepipe.domain.image import Status
from imagepipe.domain.transfer import TransferKind, TransferState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_LIVE_IMPORT = sa.exists().where(imports.c.live_image_id == images.c.id)


def _transfer(kind: TransferKind, *states: TransferState) -> sa.Exists:
    return sa.exists().where(
        transfers.c.image_id == images.c.id,
        transfers.c.kind == kind.value,
        transfers.c.state.in_([state.value for state in states]),
    )


#: What there is as long as an image has an owner, by status.
_OWNED: Mapping[Status, sa.Exists] = {
    Status.SAVING: _transfer(TransferKind.UPLOAD, TransferState.OPEN),
    Status.UPLOADING: _transfer(TransferKind.STAGE, TransferState.OPEN, TransferState.FINISHED),
    Status.IMPORTING: _LIVE_IMPORT,
    Status.PENDING_DELETE: sa.exists().where(pending_deletes.c.image_id == images.c.id),
}
_OWNERLESS = sa.or_(*(sa.and_(images.c.status == status.value, ~owned) for status, owned in _OWNED.items()))


class CustodyRepository:
    """Finds what nobody answers for. All times are those of transfers: naive UTC."""

    def __init__(self, tx: 'Transaction') -> None:
        self._connection: sa.Connection = tx.connection

    def ownerless(self, after: str, limit: int) -> list[str]:
        """Ids of images in a status without an owner of it, from behind one. Every image is looked at."""
        statement = sa.select(images.c.id).where(_OWNERLESS, images.c.id > after)
        return list(self._connection.execute(statement.order_by(images.c.id).limit(limit)).scalars())

    def is_ownerless(self, image_id: str) -> bool:
        """Whether ownerless() would name the image."""
        statement = sa.select(images.c.id).where(_OWNERLESS, images.c.id == image_id)
        return self._connection.execute(statement).first() is not None

    def unwanted(self, before: datetime.datetime | None, limit: int) -> list[str]:
        """Ids of transfers whose staged data nobody has asked to import, the oldest first.

        Those of images that wait for it since `before` (None: for as long as they like), and those of
        images that neither wait for it nor are imported.
        """
        waits = sa.exists().where(
            images.c.id == transfers.c.image_id, images.c.status == Status.UPLOADING.value
        )
        imported = sa.exists().where(imports.c.live_image_id == transfers.c.image_id)
        unwanted = ~waits & ~imported
        if before is not None:
            unwanted |= waits & (transfers.c.updated_at <= before)
        statement = sa.select(transfers.c.id).where(
            transfers.c.state == TransferState.FINISHED.value,
            transfers.c.kind == TransferKind.STAGE.value,
            unwanted,
        )
        statement = statement.order_by(transfers.c.updated_at, transfers.c.id).limit(limit)
        return list(self._connection.execute(statement).scalars())
