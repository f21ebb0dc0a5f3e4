"""An import, as GET /v2/imports/{id} answers it, in the words and tables that people read of it."""

import datetime
from collections.abc import Mapping

from imagepipe.cmd import display, tables

#: The states that last.
ENDS = ('succeeded', 'failed', 'cancelled')
_AT_WORK = ('running', 'reverting')


def place(record: Mapping[str, object]) -> str | None:
    """Where it stands, or stood when it failed."""
    if record.get('waits_for_host'):  # a service of an older release does not say so
        return f'waits for host {record["waits_for_host"]}'
    for row in display.rows_of(record):
        if row.state in _AT_WORK:
            percent = '' if row.fraction is None else f' {row.fraction:.0%}'
            return f'{row.name}{percent}'
    return (record['error'] or {}).get('step')


def steps(record: Mapping[str, object], now: datetime.datetime | None = None) -> str:
    """Each step with its progress; now: as of display.rows_of()."""
    rows = zip(display.rows_of(record, now), record['steps'], strict=True)
    return tables.table(
        ['STEP', 'STATE', 'TRY', 'PROGRESS', 'STARTED', 'TIME', 'WORKER', 'ERROR'],
        [
            [row.name, row.state, row.attempt or None, _progress(row), _time(step['started_at']),
             tables.duration(row.seconds), _worker(step['worker']), row.error]
            for row, step in rows
        ],
    )  # fmt: skip


def stores(record: Mapping[str, object]) -> str:
    """The result of each store."""
    return tables.table(
        ['STORE', 'RESULT', 'FORMAT', 'SIZE', 'MD5'],
        [
            [found['store'], found['error_code'] or found['status'], found['disk_format'],
             tables.size(found['size']), found['digests'].get('md5')]
            for found in record['stores']
        ],
    )  # fmt: skip


def source_image(record: Mapping[str, object]) -> str | None:
    """The image of another region that it reads."""
    image = record['source'].get('image')  # which the first release does not tell
    return None if image is None else f'{image["id"]} in {image["region"]}'


def moment(moment: str | None) -> str | None:
    """A time to the second, of UTC."""
    return None if moment is None else f'{moment[:10]} {moment[11:19]}Z'


def _progress(row: display.Row) -> str | None:
    if row.fraction is None:
        return tables.size(row.done)
    return f'{tables.size(row.done)} of {tables.size(row.total)}'


def _worker(name: str | None) -> str | None:
    """host:pid; the rest of the name only makes it unique."""
    return None if name is None else ':'.join(name.split(':')[:2])


def _time(moment: str | None) -> str | None:
    return None if moment is None else f'{moment[11:23]}Z'
