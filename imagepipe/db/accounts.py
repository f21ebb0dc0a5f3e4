"""What the records say is used: the truth that counters are put right by."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db import documents
from imagepipe.db.schema import images, imports, locations, transfers, usages
from imagepipe.domain.import_ import LIVE, ImportState, Method
from imagepipe.domain.location import OCCUPYING
from imagepipe.domain.reception import STAGED
from imagepipe.domain.transfer import TransferKind, TransferState
from imagepipe.domain.usage import RECEIVING, UNCOUNTED, Resource

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_OCCUPIED = sa.and_(locations.c.state.in_([state.value for state in OCCUPYING]), locations.c.url.is_not(None))
_COUNTED = images.c.status.not_in([status.value for status in UNCOUNTED])
_LIVE = imports.c.state.in_([state.value for state in LIVE])
_COPYING = sa.and_(
    imports.c.method == Method.COPY_IMAGE.value,
    imports.c.state.in_([state.value for state in LIVE - {ImportState.COMMITTED}]),
)
_UPLOADS = sa.and_(
    transfers.c.kind == TransferKind.UPLOAD.value, transfers.c.state == TransferState.OPEN.value
)
_STAGINGS = sa.and_(
    transfers.c.kind == TransferKind.STAGE.value,
    transfers.c.state.in_([TransferState.OPEN.value, TransferState.FINISHED.value]),
)
_UPLOADS_STAGED = sa.and_(_UPLOADS, transfers.c.object_name.like(f'%.{STAGED}'))


class AccountRepository:
    """Counts and sums over images, locations, imports and transfers; sizes are bytes."""

    def __init__(self, tx: 'Transaction') -> None:
        self._connection = tx.connection

    def scopes(self) -> list[str]:
        """Every scope that has a counter."""
        statement = sa.select(usages.c.scope).distinct().order_by(usages.c.scope)
        return list(self._connection.execute(statement).scalars())

    def owners(self) -> list[str | None]:
        """Every project that has an image."""
        return list(self._connection.execute(sa.select(images.c.owner).distinct()).scalars())

    def stored(self, image_id: str) -> int:
        """What an image occupies in all stores."""
        return self._sum(
            sa.select(sa.func.sum(locations.c.size)).where(locations.c.image_id == image_id, _OCCUPIED)
        )

    def of_project(self, owner: str | None) -> Mapping[Resource, int]:
        """What a project uses, and has reserved."""
        return {
            Resource.SIZE: self._occupied(owner),
            Resource.STAGED: self._staged(
                sa.and_(_is(transfers.c.project, owner), _STAGINGS), _is(imports.c.owner, owner)
            ),
            Resource.IMAGES: self._sum(_count(images).where(_is(images.c.owner, owner), _COUNTED)),
            Resource.UPLOADING: self._uploading(owner),
        }

    def staged(self) -> int:
        """What is reserved in the staging area."""
        return self._staged(sa.or_(_STAGINGS, _UPLOADS_STAGED), sa.true())

    def _occupied(self, owner: str | None) -> int:
        stored = (
            sa.select(sa.func.sum(locations.c.size))
            .join(images, images.c.id == locations.c.image_id)
            .where(_is(images.c.owner, owner), _COUNTED, _OCCUPIED)
        )
        uploading = sa.select(sa.func.sum(transfers.c.reserved)).where(
            _is(transfers.c.project, owner), _UPLOADS
        )
        importing = sa.select(sa.func.sum(imports.c.reserved)).where(_is(imports.c.owner, owner), _LIVE)
        return sum(self._sum(part) for part in (stored, uploading, importing))

    def _uploading(self, owner: str | None) -> int:
        receiving = images.c.status.in_([status.value for status in RECEIVING])
        return self._sum(_count(images).where(_is(images.c.owner, owner), receiving)) + self._sum(
            _count(imports).where(_is(imports.c.owner, owner), _COPYING)
        )

    def _staged(self, of_transfers: sa.ColumnElement[bool], of_imports: sa.ColumnElement[bool]) -> int:
        held = sa.select(imports.c.staged).where(_LIVE, imports.c.staged != '{}', of_imports)
        steps = [documents.load(text, {}) for text in self._connection.execute(held).scalars()]
        by_transfers = sa.select(sa.func.sum(transfers.c.reserved)).where(of_transfers)
        return self._sum(by_transfers) + sum(sum(each.values()) for each in steps)

    def _sum(self, statement: sa.Select) -> int:
        return int(self._connection.execute(statement).scalar() or 0)


def _is(column: sa.Column, owner: str | None) -> sa.ColumnElement[bool]:
    return column.is_(None) if owner is None else column == owner


def _count(table: sa.Table) -> sa.Select:
    return sa.select(sa.func.count()).select_from(table)
