"""Bringing a database to this release's schema: ours by alembic, TaskFlow's by its own migrations."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic import command, config, script
from alembic.runtime import migration
from taskflow.persistence.backends import impl_sqlalchemy

from imagepipe import errors
from imagepipe.db import engines

LOG = logging.getLogger(__name__)

#: TaskFlow keeps its own version in `alembic_version`; ours must not meet it.
VERSION_TABLE = 'imagepipe_alembic_version'
_LOCK = 'imagepipe_db_sync'
#: Seconds between two lines of the log that tell of another sync.
LOCK_WAIT = 60
#: A number for PostgreSQL's advisory lock that nobody else is likely to use.
_LOCK_NUMBER = 0x696D61676570

#: Without them, reading one flow costs a scan of everything that TaskFlow ever recorded.
TASKFLOW_INDEXES = {
    'ix_imagepipe_flowdetails_parent': ('flowdetails', 'parent_uuid'),
    'ix_imagepipe_atomdetails_parent': ('atomdetails', 'parent_uuid'),
}


def sync(url: str) -> None:
    """Upgrade to the newest revision; one at a time, however many start it together.

    Raises DatabaseUnusable.
    """
    engine = engines.create(url, translate=False)
    engines.be_patient(engine)
    try:
        with _locked(engine):
            taskflow(engine)
            _index_taskflow(engine)
            _upgrade(engine)
    finally:
        engine.dispose()


def taskflow(engine: sa.Engine) -> None:
    """Upgrade TaskFlow's own tables."""
    impl_sqlalchemy.SQLAlchemyBackend({}, engine=engine).get_connection().upgrade()


def version(url: str) -> str | None:
    """The revision that the database is at; None when it was never synced."""
    engine = engines.create(url, translate=False)
    try:
        with engine.connect() as connection:
            context = migration.MigrationContext.configure(connection, opts={'version_table': VERSION_TABLE})
            return context.get_current_revision()
    finally:
        engine.dispose()


def head() -> str:
    """The revision of this release."""
    return script.ScriptDirectory.from_config(_config()).get_current_head()


def knows(revision: str) -> bool:
    """Whether it is a revision of this release or of one before it."""
    known = script.ScriptDirectory.from_config(_config()).walk_revisions()
    return revision in {each.revision for each in known}


def _upgrade(engine: sa.Engine) -> None:
    settings = _config()
    with engine.begin() as connection:
        settings.attributes['connection'] = connection
        command.upgrade(settings, 'head')


def _config() -> config.Config:
    settings = config.Config()
    settings.set_main_option('script_location', str(Path(__file__).parent / 'migrations'))
    return settings


def _index_taskflow(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        inspector = sa.inspect(connection)
        for name, (table, column) in TASKFLOW_INDEXES.items():
            if name not in {index['name'] for index in inspector.get_indexes(table)}:
                connection.exec_driver_sql(f'CREATE INDEX {name} ON {table} ({column})')


def _lock_mariadb(connection: sa.Connection) -> None:
    # It is silent while another connection migrates, however low the server's own limit of that is.
    connection.exec_driver_sql('SET SESSION wait_timeout = 604800')
    while (got := connection.scalar(sa.select(sa.func.get_lock(_LOCK, LOCK_WAIT)))) == 0:
        LOG.warning('Another db sync is at work; this one waits for it')
    if got is None:
        raise errors.DatabaseUnusable(reason='the lock of db sync cannot be had')


@contextlib.contextmanager
def _locked(engine: sa.Engine) -> Iterator[None]:
    """An advisory lock where the database has one; SQLite's writers wait for each other anyhow."""
    with engine.connect() as connection:
        if engine.dialect.name == 'postgresql':
            connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK_NUMBER)))
        elif engine.dialect.name in ('mysql', 'mariadb'):
            _lock_mariadb(connection)
        else:
            connection.rollback()
        try:
            yield
        finally:
            if engine.dialect.name == 'postgresql':
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK_NUMBER)))
            elif engine.dialect.name in ('mysql', 'mariadb'):
                connection.execute(sa.select(sa.func.release_lock(_LOCK)))
