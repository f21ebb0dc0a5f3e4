"""SQLAlchemy engines as imagepipe needs them, one way for each of three databases."""

import contextlib
import functools
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa
from oslo_db import exception as db_exc
from oslo_db.sqlalchemy import exc_filters

#: Execution option of a transaction that only reads (SQLite: no write lock is taken).
READ_ONLY = 'imagepipe_read_only'

#: Seconds for which an answer of MariaDB or MySQL is waited for.
ANSWER = 60

#: MariaDB's needs a session at REPEATABLE READ, which the engine sees to.
BEGIN_SNAPSHOT = {
    'sqlite': 'BEGIN',
    'postgresql': 'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY',
    'mysql': 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY',
    'mariadb': 'START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY',
}


def create(
    url: str,
    *,
    translate: bool = True,
    reading: bool = False,
    pool_size: int = 5,
    max_overflow: int = 50,
    recycle: int = 3600,
    busy_timeout: float = 8.0,
    silence: float | None = None,
) -> sa.Engine:
    """An engine; it connects when it is first used.

    translate: errors become oslo.db's exceptions (TaskFlow's persistence needs SQLAlchemy's).
    reading: for what only reads. Each statement sees what is committed, as it does at READ
    COMMITTED, and takes one round trip: there is no BEGIN, and nothing to roll back. Within
    snapshot() all of them see one moment. Writing fails.
    busy_timeout: seconds a SQLite writer waits for another; below a third of the claims' lease.
    silence: seconds after which the server ends a transaction whose client says nothing, so that no host
    that was cut off or froze keeps others from its rows. MySQL, unlike MariaDB, cannot do it.
    """
    parsed = sa.make_url(url)
    # A transaction is always ended by whoever began it, so the pool need not ask the server to.
    options: dict[str, object] = {'pool_recycle': recycle, 'pool_reset_on_return': None}
    if reading:
        options |= {'isolation_level': 'AUTOCOMMIT', 'skip_autocommit_rollback': True}
    if parsed.get_backend_name() == 'sqlite':
        options['connect_args'] = {'timeout': busy_timeout, 'check_same_thread': False}
        options['poolclass'] = sa.QueuePool
    else:
        # Database repeats what met a connection that is gone; TaskFlow does not.
        options = {'isolation_level': 'READ COMMITTED', 'pool_pre_ping': not translate, **options}
        options['connect_args'] = _network_options(parsed) | _session_options(
            parsed, reading=reading, silence=silence
        )
    engine = sa.create_engine(parsed, pool_size=pool_size, max_overflow=max_overflow, **options)
    if engine.dialect.name in ('mysql', 'mariadb') and silence is not None:
        sa.event.listen(engine, 'connect', functools.partial(_mariadb_connect, max(1, round(silence))))
    if engine.dialect.name == 'sqlite':
        sa.event.listen(engine, 'connect', _sqlite_connect)
        if reading:
            sa.event.listen(engine, 'connect', _sqlite_read_only)
        else:
            sa.event.listen(engine, 'begin', _sqlite_begin)
    if translate:
        exc_filters.register_engine(engine)
    return engine


def be_patient(engine: sa.Engine) -> None:
    """Its statements take as long as they take, as those must that change a schema."""

    def connect(_dialect: object, _record: object, _args: object, options: dict[str, object]) -> None:
        for name in ('read_timeout', 'write_timeout'):
            options.pop(name, None)

    sa.event.listen(engine, 'do_connect', connect)


def bearable_silence(lease: float) -> float:
    """Seconds for create(): a claim of this lease is taken over after the lease and these, at the latest."""
    return max(1.0, lease / 2)


@contextlib.contextmanager
def snapshot(connection: sa.Connection) -> Iterator[None]:
    """Every statement within sees the same moment. The connection is of an engine for reading."""
    try:
        connection.exec_driver_sql(BEGIN_SNAPSHOT[connection.dialect.name])
        yield
        connection.exec_driver_sql('COMMIT')
    except BaseException:
        _leave(connection)
        raise


def _leave(connection: sa.Connection) -> None:
    """The pool ends no transaction, so a connection that may still be in one does not go back to it."""
    if connection.invalidated:
        return
    try:
        connection.exec_driver_sql('ROLLBACK')
    except (sa.exc.SQLAlchemyError, db_exc.DBError):
        connection.invalidate()


def _network_options(url: sa.URL) -> dict[str, object]:
    """A database host that is gone is noticed within seconds, not after the kernel's hours."""
    if url.get_backend_name() == 'postgresql':
        return {
            'connect_timeout': 10,
            'keepalives': 1,
            'keepalives_idle': 10,
            'keepalives_interval': 5,
            'keepalives_count': 3,
            # Keepalives are for connections at rest: what was sent and not acknowledged has its own limit.
            'tcp_user_timeout': 25_000,
        }
    return {'charset': 'utf8mb4', 'connect_timeout': 10, 'read_timeout': ANSWER, 'write_timeout': ANSWER}


def _session_options(url: sa.URL, *, reading: bool, silence: float | None) -> dict[str, object]:
    if url.get_backend_name() == 'postgresql':
        settings = {
            'default_transaction_read_only': 'on' if reading else None,
            'idle_in_transaction_session_timeout': None if silence is None else round(silence * 1000),
        }
        given = [f'-c {name}={value}' for name, value in settings.items() if value is not None]
        return {'options': ' '.join(given)} if given else {}
    snapshots = 'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY'
    return {'init_command': snapshots} if reading else {}


def _mariadb_connect(silence: int, connection: object, _record: object) -> None:
    if 'MariaDB' in connection.get_server_info():
        with connection.cursor() as cursor:
            cursor.execute('SET SESSION idle_transaction_timeout = %s', (silence,))


def _sqlite_read_only(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute('PRAGMA query_only=ON')


def _sqlite_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # BEGIN is ours to send
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode=WAL')
    # NORMAL may forget a committed 202 when the power goes.
    cursor.execute('PRAGMA synchronous=FULL')
    cursor.execute('PRAGMA foreign_keys=ON')
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    # A deferred transaction that reads and then writes fails at once when another wrote in between.
    reading = connection.get_execution_options().get(READ_ONLY)
    connection.exec_driver_sql('BEGIN' if reading else 'BEGIN IMMEDIATE')
