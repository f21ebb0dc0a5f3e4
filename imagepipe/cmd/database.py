"""imagepipe-manage db: the database brought up to date, and relieved of what is old."""

import datetime
import json
from collections.abc import Callable

from oslo_config import cfg

from imagepipe import errors
from imagepipe.cmd import commands, import_glance, metadefs
from imagepipe.db import migrate, upkeep
from imagepipe.db.database import Database
from imagepipe.services import Services

#: Rows that are purged in one transaction: other writers of SQLite wait for it.
_PAGE = 100
_UNLIMITED = -1


def declare(nouns: commands.Parsers) -> None:
    """The commands of the database, and of what is loaded into it."""
    parsers = commands.noun(nouns, 'db', 'the database')
    commands.add(parsers, 'sync', sync, 'bring the database to the revision of this release')
    about = 'print the revision of the database; 1 when it is not that of this release'
    commands.add_format(commands.add(parsers, 'version', show_version, about))
    about = 'forget ended imports and sent notifications; images stay'
    command = commands.add(parsers, 'purge', purge, about)
    command.add_argument(
        '--age_in_days', '--age-in-days', type=commands.number(0, 36500), default=30, metavar='N',
        help='only what ended or was sent more than N days ago; default: 30',
    )  # fmt: skip
    command.add_argument(
        '--max_rows', '--max-rows', type=commands.number(_UNLIMITED, 2**31), default=100, metavar='M',
        help='at most M imports and M notifications; -1 is all of them; default: 100',
    )  # fmt: skip
    metadefs.declare(parsers)
    import_glance.declare(parsers)


def sync(conf: cfg.ConfigOpts) -> int:
    """Bring the database to this release's revision."""
    before, after = upkeep.sync(_url(conf))
    if before == after:
        print(f'The database was at revision {after} already.')
    else:
        print(f'The database is at revision {after} now; it was at {before or "none"}.')
    return 0


def show_version(conf: cfg.ConfigOpts) -> int:
    """Print the database's revision; 1 when it is not the one that this release needs."""
    found, wanted = upkeep.version(_url(conf)), migrate.head()
    if conf.command.format == 'json':
        print(json.dumps({'revision': found, 'needed': wanted}, indent=2))
    elif found is not None:
        print(found)
    upkeep.check_revision(found)
    return 0


def purge(conf: cfg.ConfigOpts) -> int:
    """Forget imports that ended, and notifications that were sent, so many days ago."""
    age, most = conf.command.age_in_days, conf.command.max_rows
    with commands.services(conf) as parts:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        before = now - datetime.timedelta(days=age)
        gone = _purged(parts, upkeep.purge_imports, before, most)
        sent = _purged(parts, upkeep.purge_notifications, before, most)
    print(f'Forgotten: {gone} imports that ended and {sent} notifications that were sent '
          f'before {before:%Y-%m-%d %H:%M} UTC.')  # fmt: skip
    if most != _UNLIMITED and most in (gone, sent):
        print('That is as many as --max_rows allows; there may be more.')
    return 0


def _purged(parts: Services, remove: Callable[..., int], before: datetime.datetime, most: int) -> int:
    """Remove page by page, each in its own transaction; how many rows."""
    removed = 0
    while most == _UNLIMITED or removed < most:
        page = _PAGE if most == _UNLIMITED else min(_PAGE, most - removed)
        found = _page(parts.db, remove, before, page)
        removed += found
        if found < page:
            break
    return removed


def _page(db: Database, remove: Callable[..., int], before: datetime.datetime, page: int) -> int:
    return db.run(lambda tx: remove(tx, before, page))


def _url(conf: cfg.ConfigOpts) -> str:
    if not conf.database.connection:
        raise errors.ConfigurationInvalid(reason='[database] connection is not set')
    return conf.database.connection
