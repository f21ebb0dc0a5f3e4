"""What the records say is used: the truth that counters are put right by."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db import documents
from imagepipe.db.schema import images, imports, locations, transfers, usages
from imagepipe.domain.import_ import LIVE
from imagepipe.domain.location import LocationState
from imagepipe.domain.reception import STAGED
from imagepipe.domain.transfer import TransferKind, TransferState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: With a URL, such a location is an image's; without one it is a leftover that counts for nobody.
_OCCUPYING = (LocationState.ACTIVE.value, LocationState.MISSING.value, LocationState.DELETING.value)
_LIVE = [state.value for state in LIVE]
_STAGES = sa.or_(transfers.c.kind == TransferKind.STAGE.value, transfers.c.object_name.like(f'%.{STAGED}'))


class AccountRepository:
    """Sums over locations, imports and transfers, in bytes."""

    def __init__(self, tx: 'Transaction') -> None:
        self._connection = tx.connection

    def scopes(self, resource: str) -> list[str]:
        """Every scope that has a counter."""
        statement = sa.select(usages.c.scope).where(usages.c.resource == resource)
        return list(self._connection.execute(statement.order_by(usages.c.scope)).scalars())

    def hold(self, scope: str, resource: str) -> int:
        """Lock a counter until the transaction ends, so that no reservation is between it and its row."""
        row = (usages.c.scope == scope, usages.c.resource == resource)
        self._connection.execute(sa.update(usages).where(*row).values(used=usages.c.used))
        return self._connection.execute(sa.select(usages.c.used).where(*row)).scalar() or 0

    def occupied(self, owner: str | None) -> int:
        """What a project's images occupy in all stores, and what is reserved for more."""
        of_owner = images.c.owner == owner if owner is not None else images.c.owner.is_(None)
        stored = (
            sa.select(sa.func.sum(locations.c.size))
            .join(images, images.c.id == locations.c.image_id)
            .where(of_owner, locations.c.state.in_(_OCCUPYING), locations.c.url.is_not(None))
        )
        uploading = (
            sa.select(sa.func.sum(transfers.c.reserved))
            .join(images, images.c.id == transfers.c.image_id)
            .where(
                of_owner,
                transfers.c.kind == TransferKind.UPLOAD.value,
                transfers.c.state == TransferState.OPEN.value,
            )
        )
        importing = sa.select(sa.func.sum(imports.c.reserved)).where(
            imports.c.owner == owner if owner is not None else imports.c.owner.is_(None),
            imports.c.state.in_(_LIVE),
        )
        return sum(
            int(self._connection.execute(part).scalar() or 0) for part in (stored, uploading, importing)
        )

    def staged(self) -> int:
        """What is reserved in the staging area."""
        of_transfers = sa.select(sa.func.sum(transfers.c.reserved)).where(
            sa.or_(
                sa.and_(_STAGES, transfers.c.state == TransferState.OPEN.value),
                sa.and_(
                    transfers.c.kind == TransferKind.STAGE.value,
                    transfers.c.state == TransferState.FINISHED.value,
                ),
            )
        )
        of_imports = sa.select(imports.c.staged).where(imports.c.state.in_(_LIVE), imports.c.staged != '{}')
        held = [documents.load(text, {}) for text in self._connection.execute(of_imports).scalars()]
        return int(self._connection.execute(of_transfers).scalar() or 0) + sum(
            sum(steps.values()) for steps in held
        )
