"""Transactions: an operation is a function of one, and may be run again.

`run` repeats an operation after a deadlock, a connection lost before the commit, a busy
database and a lost compare-and-set; so an operation does no HTTP and no store I/O and
changes nothing outside its transaction. A connection lost during the commit itself is not
repeated: nobody knows whether it took effect.
"""

import contextlib
import datetime
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import clock, engines, schema
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import Claim

LOG = logging.getLogger(__name__)
Result = TypeVar('Result')
Operation = Callable[[Transaction], Result]

_CHANGED = (errors.ImageChanged,)


class Database:
    """One database; safe to use from many threads."""

    def __init__(
        self, engine: sa.Engine, *, attempts: int = 12, pause: float = 0.02, patience: float = 20.0
    ) -> None:
        self.engine = engine
        self.now = clock.now(engine.dialect.name)
        self._attempts = attempts
        self._pause = pause
        self._patience = patience
        self._never = threading.Event()
        # SQLite's writers poll for their turn: those of one process had better queue.
        sqlite = engine.dialect.name == 'sqlite'
        self._writer = threading.Lock() if sqlite else contextlib.nullcontext()

    def run(self, operation: Operation) -> Result:
        """Run an operation that may write, in one transaction; returns what it returns.

        Raises what the operation raises; DatabaseUnavailable when the database cannot be used.
        """
        return self._repeat(operation, read_only=False, claim=None)

    def read(self, operation: Operation) -> Result:
        """Run an operation that only reads."""
        return self._repeat(operation, read_only=True, claim=None)

    def fenced(self, claim: Claim) -> 'FencedDatabase':
        """The same database, for whoever holds this claim only."""
        return FencedDatabase(self, claim)

    def _repeat(self, operation: Operation, *, read_only: bool, claim: Claim | None) -> Result:
        until = time.monotonic() + self._patience
        for attempt in range(1, self._attempts + 1):
            try:
                return self._once(operation, read_only=read_only, claim=claim)
            except (*_CHANGED, _Repeatable) as error:
                if attempt == self._attempts or time.monotonic() > until:
                    LOG.warning('A transaction was given up after %s attempts: %s', attempt, error)
                    raise _final(error) from error
                self._never.wait(self._pause * 2 ** min(attempt, 6) * random.random())  # noqa: S311
        raise errors.DatabaseUnavailable()

    def _once(self, operation: Operation, *, read_only: bool, claim: Claim | None) -> Result:
        try:
            with contextlib.nullcontext() if read_only else self._writer, self.engine.connect() as connection:
                connection.execution_options(**{engines.READ_ONLY: read_only})
                with connection.begin() as transaction:
                    if claim is not None:
                        hold(connection, claim)
                    result = operation(Transaction(connection, now=_utcnow(), clock=self.now))
                    if read_only:
                        transaction.rollback()
                        return result
                    return _commit(transaction, result)
        except _REPEATABLE as error:
            raise _Repeatable(str(error)) from error
        except sa.exc.OperationalError as error:
            # From connecting or from BEGIN, which oslo.db's filters do not see: nothing was done yet.
            raise _Repeatable(str(error)) from error
        except db_exc.DBError as error:
            if _is_busy(error):
                raise _Repeatable(str(error)) from error
            raise
        except (sa.exc.TimeoutError, db_exc.CantStartEngineError) as error:
            raise errors.DatabaseUnavailable() from error


class FencedDatabase:
    """Runs operations only while the claim is held; otherwise raises ClaimLost and writes nothing."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self._database = database
        self.claim = claim

    def run(self, operation: Operation) -> Result:
        """As Database.run, with the epoch checked first, in the same transaction."""
        return self._database._repeat(operation, read_only=False, claim=self.claim)

    def read(self, operation: Operation) -> Result:
        """As Database.read; reading needs no claim."""
        return self._database.read(operation)


def hold(connection: sa.Connection, claim: Claim) -> None:
    """Lock the import's row and check that the claim is still ours. Raises ClaimLost."""
    imports = schema.imports
    statement = (
        sa.select(imports.c.epoch)
        .where(
            imports.c.id == claim.import_id,
            imports.c.epoch == claim.epoch,
            imports.c.claim_owner == claim.owner,
        )
        .with_for_update(key_share=True)
    )
    if connection.execute(statement).first() is None:
        raise errors.ClaimLost(import_id=claim.import_id)


class _Repeatable(Exception):
    """The transaction did not take effect and may be run again."""


_REPEATABLE = (db_exc.DBDeadlock, db_exc.DBConnectionError)


def _commit(transaction: sa.RootTransaction, result: Result) -> Result:
    try:
        transaction.commit()
    except db_exc.DBConnectionError as error:
        # The row may be there or not; repeating could do it twice.
        LOG.error('The connection to the database broke during a commit: %s', error)
        raise errors.DatabaseUnavailable() from error
    return result


def _is_busy(error: Exception) -> bool:
    text = str(error)
    return 'database is locked' in text or 'database table is locked' in text


def _final(error: Exception) -> Exception:
    return error if isinstance(error, errors.ImagepipeError) else errors.DatabaseUnavailable()


def _utcnow() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
