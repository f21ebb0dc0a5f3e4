"""What is asked and written of claims, all the time: statements that are built once.

To build one costs as much as to execute it. Claims are compared on the database's clock only.
"""

import functools
from collections.abc import Mapping

import sqlalchemy as sa

from imagepipe.db import import_rows
from imagepipe.db.bindings import reachable
from imagepipe.db.schema import imports
from imagepipe.domain.import_ import Claim

#: When a claim runs out that was given up: before all times.
GIVEN_UP = 0.0

_MINE = (
    imports.c.id == sa.bindparam('claimed'),
    imports.c.epoch == sa.bindparam('of_epoch'),
    imports.c.claim_owner == sa.bindparam('by_owner'),
)
#: An import that is held by whoever it is executed for: see whose().
MINE = sa.update(imports).where(*_MINE)
#: The same, locked until the transaction ends.
HELD = sa.select(imports.c.epoch).where(*_MINE).with_for_update(key_share=True)


def whose(claim: Claim) -> Mapping[str, object]:
    """What statements about one's own claim are executed with."""
    return {'claimed': claim.import_id, 'of_epoch': claim.epoch, 'by_owner': claim.owner}


BEFORE = sa.select(imports.c.claim_owner, imports.c.epoch, imports.c.image_id).where(
    imports.c.id == sa.bindparam('id')
)


@functools.lru_cache(maxsize=8)
def claiming(clock: sa.ColumnElement[float]) -> sa.Update:
    """Take an import that nobody holds and that BEFORE found at `of_epoch`, if the host can reach it."""
    host = sa.bindparam('host', type_=sa.String)
    epoch = sa.bindparam('of_epoch', type_=sa.Integer)
    return (
        sa.update(imports)
        .where(
            imports.c.id == sa.bindparam('claimed'),
            imports.c.epoch == epoch,
            import_rows.unheld(clock),
            reachable(host),
        )
        .values(
            claim_owner=sa.bindparam('by_owner'),
            claim_host=host,
            claim_expires=clock + sa.bindparam('lease', type_=sa.Double),
            epoch=epoch + 1,
            started_at=sa.func.coalesce(
                imports.c.started_at, sa.bindparam('now', type_=imports.c.started_at.type)
            ),
        )
    )


@functools.lru_cache(maxsize=8)
def renewal(clock: sa.ColumnElement[float]) -> sa.Update:
    """Extend one's own claim by `lease` seconds from now."""
    # One that was given up is nobody's, whoever still thinks that it is his.
    until = clock + sa.bindparam('lease', type_=sa.Double)
    return MINE.where(imports.c.claim_expires != GIVEN_UP).values(claim_expires=until)


@functools.lru_cache(maxsize=16)
def claimable(clock: sa.ColumnElement[float], *, small_only: bool, gives_up: bool) -> sa.Select:
    """What ImportRepository.claimable() asks."""
    order = (imports.c.turn, imports.c.created_at, imports.c.id)
    limit = sa.bindparam('limit', type_=sa.Integer)
    taken = known = imports.c.flow_version.in_(sa.bindparam('versions', expanding=True))
    if gives_up:
        since = clock - sa.bindparam('unknown_after', type_=sa.Double)
        taken = sa.or_(known, imports.c.unknown_since <= since)
    waiting = (
        sa.select(*order, imports.c.flow_version, imports.c.small, imports.c.weight, known.label('known'))
        .where(
            imports.c.turn.is_not(None),
            import_rows.unheld(clock),
            reachable(sa.bindparam('host', type_=sa.String)),
            taken,
        )
        .order_by(*order)
        .limit(limit)
    )
    lanes = (True,) if small_only else (True, False)
    parts = [waiting.where(imports.c.small == sa.literal(small)).subquery() for small in lanes]
    found = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    return sa.select(found).order_by(found.c.turn, found.c.created_at, found.c.id).limit(limit)
