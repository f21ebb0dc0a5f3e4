"""imagepipe-manage imports: what is at work, where it stands, and an end to it."""

import contextlib
import json
from collections.abc import Iterator, Mapping

from oslo_config import cfg

from imagepipe import context
from imagepipe.api.views import imports as views
from imagepipe.cmd import display, outcome, tables
from imagepipe.db import upkeep
from imagepipe.domain.import_ import ImportQuery
from imagepipe.operations import imports
from imagepipe.services import Services

_HEADERS = ('ID', 'IMAGE', 'METHOD', 'STATE', 'STEP', 'CREATED', 'ERROR')
_AT_WORK = ('running', 'reverting')


@contextlib.contextmanager
def services(conf: cfg.ConfigOpts) -> Iterator[Services]:
    """The parts of the service, over a database of this release. Raises DatabaseNotSynced."""
    parts = Services.build(conf)
    try:
        upkeep.check(conf.database.connection)
        yield parts
    finally:
        parts.close()


def show_list(conf: cfg.ConfigOpts) -> int:
    """Print a page of imports, newest first."""
    asked = conf.command
    query = ImportQuery(
        limit=asked.limit, marker=asked.marker, state=asked.state, image_id=asked.image,
        method=asked.method, owner=asked.owner,
    )  # fmt: skip
    with services(conf) as parts:
        found = [views.import_(record) for record in imports.search(parts, context.system(), query)]
    if asked.format == 'json':
        _print_json({'imports': found})
    elif not found:
        print('There are no such imports.')
    else:
        print(tables.table(_HEADERS, [_row(record) for record in found]))
        if len(found) == asked.limit:
            print(f'\nThere may be more: --marker {found[-1]["id"]}')
    return 0


def show(conf: cfg.ConfigOpts) -> int:
    """Print one import. Raises ImportNotFound."""
    with services(conf) as parts:
        record = views.import_(imports.get(parts, context.system(), conf.command.import_id))
    _print(conf, record)
    return 0


def cancel(conf: cfg.ConfigOpts) -> int:
    """Decide that an import is reverted. Raises ImportNotFound, ImportNotCancellable."""
    with services(conf) as parts:
        record = views.import_(imports.cancel(parts, context.system(), conf.command.import_id))
    if conf.command.format == 'json':
        _print_json(record)
    else:
        print(f'Import {record["id"]} is {record["state"]}; a conductor undoes its steps.')
    return 0


def _print(conf: cfg.ConfigOpts, record: Mapping[str, object]) -> None:
    if conf.command.format == 'json':
        _print_json(record)
    else:
        print(_shown(record))


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _row(record: Mapping[str, object]) -> tuple[object, ...]:
    return (
        record['id'], record['image_id'], record['method'], record['state'], _step(record),
        _moment(record['created_at']), (record['error'] or {}).get('code'),
    )  # fmt: skip


def _step(record: Mapping[str, object]) -> str | None:
    """Where it stands, or stood when it failed."""
    for row in display.rows_of(record):
        if row.state in _AT_WORK:
            percent = '' if row.fraction is None else f' {row.fraction:.0%}'
            return f'{row.name}{percent}'
    return (record['error'] or {}).get('step')


def _shown(record: Mapping[str, object]) -> str:
    parts = [tables.attributes(_attributes(record)), '', _steps(record), '', outcome.stores(record)]
    error = record['error']
    if error is not None:
        parts += ['', tables.attributes({
            'error': error['code'], 'message': error['message'], 'step': error['step'],
        })]  # fmt: skip
    return '\n'.join(parts)


def _attributes(record: Mapping[str, object]) -> Mapping[str, object]:
    source = record['source']
    return {
        'import': record['id'],
        'image': record['image_id'],
        'state': record['state'],
        'method': record['method'],
        'source': source['url'],
        'source size': tables.exact(source['size']),
        **{f'source {name}': value for name, value in source['digests'].items()},
        **{f'expected {name}': value for name, value in record['expected'].items()},
        'format found': record['detected_format'],
        'owner': record['owner'],
        'user': record['user_id'],
        'request': record['request_id'],
        'created': _moment(record['created_at']),
        'started': _moment(record['started_at']),
        'updated': _moment(record['updated_at']),
        'finished': _moment(record['finished_at']),
    }


def _steps(record: Mapping[str, object]) -> str:
    rows = zip(display.rows_of(record), record['steps'], strict=True)
    return tables.table(
        ['STEP', 'STATE', 'TRY', 'PROGRESS', 'STARTED', 'TIME', 'WORKER', 'ERROR'],
        [
            [row.name, row.state, row.attempt or None, _progress(row), _time(step['started_at']),
             tables.duration(row.seconds), _worker(step['worker']), row.error]
            for row, step in rows
        ],
    )  # fmt: skip


def _progress(row: display.Row) -> str | None:
    if row.fraction is None:
        return tables.size(row.done)
    return f'{tables.size(row.done)} of {tables.size(row.total)}'


def _worker(name: str | None) -> str | None:
    """host:pid; the rest of the name only makes it unique."""
    return None if name is None else ':'.join(name.split(':')[:2])


def _moment(moment: str | None) -> str | None:
    return None if moment is None else f'{moment[:10]} {moment[11:19]}'


def _time(moment: str | None) -> str | None:
    return None if moment is None else moment[11:23]
