"""An import seen to its end."""

import time
from typing import TextIO

from osc_lib import exceptions

from imagepipe.cmd.display import Clock, open_display, rows_of
from imagepipe.cmd.import_record import ENDS
from imagepipe.osc.calls import AwayError, Imports, Record

#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130
#: Seconds from one look to the next: the service writes progress about as often.
_LOOK = 1.0
#: As long as it takes to restart it.
_PATIENCE = 60.0
_VERDICTS = {'failed': 'has failed', 'cancelled': 'was cancelled'}


def watch(imports: Imports, record: Record, out: TextIO, err: TextIO, *, patience: float = _PATIENCE) -> int:
    """Show the import until it has ended; the exit status. patience: seconds that the service may be away.

    Raises CommandError when it did not succeed, and when the service stays away.
    """
    try:
        record = _until_the_end(imports, record, out, patience)
    except KeyboardInterrupt:
        err.write(f'\n{_left_alone(record)}\n')
        return INTERRUPTED
    if record['state'] != 'succeeded':
        raise exceptions.CommandError(_why(record))
    out.write(f'{_success(record)}\n')
    return 0


def _until_the_end(imports: Imports, record: Record, out: TextIO, patience: float) -> Record:
    display, clock = open_display(out), Clock()
    seen = time.monotonic()
    try:
        while True:
            display.show(rows_of(record, clock.now(record)))
            if record['state'] in ENDS:
                return record
            time.sleep(_LOOK)
            try:
                record, seen = imports.get(record['id']), time.monotonic()
            except AwayError as away:
                if time.monotonic() - seen > patience:
                    raise exceptions.CommandError(f'{away}\n{_left_alone(record)}') from away
    finally:
        display.close()


def _left_alone(record: Record) -> str:
    commands = (f'  openstack image import {verb} {record["id"]}' for verb in ('watch', 'cancel'))
    return '\n'.join([f'Import {record["id"]} goes on without being watched.', *commands])


def _why(record: Record) -> str:
    error = record['error'] or {'message': 'No reason was recorded.', 'code': None}
    code = f' ({error["code"]})' if error['code'] else ''
    return f'Import {record["id"]} {_VERDICTS[record["state"]]}: {error["message"]}{code}'


def _success(record: Record) -> str:
    """Where the data are, and which stores do not have them."""
    took = [found['store'] for found in record['stores'] if found['status'] == 'ok']
    place = f' in {", ".join(took)}' if took else ''
    told = [f'Import {record["id"]} has succeeded: image {record["image_id"]} is active{place}.']
    for found in record['stores']:
        if found['status'] != 'ok':
            told.append(f'Not in {found["store"]}: {found["message"]} ({found["error_code"]})')
    return '\n'.join(told)
