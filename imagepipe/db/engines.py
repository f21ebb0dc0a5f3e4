"""SQLAlchemy engines as imagepipe needs them, one way for each of three databases."""

import sqlite3
from collections.abc import Mapping

import sqlalchemy as sa
from oslo_db.sqlalchemy import exc_filters

#: Execution option of a transaction that only reads (SQLite: no write lock is taken).
READ_ONLY = 'imagepipe_read_only'


def create(
    url: str,
    *,
    translate: bool = True,
    pool_size: int = 5,
    max_overflow: int = 50,
    recycle: int = 3600,
    busy_timeout: float = 8.0,
) -> sa.Engine:
    """An engine; it connects when it is first used.

    translate: errors become oslo.db's exceptions (TaskFlow's persistence needs SQLAlchemy's).
    busy_timeout: seconds a SQLite writer waits for another; below a third of the claims' lease.
    """
    parsed = sa.make_url(url)
    options: dict[str, object] = {'pool_recycle': recycle}
    if parsed.get_backend_name() == 'sqlite':
        options['connect_args'] = {'timeout': busy_timeout, 'check_same_thread': False}
        options['poolclass'] = sa.QueuePool
    else:
        options |= {'isolation_level': 'READ COMMITTED', 'pool_pre_ping': True}
        options['connect_args'] = _network_options(parsed)
    engine = sa.create_engine(parsed, pool_size=pool_size, max_overflow=max_overflow, **options)
    if engine.dialect.name == 'sqlite':
        sa.event.listen(engine, 'connect', _sqlite_connect)
        sa.event.listen(engine, 'begin', _sqlite_begin)
    if translate:
        exc_filters.register_engine(engine)
    return engine


def _network_options(url: sa.URL) -> Mapping[str, object]:
    """A database host that is gone is noticed within seconds, not after the kernel's hours."""
    if url.get_backend_name() == 'postgresql':
        return {
            'connect_timeout': 10,
            'keepalives': 1,
            'keepalives_idle': 10,
            'keepalives_interval': 5,
            'keepalives_count': 3,
        }
    return {'charset': 'utf8mb4', 'connect_timeout': 10, 'read_timeout': 60, 'write_timeout': 60}


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
