"""imagepipe-manage imports: what is at work, where it stands, and an end to it."""

import datetime
import json
from collections.abc import Mapping

from oslo_config import cfg

from imagepipe import context
from imagepipe.api.views import imports as views
from imagepipe.cmd import commands, import_record, tables
from imagepipe.domain.import_ import ImportQuery, ImportState
from imagepipe.operations import imports, retries

_HEADERS = ('ID', 'IMAGE', 'METHOD', 'STATE', 'STEP', 'OWNER', 'CREATED', 'ERROR')


def declare(nouns: commands.Parsers) -> None:
    """The commands of imports."""
    parsers = commands.noun(nouns, 'imports', 'imports')
    command = commands.add(parsers, 'list', show_list, 'list imports, newest first')
    states = [state.value for state in ImportState]
    command.add_argument('--state', choices=states, metavar='STATE', help=', '.join(states))
    command.add_argument('--image', metavar='ID', help='of this image')
    command.add_argument('--owner', metavar='PROJECT', help='of this project')
    command.add_argument('--method', help='such as web-download')
    commands.add_limit(command)
    command.add_argument('--marker', metavar='ID', help='those after this import')
    commands.add_format(command)
    for name, does, about in (
        ('show', show, 'show an import with its steps and stores'),
        ('cancel', cancel, 'cancel an import: it is reverted'),
        ('retry', retry, 'ask once more for an import that failed or was cancelled'),
        ('release', release, 'take an import away from the worker that has it'),
    ):
        command = commands.add(parsers, name, does, about)
        command.add_argument('import_id', metavar='ID')
        commands.add_format(command)


def show_list(conf: cfg.ConfigOpts) -> int:
    """Print a page of imports, newest first."""
    asked = conf.command
    query = ImportQuery(
        limit=asked.limit, marker=asked.marker, state=asked.state, image_id=asked.image,
        method=asked.method, owner=asked.owner,
    )  # fmt: skip
    with commands.services(conf) as parts:
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
    with commands.services(conf) as parts:
        record = views.import_(imports.get(parts, context.system(), conf.command.import_id))
    _print(conf, record)
    return 0


def cancel(conf: cfg.ConfigOpts) -> int:
    """Decide that an import is reverted. Raises ImportNotFound, ImportNotCancellable."""
    with commands.services(conf) as parts:
        record = views.import_(imports.cancel(parts, context.system(), conf.command.import_id))
    if conf.command.format == 'json':
        _print_json(record)
    else:
        print(f'Import {record["id"]} is {record["state"]}; a conductor undoes its steps.')
    return 0


def retry(conf: cfg.ConfigOpts) -> int:
    """Record a new import of the same source. Raises what retries.retry() raises."""
    with commands.services(conf) as parts:
        record = views.import_(retries.retry(parts, context.system(), conf.command.import_id))
    if conf.command.format == 'json':
        _print_json(record)
    else:
        print(f'Import {record["id"]} is {record["state"]}; it is a retry of {record["retry_of"]}.')
    return 0


def release(conf: cfg.ConfigOpts) -> int:
    """Take an import away from its worker. Raises ImportNotFound, ImportNotClaimed."""
    with commands.services(conf) as parts:
        worker, released = imports.release(parts, context.system(), conf.command.import_id)
        record = views.import_(released)
    if conf.command.format == 'json':
        _print_json(record)
    else:
        print(f'Import {record["id"]} is not claimed by {worker} any more; another worker takes it.')
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
        record['id'], record['image_id'], record['method'], record['state'], import_record.place(record),
        record['owner'], import_record.moment(record['created_at']), (record['error'] or {}).get('code'),
    )  # fmt: skip


def _shown(record: Mapping[str, object]) -> str:
    parts = [
        tables.attributes(_attributes(record)),
        '',
        import_record.steps(record, datetime.datetime.now(datetime.UTC)),
        '',
        import_record.stores(record),
    ]
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
        'waits for host': record['waits_for_host'],
        'method': record['method'],
        'retry of': record['retry_of'],
        'source': source['url'],
        'source image': import_record.source_image(record),
        'source size': tables.exact(source['size']),
        **{f'source {name}': value for name, value in source['digests'].items()},
        **{f'expected {name}': value for name, value in record['expected'].items()},
        'format found': record['detected_format'],
        'owner': record['owner'],
        'user': record['user_id'],
        'request': record['request_id'],
        'created': import_record.moment(record['created_at']),
        'started': import_record.moment(record['started_at']),
        'updated': import_record.moment(record['updated_at']),
        'finished': import_record.moment(record['finished_at']),
    }
