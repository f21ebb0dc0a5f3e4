"""Images that wait for their scrubbing. A row goes with its image, or when the image is restored."""

import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe import errors
from imagepipe.db.schema import pending_deletes
from imagepipe.domain.image import Image, Status
from imagepipe.domain.pending_delete import PendingDelete

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class PendingDeleteRepository:
    """Reads and writes what is kept of such an image besides its own row."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, image: Image, *, status: Status | None = None) -> None:
        """The image was deleted now; status: what it has when it is restored (None: what it has now)."""
        row = {'image_id': image.id, 'status': (status or image.status).value, 'deleted_at': self._tx.now}
        self._connection.execute(sa.insert(pending_deletes).values(row))

    def get(self, image_id: str) -> PendingDelete:
        """One of them. Raises ImageNotFound, ImageNotRestorable."""
        image = self._tx.images.find(image_id)
        row = self._connection.execute(
            sa.select(pending_deletes).where(pending_deletes.c.image_id == image_id)
        ).first()
        if row is None:
            raise errors.ImageNotRestorable(image_id=image_id, status=image.status.value)
        return PendingDelete(image=image, status=Status(row.status), deleted_at=row.deleted_at)

    def before(self, moment: datetime.datetime | None, *, limit: int) -> list[str]:
        """The ids of images that were deleted before a moment (None: of all), the oldest first."""
        statement = sa.select(pending_deletes.c.image_id).order_by(pending_deletes.c.deleted_at)
        if moment is not None:
            statement = statement.where(pending_deletes.c.deleted_at <= moment)
        return list(self._connection.execute(statement.limit(limit)).scalars())

    def delete(self, image_id: str) -> None:
        """The image is restored."""
        self._connection.execute(sa.delete(pending_deletes).where(pending_deletes.c.image_id == image_id))
