"""What an operator does to a database as a whole: bring it up to date, and forget what is old.

Errors of the driver come out as DatabaseUnusable, with the driver's own words.
"""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import migrate
from imagepipe.db.schema import import_steps, imports, outbox
from imagepipe.domain.import_ import ENDED

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: TaskFlow's tables, as far as removing rows needs them.
_ATOMS = sa.table('atomdetails', sa.column('parent_uuid'))
_FLOWS = sa.table('flowdetails', sa.column('uuid'))
_BOOKS = sa.table('logbooks', sa.column('uuid'))


def sync(url: str) -> tuple[str | None, str]:
    """Bring the database to this release; its revision before and after.

    Raises DatabaseUnusable, DatabaseNewer.
    """
    before = version(url)
    if before is not None and not migrate.knows(before):
        raise errors.DatabaseNewer(found=before)
    with explained():
        migrate.sync(url)
    return before, migrate.head()


def version(url: str) -> str | None:
    """The database's revision, None when it has none. Raises DatabaseUnusable."""
    with explained():
        return migrate.version(url)


def check(url: str) -> None:
    """The database is at this release's revision.

    Raises DatabaseUnusable, DatabaseNotSynced, DatabaseNewer.
    """
    check_revision(version(url))


def check_revision(found: str | None) -> None:
    """It is this release's. Raises DatabaseNotSynced, DatabaseNewer."""
    wanted = migrate.head()
    if found is not None and not migrate.knows(found):
        raise errors.DatabaseNewer(found=found)
    if found != wanted:
        raise errors.DatabaseNotSynced(found=found or 'none', wanted=wanted)


def purge_imports(tx: 'Transaction', before: datetime.datetime, limit: int) -> int:
    """Forget the oldest imports that ended before a time, TaskFlow's records of them too; how many.

    Images, locations and tombstones stay as they are, and imports whose trusts have not ended yet.
    """
    statement = (
        sa.select(imports.c.id, imports.c.flow_id, imports.c.logbook_id)
        .where(
            imports.c.state.in_([state.value for state in ENDED]),
            imports.c.finished_at < before,
            imports.c.trust_id.is_(None),
        )
        .order_by(imports.c.finished_at)
        .limit(limit)
    )
    found = tx.connection.execute(statement).all()
    if not found:
        return 0
    _remove(tx, _ATOMS.c.parent_uuid, [row.flow_id for row in found])
    _remove(tx, _FLOWS.c.uuid, [row.flow_id for row in found])
    _remove(tx, _BOOKS.c.uuid, [row.logbook_id for row in found])
    _remove(tx, import_steps.c.import_id, [row.id for row in found])
    _remove(tx, imports.c.id, [row.id for row in found])
    return len(found)


def purge_notifications(tx: 'Transaction', before: datetime.datetime, limit: int) -> int:
    """Forget notifications that were sent before a time; how many. What is unsent stays."""
    statement = sa.select(outbox.c.id).where(outbox.c.sent_at < before).order_by(outbox.c.id).limit(limit)
    found = list(tx.connection.execute(statement).scalars())
    if found:
        _remove(tx, outbox.c.id, found)
    return len(found)


def _remove(tx: 'Transaction', column: sa.ColumnElement, values: Sequence[object]) -> None:
    tx.connection.execute(sa.delete(column.table).where(column.in_(values)))


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """The driver's errors inside come out as DatabaseUnusable, an unusable URL as ConfigurationInvalid."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise errors.DatabaseUnusable(reason=_first_line(error.orig)) from error
    except db_exc.DBError as error:
        raise errors.DatabaseUnusable(reason=_first_line(error.inner_exception or error)) from error
    except errors.DatabaseUnavailable as error:
        raise errors.DatabaseUnusable(reason=_first_line(error.__cause__ or error)) from error
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise errors.ConfigurationInvalid(reason=f'[database] connection: {_first_line(error)}') from error


def _first_line(error: object) -> str:
    """The driver's sentence; PyMySQL's errors are a number and a sentence."""
    told = getattr(getattr(error, 'orig', None) or error, 'args', ())
    words = told[-1] if told and isinstance(told[-1], str) else str(error)
    return (words.strip().splitlines() or [type(error).__name__])[0]
