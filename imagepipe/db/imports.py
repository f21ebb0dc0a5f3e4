"""Imports in the database: their states, their claims, their ends."""

import dataclasses
import datetime
import math
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import claims, import_rows, keyset, task_queries
from imagepipe.db.bindings import reachable
from imagepipe.db.schema import images, imports
from imagepipe.domain.image import Status
from imagepipe.domain.import_ import (
    ENDED,
    LIVE,
    RETRYABLE,
    REVERTIBLE,
    Claim,
    Import,
    ImportQuery,
    ImportState,
    Waiting,
)
from imagepipe.domain.task import TaskQuery

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: The turn of imports that are to be undone.
_FIRST = -1
_BY_ID = sa.select(*import_rows.COLUMNS).where(imports.c.id == sa.bindparam('id'))
_STATES = sa.select(imports.c.id, imports.c.state).where(
    imports.c.id.in_(sa.bindparam('ids', expanding=True))
)
_NEWEST_FIRST = keyset.keys((imports.c.created_at, imports.c.id), descending=True)


class ImportRepository:
    """Reads and writes imports; every change of state is a compare-and-set."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, record: Import) -> Import:
        """Record a new import. Raises ImportInProgress when the image has a live one."""
        record = dataclasses.replace(record, created_at=self._tx.now, updated_at=self._tx.now)
        columns = {'live_image_id': None, 'turn': None}
        if record.live:
            columns = {'live_image_id': record.image_id, 'turn': self._turn(record)}
        try:
            self._connection.execute(sa.insert(imports).values(**import_rows.row(record), **columns))
        except db_exc.DBDuplicateEntry as error:
            raise errors.ImportInProgress(image_id=record.image_id, import_id='another') from error
        return record

    def _turn(self, record: Import) -> int:
        """One round after the last import of the project, and not before the round that is being run."""
        now = sa.select(sa.func.max(imports.c.turn)).where(imports.c.claim_host.is_not(None))
        last = sa.select(sa.func.max(imports.c.turn)).where(
            imports.c.owner == record.owner,
            imports.c.small == sa.literal(record.small),
            imports.c.turn.is_not(None),
        )
        row = self._connection.execute(sa.select(now.scalar_subquery(), last.scalar_subquery())).one()
        return max(row[0] or 0, 0 if row[1] is None else row[1] + 1)

    def get(self, import_id: str) -> Import:
        """Any import, by id. Raises ImportNotFound."""
        row = None if '\0' in import_id else self._connection.execute(_BY_ID, {'id': import_id}).first()
        if row is None:
            raise errors.ImportNotFound(import_id=import_id.replace('\0', ''))
        return import_rows.read(row)

    def live_of(self, image_id: str) -> Import | None:
        """The image's live import."""
        row = self._connection.execute(
            sa.select(*import_rows.COLUMNS).where(imports.c.live_image_id == image_id)
        ).first()
        return None if row is None else import_rows.read(row)

    def of_request(self, request_id: str, limit: int) -> list[Import]:
        """The first imports that a request asked for, as they came. Every import is looked at."""
        statement = sa.select(*import_rows.COLUMNS).where(imports.c.request_id == request_id)
        return self._all(statement.order_by(imports.c.created_at, imports.c.id).limit(limit))

    def retries(self, record: Import, limit: int) -> list[str]:
        """The ids of the newest imports that were made to retry this one, newest first."""
        statement = sa.select(imports.c.id).where(
            imports.c.image_id == record.image_id, imports.c.retry_of == record.id
        )
        newest = statement.order_by(*keyset.order(_NEWEST_FIRST)).limit(limit)
        return list(self._connection.execute(newest).scalars())

    def search(self, query: ImportQuery) -> list[Import]:
        """A page of imports, newest first. Raises InvalidMarker."""
        asked = {name: getattr(query, name) for name in ('state', 'image_id', 'method', 'owner')}
        conditions = [imports.c[name] == wanted for name, wanted in asked.items() if wanted is not None]
        return self._page(conditions, _NEWEST_FIRST, query)

    def tasks(self, query: TaskQuery) -> list[Import]:
        """A page of imports as they are listed as tasks. Raises InvalidMarker."""
        if query.limit == 0:
            return []
        return self._page(task_queries.conditions(query), task_queries.order(query), query)

    def _page(
        self,
        conditions: Sequence[sa.ColumnElement[bool]],
        by: Sequence[keyset.Key],
        query: ImportQuery | TaskQuery,
    ) -> list[Import]:
        place = None
        if query.marker is not None:
            of_marker = sa.select(*(key.term for key in by)).where(imports.c.id == query.marker)
            place = self._connection.execute(of_marker).first()
            if place is None:
                raise errors.InvalidMarker(marker=query.marker)
        return self._all(
            keyset.page(sa.select(*import_rows.COLUMNS).where(*conditions), by, place, query.limit)
        )

    def to(
        self, import_id: str, expected: Iterable[ImportState], state: ImportState, **columns: object
    ) -> bool:
        """Change the state if it is still one of `expected`; whether it was."""
        values = {name: import_rows.plain(name, value) for name, value in columns.items()}
        if state not in LIVE:
            values |= {'live_image_id': None, 'turn': None}
        statement = (
            sa.update(imports)
            .where(imports.c.id == import_id, imports.c.state.in_([item.value for item in expected]))
            .values(state=state.value, updated_at=self._tx.now, **values)
        )
        return self._connection.execute(statement).rowcount == 1

    def record(self, import_id: str, **columns: object) -> None:
        """Write columns that are not the state."""
        values = {name: import_rows.plain(name, value) for name, value in columns.items()}
        self._connection.execute(
            sa.update(imports).where(imports.c.id == import_id).values(updated_at=self._tx.now, **values)
        )

    def revert(
        self, import_id: str, outcome: ImportState, error: errors.ImagepipeError, *, step: str | None = None
    ) -> bool:
        """Decide that the import ends as `outcome`; False when it was committed or decided before.

        Whoever takes it has little to do, and somebody waits for that: it comes before all others.
        """
        return self.to(
            import_id,
            REVERTIBLE,
            ImportState.REVERTING,
            outcome=outcome.value,
            turn=_FIRST,
            small=True,
            error_code=error.code,
            error_message=error.message,
            error_step=step,
        )

    def outcome(self, import_id: str) -> ImportState:
        """The end that a reverting import comes to."""
        found = self._connection.execute(
            sa.select(imports.c.outcome).where(imports.c.id == import_id)
        ).scalar()
        return ImportState(found or ImportState.FAILED)

    def with_trusts(self, before: datetime.datetime, after: str, limit: int) -> list[Import]:
        """Imports that ended before a time and whose trusts have not, by id, from behind one."""
        statement = sa.select(*import_rows.COLUMNS).where(
            imports.c.trust_id.is_not(None),
            imports.c.state.in_([state.value for state in ENDED]),
            imports.c.finished_at < before,
            imports.c.id > after,
        )
        return self._all(statement.order_by(imports.c.id).limit(limit))

    def forget_trust(self, import_id: str) -> None:
        """The trust has ended; the import has not changed by that."""
        self._connection.execute(sa.update(imports).where(imports.c.id == import_id).values(trust_id=None))

    def with_sources(self, before: datetime.datetime, limit: int) -> list[str]:
        """Ids of imports that failed and have a URL that nobody can retry them with any more.

        They ended before a time, or their images wait for no data.
        """
        waits = sa.exists().where(images.c.id == imports.c.image_id, images.c.status == Status.QUEUED.value)
        statement = sa.select(imports.c.id).where(
            imports.c.source_url.is_not(None),
            imports.c.state.in_([state.value for state in RETRYABLE]),
            sa.or_(imports.c.finished_at < before, ~waits),
        )
        return list(self._connection.execute(statement.limit(limit)).scalars())

    def forget_sources(self, import_ids: Iterable[str]) -> None:
        """Erase the URLs of imports that have ended; else they have not changed by that."""
        self._connection.execute(
            sa.update(imports).where(imports.c.id.in_(list(import_ids))).values(source_url=None)
        )

    # Claims. They are compared on the database's clock only.

    def claimable(
        self,
        limit: int,
        versions: Iterable[int],
        *,
        host: str | None = None,
        small_only: bool = False,
        unknown_after: float = math.inf,
    ) -> list[Waiting]:
        """Live imports of these flow versions that nobody holds and a worker of the host may take, in turn.

        Of other versions those that no conductor has known for `unknown_after` seconds. One statement,
        which goes by ix_imports_queue and reads little more than it returns. Of a record only so much is
        read: one that cannot be decoded must not hide the others.
        """
        statement = claims.claimable(self._tx.clock, small_only=small_only, gives_up=unknown_after < math.inf)
        asked = {'limit': limit, 'versions': list(versions), 'host': host}
        if unknown_after < math.inf:
            asked['unknown_after'] = unknown_after
        return [
            Waiting(
                id=row.id,
                flow_version=row.flow_version,
                small=row.small,
                weight=row.weight,
                given_up=not row.known,
            )
            for row in self._connection.execute(statement, asked)
        ]

    def note_unknown(self, known: Collection[int]) -> None:
        """Note since when the flows of imports that wait are none of these, or that they are again."""
        live = sa.update(imports).where(imports.c.live_image_id.is_not(None))
        is_known = imports.c.flow_version.in_(list(known))
        self._connection.execute(
            live.where(self._unheld(), imports.c.unknown_since.is_(None), ~is_known).values(
                unknown_since=self._tx.clock
            )
        )
        # Those that are held, too: it would count when they are handed over.
        self._connection.execute(
            live.where(imports.c.unknown_since.is_not(None), is_known).values(unknown_since=None)
        )

    def load(self, host: str, *, unknown: int) -> tuple[int, int]:
        """How many imports are held on a host, and the bytes of those that are not small.

        unknown: what an import counts whose size nobody knows yet.
        """
        known = sa.case((imports.c.weight == 0, unknown), else_=imports.c.weight)
        weight = sa.case((imports.c.small == sa.false(), known), else_=0)
        statement = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(weight), 0)).where(
            imports.c.claim_host == host, imports.c.claim_expires > self._tx.clock
        )
        row = self._connection.execute(statement).one()
        return row[0], int(row[1])

    def waiting(
        self, import_ids: Iterable[str], versions: Iterable[int], host: str | None = None
    ) -> dict[str, bool]:
        """Those of these imports that wait, by id: whether claimable() names them on this host."""
        statement = sa.select(imports.c.id, reachable(host).label('here')).where(
            imports.c.id.in_(list(import_ids)), self._unheld(), imports.c.flow_version.in_(list(versions))
        )
        return {row.id: bool(row.here) for row in self._connection.execute(statement)}

    def claim(self, import_id: str, owner: str, lease: float) -> tuple[Claim, bool] | None:
        """Take the import: one conditional UPDATE that raises the epoch. Owners' names begin with their host.

        Returns the claim and whether it was taken from an owner who let it expire; None when
        somebody else holds it, it has ended, or only another host can reach what is staged for it.
        """
        host = owner.partition(':')[0]
        before = self._connection.execute(claims.BEFORE, {'id': import_id}).first()
        if before is None:
            return None
        asked = {
            'claimed': import_id,
            'of_epoch': before.epoch,
            'host': host,
            'by_owner': owner,
            'lease': lease,
            'now': self._tx.now,
        }
        if self._connection.execute(claims.claiming(self._tx.clock), asked).rowcount != 1:
            return None
        taken = Claim(import_id=import_id, image_id=before.image_id, owner=owner, epoch=before.epoch + 1)
        return taken, before.claim_owner is not None

    def renew(self, ours: Sequence[Claim], lease: float) -> dict[str, ImportState]:
        """Extend the claims; the state of each import that is still held, by id."""
        statement = claims.renewal(self._tx.clock)
        held = []
        for claim in ours:
            if self._connection.execute(statement, {**claims.whose(claim), 'lease': lease}).rowcount == 1:
                held.append(claim.import_id)
        if not held:
            return {}
        rows = self._connection.execute(_STATES, {'ids': held})
        return {row.id: ImportState(row.state) for row in rows}

    def expire(self, claim: Claim) -> bool:
        """Give the claim up as a death would: the step at work counts one interruption more."""
        statement = claims.MINE.values(claim_expires=claims.GIVEN_UP)
        return self._connection.execute(statement, claims.whose(claim)).rowcount == 1

    def release(self, claim: Claim) -> bool:
        """Give the claim back, so that anybody may take the import at once."""
        nobody = {'claim_owner': None, 'claim_host': None, 'claim_expires': None}
        statement = claims.MINE.values(nobody)
        return self._connection.execute(statement, claims.whose(claim)).rowcount == 1

    def owner_of(self, import_id: str) -> str | None:
        """Who holds a claim that has not expired."""
        return self._connection.execute(
            sa.select(imports.c.claim_owner).where(
                imports.c.id == import_id, imports.c.claim_expires > self._tx.clock
            )
        ).scalar()

    def lease(self, import_id: str) -> float | None:
        """Seconds until the claim on it runs out, negative when it has; None without a claim."""
        left = imports.c.claim_expires - self._tx.clock
        return self._connection.execute(sa.select(left).where(imports.c.id == import_id)).scalar()

    def count_unheld(self) -> int:
        """How many imports wait for a worker."""
        return self._connection.execute(
            sa.select(sa.func.count()).select_from(imports).where(self._unheld())
        ).scalar_one()

    def count_live(self) -> int:
        """How many imports have no end yet."""
        return self._connection.execute(
            sa.select(sa.func.count()).select_from(imports).where(imports.c.live_image_id.is_not(None))
        ).scalar_one()

    def _unheld(self) -> sa.ColumnElement[bool]:
        return import_rows.unheld(self._tx.clock)

    def _all(self, statement: sa.Select) -> list[Import]:
        return [import_rows.read(row) for row in self._connection.execute(statement)]
