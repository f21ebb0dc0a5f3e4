"""Imports in the database: their states, their claims, their ends."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import documents
from imagepipe.db.schema import imports
from imagepipe.domain.import_ import LIVE, REVERTIBLE, Claim, Import, ImportQuery, ImportState, Plan

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_DOCUMENTS = ('staged', 'source_digests', 'result', 'trace', 'source_resume')
#: Documents that are null until there is something to say.
_NULLABLE = ('trace', 'source_resume')
_FIELDS = tuple(field.name for field in dataclasses.fields(Import))
_COLUMNS = tuple(imports.c[name] for name in _FIELDS)


class ImportRepository:
    """Reads and writes imports; every change of state is a compare-and-set."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, record: Import) -> Import:
        """Record a new import. Raises ImportInProgress when the image has a live one."""
        record = dataclasses.replace(record, created_at=self._tx.now, updated_at=self._tx.now)
        live = record.image_id if record.live else None
        try:
            self._connection.execute(sa.insert(imports).values(**_row(record), live_image_id=live))
        except db_exc.DBDuplicateEntry as error:
            raise errors.ImportInProgress(image_id=record.image_id, import_id='another') from error
        return record

    def get(self, import_id: str) -> Import:
        """Any import, by id. Raises ImportNotFound."""
        row = self._connection.execute(sa.select(*_COLUMNS).where(imports.c.id == import_id)).first()
        if row is None:
            raise errors.ImportNotFound(import_id=import_id)
        return _import(row)

    def live_of(self, image_id: str) -> Import | None:
        """The image's live import."""
        row = self._connection.execute(
            sa.select(*_COLUMNS).where(imports.c.live_image_id == image_id)
        ).first()
        return None if row is None else _import(row)

    def of_image(self, image_id: str) -> list[Import]:
        """Every import of the image, newest first."""
        statement = sa.select(*_COLUMNS).where(imports.c.image_id == image_id)
        return self._all(statement.order_by(imports.c.created_at.desc(), imports.c.id.desc()))

    def search(self, query: ImportQuery) -> list[Import]:
        """A page of imports, newest first. Raises InvalidMarker."""
        statement = sa.select(*_COLUMNS).order_by(imports.c.created_at.desc(), imports.c.id.desc())
        for name in ('state', 'image_id', 'method', 'owner'):
            wanted = getattr(query, name)
            if wanted is not None:
                statement = statement.where(imports.c[name] == wanted)
        if query.marker is not None:
            statement = statement.where(self._after(query.marker))
        return self._all(statement.limit(query.limit))

    def _after(self, marker: str) -> sa.ColumnElement[bool]:
        created = self._connection.execute(
            sa.select(imports.c.created_at).where(imports.c.id == marker)
        ).scalar()
        if created is None:
            raise errors.InvalidMarker(marker=marker)
        return sa.or_(
            imports.c.created_at < created,
            sa.and_(imports.c.created_at == created, imports.c.id < marker),
        )

    def progress_of(self, image_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """The os_glance_* properties of images, from the latest import of each; one statement."""
        latest = (
            sa.select(
                imports.c.id,
                imports.c.image_id,
                imports.c.state,
                imports.c.result,
                sa.func.row_number()
                .over(
                    partition_by=imports.c.image_id,
                    order_by=(imports.c.created_at.desc(), imports.c.id.desc()),
                )
                .label('rank'),
            ).where(imports.c.image_id.in_(list(image_ids)))
        ).subquery()
        rows = self._connection.execute(sa.select(latest).where(latest.c.rank == 1))
        return {row.image_id: _progress(row) for row in rows}

    def to(
        self, import_id: str, expected: Iterable[ImportState], state: ImportState, **columns: object
    ) -> bool:
        """Change the state if it is still one of `expected`; whether it was."""
        values = {name: _plain(name, value) for name, value in columns.items()}
        if state not in LIVE:
            values['live_image_id'] = None
        statement = (
            sa.update(imports)
            .where(imports.c.id == import_id, imports.c.state.in_([item.value for item in expected]))
            .values(state=state.value, updated_at=self._tx.now, **values)
        )
        return self._connection.execute(statement).rowcount == 1

    def record(self, import_id: str, **columns: object) -> None:
        """Write columns that are not the state."""
        values = {name: _plain(name, value) for name, value in columns.items()}
        self._connection.execute(
            sa.update(imports).where(imports.c.id == import_id).values(updated_at=self._tx.now, **values)
        )

    def revert(
        self, import_id: str, outcome: ImportState, error: errors.ImagepipeError, *, step: str | None = None
    ) -> bool:
        """Decide that the import ends as `outcome`; False when it was committed or decided before."""
        return self.to(
            import_id,
            REVERTIBLE,
            ImportState.REVERTING,
            outcome=outcome.value,
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

    # Claims. They are compared on the database's clock only.

    def claimable(self, limit: int, versions: Iterable[int]) -> list[tuple[str, int]]:
        """Id and flow version of live imports of these flow versions that nobody holds, oldest first.

        Nothing else is read: a record that cannot be decoded must not hide the others.
        """
        statement = sa.select(imports.c.id, imports.c.flow_version).where(
            self._unheld(), imports.c.flow_version.in_(list(versions))
        )
        rows = self._connection.execute(statement.order_by(imports.c.created_at, imports.c.id).limit(limit))
        return [(row.id, row.flow_version) for row in rows]

    def claim(self, import_id: str, owner: str, lease: float) -> tuple[Claim, bool] | None:
        """Take the import: one conditional UPDATE that raises the epoch.

        Returns the claim and whether it was taken from an owner who let it expire; None when
        somebody else holds it or it has ended.
        """
        before = self._connection.execute(
            sa.select(imports.c.claim_owner, imports.c.epoch, imports.c.image_id).where(
                imports.c.id == import_id
            )
        ).first()
        if before is None:
            return None
        statement = (
            sa.update(imports)
            .where(imports.c.id == import_id, imports.c.epoch == before.epoch, self._unheld())
            .values(
                claim_owner=owner,
                claim_expires=self._tx.clock + lease,
                epoch=before.epoch + 1,
                started_at=sa.func.coalesce(imports.c.started_at, self._tx.now),
            )
        )
        if self._connection.execute(statement).rowcount != 1:
            return None
        taken = Claim(import_id=import_id, image_id=before.image_id, owner=owner, epoch=before.epoch + 1)
        return taken, before.claim_owner is not None

    def renew(self, claims: Sequence[Claim], lease: float) -> dict[str, ImportState]:
        """Extend the claims; the state of each import that is still held, by id."""
        held = {}
        for claim in claims:
            statement = sa.update(imports).where(*_mine(claim)).values(claim_expires=self._tx.clock + lease)
            if self._connection.execute(statement).rowcount == 1:
                held[claim.import_id] = claim
        if not held:
            return {}
        rows = self._connection.execute(
            sa.select(imports.c.id, imports.c.state).where(imports.c.id.in_(list(held)))
        )
        return {row.id: ImportState(row.state) for row in rows}

    def expire(self, claim: Claim) -> None:
        """Give the claim up as a death would: the step at work counts one interruption more."""
        self._connection.execute(sa.update(imports).where(*_mine(claim)).values(claim_expires=0.0))

    def release(self, claim: Claim) -> bool:
        """Give the claim back, so that anybody may take the import at once."""
        statement = sa.update(imports).where(*_mine(claim)).values(claim_owner=None, claim_expires=None)
        return self._connection.execute(statement).rowcount == 1

    def owner_of(self, import_id: str) -> str | None:
        """Who holds a claim that has not expired."""
        return self._connection.execute(
            sa.select(imports.c.claim_owner).where(
                imports.c.id == import_id, imports.c.claim_expires > self._tx.clock
            )
        ).scalar()

    def count_live(self) -> int:
        """How many imports have no end yet."""
        return self._connection.execute(
            sa.select(sa.func.count()).select_from(imports).where(imports.c.live_image_id.is_not(None))
        ).scalar_one()

    def _unheld(self) -> sa.ColumnElement[bool]:
        return sa.and_(
            imports.c.state.in_([state.value for state in LIVE]),
            sa.or_(imports.c.claim_owner.is_(None), imports.c.claim_expires <= self._tx.clock),
        )

    def _all(self, statement: sa.Select) -> list[Import]:
        return [_import(row) for row in self._connection.execute(statement)]


def _mine(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        imports.c.id == claim.import_id,
        imports.c.epoch == claim.epoch,
        imports.c.claim_owner == claim.owner,
    )


def _plain(name: str, value: object) -> object:
    if isinstance(value, Mapping):
        value = dict(value)
    return documents.dump(value) if name in _DOCUMENTS and value is not None else value


def _row(record: Import) -> dict[str, object]:
    values = {name: _plain(name, getattr(record, name)) for name in _FIELDS}
    return values | {'plan': documents.dump(record.plan.as_json()), 'state': record.state.value}


def _import(row: sa.Row) -> Import:
    values = dict(row._mapping)
    for name in _DOCUMENTS:
        values[name] = documents.load(values[name], None if name in _NULLABLE else {})
    values['plan'] = _plan(values['plan'])
    values['state'] = ImportState(values['state'])
    return Import(**values)


def _plan(text: str) -> Plan | None:
    try:
        return Plan.from_json(documents.load(text))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # the conductor gives such an import up; whoever looks at it still may


def _progress(row: sa.Row) -> dict[str, str]:
    stores: Mapping[str, Mapping[str, object]] = documents.load(row.result, {}).get('stores', {})
    live = ImportState(row.state) in LIVE
    waiting = [store for store, found in stores.items() if found['status'] == 'pending']
    failed = [store for store, found in stores.items() if found['status'] == 'failed']
    properties = {
        'os_glance_importing_to_stores': ','.join(sorted(waiting)) if live else '',
        'os_glance_failed_import': ','.join(sorted(failed)),
    }
    return properties | ({'os_glance_import_task': row.id} if live else {})
