"""An import in the columns of the client: people read words and tables, programs what the API answers."""

from collections.abc import Callable, Mapping, Sequence

from cliff.columns import FormattableColumn

from imagepipe.cmd import import_record, tables
from imagepipe.osc.calls import Record

#: Key of the list -> title; then those of --long.
LIST = {
    'id': 'ID',
    'image_id': 'Image',
    'method': 'Method',
    'state': 'State',
    'progress': 'Progress',
    'created_at': 'Created At',
    'error': 'Error',
}
LONG = {'owner': 'Project', 'started_at': 'Started At', 'finished_at': 'Finished At', 'retry_of': 'Retry Of'}
#: The order in which people want to know.
_SHOWN = (
    'id', 'image_id', 'state', 'error', 'waits_for_host', 'steps', 'stores', 'method', 'source', 'expected',
    'detected_format', 'owner', 'user_id', 'request_id', 'retry_of', 'created_at', 'started_at', 'updated_at',
    'finished_at',
)  # fmt: skip


class Cell(FormattableColumn):
    """A value, and the text that people read for it."""

    def __init__(self, value: object, text: str | None) -> None:
        super().__init__(value)
        self._text = text

    def human_readable(self) -> str:
        """The text; '-' where there is nothing to say."""
        lines = (self._text or '').splitlines()
        return '\n'.join(map(tables.text, lines)) if lines else '-'


def listed(record: Record, keys: Sequence[str]) -> tuple[Cell, ...]:
    """A row of the list."""
    error = record['error'] or {}
    texts = {
        'progress': (import_record.place(record), import_record.place(record)),
        'error': (error.get('code'), error.get('code')),
    }
    return tuple(Cell(*texts[key]) if key in texts else _cell(record, key) for key in keys)


def shown(record: Record) -> tuple[Sequence[str], Sequence[Cell]]:
    """Names and values of one import, all of it."""
    return _SHOWN, tuple(_cell(record, key) for key in _SHOWN)


def _cell(record: Record, key: str) -> Cell:
    value = record.get(key)  # a service of an older release does not say all of it
    if key.endswith('_at'):
        return Cell(value, import_record.moment(value))
    return Cell(value, _TELLERS[key](record) if key in _TELLERS else value)


def _error(record: Record) -> str | None:
    error = record['error']
    if error is None:
        return None
    place = f', in step {error["step"]}' if error['step'] else ''
    return f'{error["message"]}\n{error["code"]}{place}'


def _source(record: Record) -> str | None:
    source = record['source']
    told = {
        'url': source['url'],
        'image': import_record.source_image(record),
        'size': tables.exact(source['size']),
        **source['digests'],
    }
    return _pairs(told)


def _expected(record: Record) -> str | None:
    return _pairs(record['expected'])


def _pairs(told: Mapping[str, object]) -> str | None:
    found = {name: value for name, value in told.items() if value is not None}
    return tables.attributes(found) if found else None


_TELLERS: Mapping[str, Callable[[Record], str | None]] = {
    'error': _error,
    'steps': import_record.steps,
    'stores': import_record.stores,
    'source': _source,
    'expected': _expected,
}
