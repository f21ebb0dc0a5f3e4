"""Transactions: an operation is a function of one, and may be run again.

`run` repeats an operation after a deadlock, a connection lost before the commit, a busy database
and a lost compare-and-set, and while its image is being deleted or its last import ended; so an
operation does no HTTP and no store I/O and changes nothing outside its transaction. A connection lost
during the commit itself is not repeated: nobody knows whether it took effect.
"""

import contextlib
import datetime
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import claims, clock, engines
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import Claim

LOG = logging.getLogger(__name__)
Result = TypeVar('Result')
Operation = Callable[[Transaction], Result]

#: Seconds for which an operation is repeated by a process that is ending.
_HURRIED = 1.0
_CHANGED = (errors.ImageChanged, errors.ImageBeingDeleted, errors.ImportEnding)


class Database:
    """One database; safe to use from many threads.

    reading: an engine of autocommitting connections, for what only reads.
    """

    def __init__(
        self,
        engine: sa.Engine,
        reading: sa.Engine,
        *,
        attempts: int = 12,
        pause: float = 0.02,
        patience: float = 20.0,
    ) -> None:
        self.engine = engine
        self._reading = reading
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
        return self._repeat(lambda: self._once(operation, None))

    def read(self, operation: Operation) -> Result:
        """Run an operation that only reads, by one statement: a second one would see another moment."""
        return self._repeat(lambda: self._look(operation))

    def snapshot(self, operation: Operation) -> Result:
        """Run an operation that only reads, by statements that all see the same moment."""
        return self._repeat(lambda: self._look(operation, engines.snapshot))

    @property
    def engines(self) -> Sequence[sa.Engine]:
        """Every engine in use: for whoever listens to statements."""
        return self.engine, self._reading

    def close(self) -> None:
        """Let go of the connections."""
        for engine in self.engines:
            engine.dispose()

    def hurry(self) -> None:
        """The process is ending: from now on a database that is away is not waited for much longer."""
        self._patience = min(self._patience, _HURRIED)

    def fenced(self, claim: Claim) -> 'FencedDatabase':
        """The same database, for whoever holds this claim only."""
        return FencedDatabase(self, claim)

    def _repeat(self, operate: Callable[[], Result]) -> Result:
        began = time.monotonic()
        for attempt in range(1, self._attempts + 1):
            try:
                return operate()
            except (*_CHANGED, _Repeatable) as error:
                if attempt == self._attempts or time.monotonic() > began + self._patience:
                    LOG.warning('A transaction was given up after %s attempts: %s', attempt, error)
                    raise _final(error) from error
                LOG.debug('A transaction is run again: %s', type(error.__cause__ or error).__name__)
                self._never.wait(self._pause * 2 ** min(attempt, 6) * random.random())  # noqa: S311
        raise errors.DatabaseUnavailable()

    def _look(
        self,
        operation: Operation,
        within: Callable[[sa.Connection], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> Result:
        with _translated(), self._reading.connect() as connection, within(connection):
            return operation(Transaction(connection, now=_utcnow(), clock=self.now))

    def _once(self, operation: Operation, claim: Claim | None) -> Result:
        with (
            _translated(),
            self._writer,
            self.engine.connect() as connection,
            _writable(connection),
            connection.begin() as transaction,
        ):
            if claim is not None:
                hold(connection, claim)
            result = operation(Transaction(connection, now=_utcnow(), clock=self.now))
            return _commit(transaction, result)


class FencedDatabase:
    """Runs operations only while the claim is held; otherwise raises ClaimLost and writes nothing."""

    def __init__(self, database: Database, claim: Claim) -> None:
        self._database = database
        self.claim = claim

    def run(self, operation: Operation) -> Result:
        """As Database.run, with the epoch checked first, in the same transaction."""
        return self._database._repeat(lambda: self._database._once(operation, self.claim))

    def read(self, operation: Operation) -> Result:
        """As Database.read; reading needs no claim."""
        return self._database.read(operation)


def hold(connection: sa.Connection, claim: Claim) -> None:
    """Lock the import's row and check that the claim is still ours. Raises ClaimLost."""
    if connection.execute(claims.HELD, claims.whose(claim)).first() is None:
        raise errors.ClaimLost(import_id=claim.import_id)


class _Repeatable(Exception):
    """The transaction did not take effect and may be run again."""


#: What the database says of a statement that it does not take, such as one about a table that is not there.
REFUSALS = (db_exc.DBError, sa.exc.DBAPIError)

#: What a server says that does not write: PostgreSQL's code, and MySQL's and MariaDB's two.
_READ_ONLY = frozenset({'25006', 1290, 1836})

_REPEATABLE = (db_exc.DBDeadlock, db_exc.DBConnectionError)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raises _Repeatable for what did not take effect and may be run again, DatabaseUnavailable."""
    try:
        yield
    except _REPEATABLE as error:
        raise _Repeatable(_said(error)) from error
    except sa.exc.OperationalError as error:
        # From connecting or from BEGIN, which oslo.db's filters do not see: nothing was done yet.
        raise _Repeatable(_said(error)) from error
    except db_exc.DBError as error:
        if _is_busy(error):
            raise _Repeatable(_said(error)) from error
        raise
    except (sa.exc.TimeoutError, db_exc.CantStartEngineError) as error:
        raise errors.DatabaseUnavailable() from error


@contextlib.contextmanager
def _writable(connection: sa.Connection) -> Iterator[None]:
    """A server that only reads is one that was, or will be, the other half of a failover: ask again, anew."""
    try:
        yield
    except (db_exc.DBError, sa.exc.OperationalError) as error:
        if not _READ_ONLY & _codes(error):
            raise
        connection.invalidate()
        raise _Repeatable(_said(error)) from error


def _codes(error: Exception) -> set[object]:
    """The driver's codes of an error, however it is wrapped."""
    cause = getattr(error, 'inner_exception', error)
    original = getattr(cause, 'orig', None)
    return {getattr(original, 'pgcode', None), *getattr(original, 'args', ())[:1]}


def _commit(transaction: sa.RootTransaction, result: Result) -> Result:
    try:
        transaction.commit()
    except db_exc.DBConnectionError as error:
        # The row may be there or not; repeating could do it twice.
        LOG.error('The connection to the database broke during a commit: %s', error)
        raise errors.DatabaseUnavailable() from error
    return result


def _said(error: Exception) -> str:
    """What the driver said, without its advice and the statement."""
    return str(error).partition('\n')[0]


def _is_busy(error: Exception) -> bool:
    text = str(error)
    return 'database is locked' in text or 'database table is locked' in text


def _final(error: Exception) -> Exception:
    return error if isinstance(error, errors.ImagepipeError) else errors.DatabaseUnavailable()


def _utcnow() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
