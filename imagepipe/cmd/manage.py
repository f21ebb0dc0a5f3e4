"""imagepipe-manage: the database, and imports seen and cancelled from the shell."""

import argparse
import datetime
import logging
import sys
from collections.abc import Callable, Sequence

from oslo_config import cfg

from imagepipe import conf as options
from imagepipe import errors, version
from imagepipe.cmd import imports
from imagepipe.db import migrate, upkeep
from imagepipe.db.database import Database
from imagepipe.domain.import_ import ImportState
from imagepipe.services import Services

#: Rows that are purged in one transaction: other writers of SQLite wait for it.
_PAGE = 100
_UNLIMITED = -1

Command = Callable[[cfg.ConfigOpts], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 with a sentence and its code when it cannot be done."""
    logging.getLogger().addHandler(logging.NullHandler())  # errors are told once, below
    conf = options.new()
    conf.register_cli_opts([cfg.SubCommandOpt('command', handler=_commands, title='commands')])
    try:
        options.load(sys.argv[1:] if argv is None else argv, 'imagepipe-manage', conf)
        if conf.command.name is None:
            return _fail('Say what to do: db or imports; --help shows more.')
        with upkeep.explained():
            return conf.command.does(conf)
    except errors.ImagepipeError as error:
        return _fail(f'{error} ({error.code})')


def _fail(sentence: str) -> int:
    print(f'imagepipe-manage: {sentence}', file=sys.stderr)
    return 1


# The database.


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
    if found is not None:
        print(found)
    if found != wanted:
        raise errors.DatabaseNotSynced(found=found or 'none', wanted=wanted)
    return 0


def purge(conf: cfg.ConfigOpts) -> int:
    """Forget imports that ended, and notifications that were sent, so many days ago."""
    age, most = conf.command.age_in_days, conf.command.max_rows
    with imports.services(conf) as parts:
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


# The command line.


def _commands(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    subparsers.required = False
    _db_commands(subparsers.add_parser('db', help='the database').add_subparsers(
        dest='action', required=True, metavar='sync|version|purge'
    ))  # fmt: skip
    _import_commands(subparsers.add_parser('imports', help='imports').add_subparsers(
        dest='action', required=True, metavar='list|show|cancel'
    ))  # fmt: skip
    subparsers.add_parser('version', help='the release of imagepipe').set_defaults(does=_release)


def _release(_conf: cfg.ConfigOpts) -> int:
    print(version.RELEASE)
    return 0


def _db_commands(parsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    _add(parsers, 'sync', sync, 'bring the database to the revision of this release')
    _add(parsers, 'version', show_version, 'print the revision of the database; 1 when it needs a sync')
    command = _add(parsers, 'purge', purge, 'forget ended imports and sent notifications; images stay')
    command.add_argument(
        '--age_in_days', '--age-in-days', type=_days, default=30, metavar='N',
        help='only what ended or was sent more than N days ago; default: 30',
    )  # fmt: skip
    command.add_argument(
        '--max_rows', '--max-rows', type=_rows, default=100, metavar='M',
        help='at most M imports and M notifications; -1 is all of them; default: 100',
    )  # fmt: skip


def _import_commands(parsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    command = _add(parsers, 'list', imports.show_list, 'list imports, newest first')
    states = [state.value for state in ImportState]
    command.add_argument('--state', choices=states, metavar='STATE', help=', '.join(states))
    command.add_argument('--image', metavar='ID', help='of this image')
    command.add_argument('--owner', metavar='PROJECT', help='of this project')
    command.add_argument('--method', help='such as web-download')
    command.add_argument('--limit', type=_positive, default=50, metavar='N', help='default: 50')
    command.add_argument('--marker', metavar='ID', help='those after this import')
    _format(command)
    command = _add(parsers, 'show', imports.show, 'show an import with its steps and stores')
    command.add_argument('import_id', metavar='ID')
    _format(command)
    command = _add(parsers, 'cancel', imports.cancel, 'cancel an import: it is reverted')
    command.add_argument('import_id', metavar='ID')
    _format(command)


def _add(
    parsers: 'argparse._SubParsersAction[argparse.ArgumentParser]', name: str, does: Command, about: str
) -> argparse.ArgumentParser:
    parser = parsers.add_parser(name, help=about, description=about.capitalize() + '.')
    parser.set_defaults(does=does)
    return parser


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--format', choices=['table', 'json'], default='table', help='default: table')


def _days(text: str) -> int:
    return _number(text, 0, 36500)


def _rows(text: str) -> int:
    return _number(text, _UNLIMITED, 2**31)


def _positive(text: str) -> int:
    return _number(text, 1, 10000)


def _number(text: str, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f'{number} is not between {least} and {most}')
    return number


if __name__ == '__main__':
    sys.exit(main())
