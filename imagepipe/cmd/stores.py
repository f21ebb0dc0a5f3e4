"""imagepipe-manage stores: which of them can be used, and the removal of objects that nobody owns."""

from collections.abc import Mapping

from oslo_config import cfg

from imagepipe import errors
from imagepipe.cmd import commands, finds, tables
from imagepipe.domain.store_state import StoreHealth
from imagepipe.operations import garbage, stores
from imagepipe.services import Services
from imagepipe.stores import asking
from imagepipe.stores.store import Store

_HEADERS = ('STORE', 'TYPE', 'DEFAULT', 'WRITABLE', 'STATE', 'PROBLEM', 'DOWN ON')


def declare(nouns: commands.Parsers) -> None:
    """The commands of the stores."""
    parsers = commands.noun(nouns, 'stores', 'the stores')
    about = 'ask each store whether it can be used; 1 when one cannot'
    commands.add_format(commands.add(parsers, 'check', check, about))
    command = finds.add_gc(
        parsers, collect, 'remove what imports left in the stores; 1 when one cannot be listed, or keeps it'
    )
    command.add_argument(
        '--unknown', action='store_true',
        help='also objects that no record has named for [staging] grace seconds: be sure that no other '
        'cloud keeps its images in this store',
    )  # fmt: skip
    command.add_argument('--store', metavar='ID', help='in this store only')


def check(conf: cfg.ConfigOpts) -> int:
    """Print how each store answers, here and to conductors, and those that only locations name."""
    with commands.services(conf) as parts:
        states = stores.states(parts)
        answers = asking.ask(parts.stores.all.values(), conf.conductor.store_check_timeout)
        found = [
            _shown(parts, store, answers[store.id], states[store.id]) for store in parts.stores.all.values()
        ]
        named = parts.db.read(lambda tx: tx.locations.stores())
        found += [_not_configured(store) for store in named if store not in parts.stores]
    if conf.command.format == 'json':
        finds.print_json({'stores': found})
    else:
        print(tables.table(_HEADERS, [_row(store) for store in found]))
    return int(any(store['state'] != 'ok' for store in found))


def _shown(
    parts: Services, store: Store, problem: errors.ImagepipeError | None, health: StoreHealth
) -> dict[str, object]:
    return {
        'id': store.id,
        'type': store.type,
        'default': store.id == parts.stores.default,
        'writable': not store.read_only,
        'state': 'ok' if problem is None else problem.code.rpartition('.')[2],
        'code': problem and problem.code,
        'problem': problem and problem.message,
        'down_on': [] if health.usable else list(health.hosts),
    }


def _not_configured(store: str) -> dict[str, object]:
    error = errors.StoreNotConfigured(store=store)
    return {
        'id': store, 'type': None, 'default': False, 'writable': False,
        'state': 'not_configured', 'code': error.code,
        'problem': f'{error.message} Locations of images name it.', 'down_on': [],
    }  # fmt: skip


def _row(store: Mapping[str, object]) -> tuple[object, ...]:
    flags = ('yes' if store[name] else 'no' for name in ('default', 'writable'))
    down_on = ', '.join(store['down_on']) or None
    return (store['id'], store['type'], *flags, store['state'], store['problem'], down_on)


def collect(conf: cfg.ConfigOpts) -> int:
    """Remove objects that nobody owns, or say what that would be. Raises UnknownStore."""
    asked, gone, silent = conf.command, [], []
    with commands.services(conf) as parts:
        for store in _chosen(parts, asked.store):
            try:
                gone += _collected(parts, store, dry=asked.dry_run, unknown=asked.unknown)
            except errors.ImagepipeError as error:
                silent.append({'store': store.id, 'code': error.code, 'problem': error.message})
        grace = parts.conf.staging.grace
    return finds.report(conf, gone, grace=grace, silent=silent, unknown=asked.unknown)


def _chosen(parts: Services, store_id: str | None) -> list[Store]:
    writable = parts.stores.writable()
    if parts.stores.staging is not None:
        writable[parts.stores.staging.id] = parts.stores.staging
    if store_id is None:
        return list(writable.values())
    if store_id not in writable:
        raise errors.UnknownStore(store=store_id)
    return [writable[store_id]]


def _collected(parts: Services, store: Store, *, dry: bool, unknown: bool) -> list[dict[str, object]]:
    found = [find for find in garbage.stored(parts, store) if find.standing in garbage.NOBODYS]
    due = [find for find in found if find.due and (unknown or find.standing is not garbage.Standing.UNKNOWN)]
    removals = garbage.remove_all(parts, [] if dry else due, store=store)
    return finds.collected(found, removals, store=store.id)
