"""Imports as rows: what a column holds of a field, and what clients are told of a row beside its image."""

import dataclasses
from collections.abc import Mapping

import sqlalchemy as sa

from imagepipe.db import documents
from imagepipe.db.schema import imports
from imagepipe.domain.import_ import LIVE, Import, ImportState, Plan
from imagepipe.domain.remote import RemoteImage

_DOCUMENTS = ('staged', 'source_digests', 'result', 'trace', 'source_resume', 'source_image', 'task_input')
#: Documents that are null until there is something to say.
_NULLABLE = ('trace', 'source_resume', 'source_image', 'task_input')
_READERS = {'plan': Plan.from_json, 'source_image': RemoteImage.from_json}
_FIELDS = tuple(field.name for field in dataclasses.fields(Import))
COLUMNS = tuple(imports.c[name] for name in _FIELDS)


def plain(name: str, value: object) -> object:
    """A value as its column has it."""
    if isinstance(value, Mapping):
        value = dict(value)
    elif isinstance(value, RemoteImage):
        value = value.as_json()
    return documents.dump(value) if name in _DOCUMENTS and value is not None else value


def row(record: Import) -> dict[str, object]:
    """The columns of an import."""
    values = {name: plain(name, getattr(record, name)) for name in _FIELDS}
    return values | {'plan': documents.dump(record.plan.as_json()), 'state': record.state.value}


def read(found: sa.Row) -> Import:
    """The import of these columns. Where a document cannot be read it is empty, and the plan is None then.

    An import without a plan is given up by the conductors; whoever looks at it still may.
    """
    values = dict(found._mapping)
    told = {name: _legible(name, values[name]) for name in ('plan', *_DOCUMENTS)}
    values |= {name: value for name, (value, _) in told.items()}
    if not all(legible for _, legible in told.values()):
        values['plan'] = None
    values['state'] = ImportState(values['state'])
    return Import(**values)


def _legible(name: str, text: str | None) -> tuple[object, bool]:
    """What a document says, nothing where it cannot be read, and whether it can."""
    empty = None if name in _NULLABLE else {}
    if text is None:
        return empty, True
    try:
        return _READERS.get(name, dict)(documents.load(text)), True
    except (ValueError, TypeError, KeyError, AttributeError):
        return empty, False


def progress(id: str, state: str, result: str) -> dict[str, str]:
    """The os_glance_* properties of an image whose latest import has these columns."""
    stores: Mapping[str, Mapping[str, object]] = _legible('result', result)[0].get('stores', {})
    live = ImportState(state) in LIVE
    waiting = [store for store, found in stores.items() if found['status'] == 'pending']
    failed = [store for store, found in stores.items() if found['status'] == 'failed']
    properties = {
        'os_glance_importing_to_stores': ','.join(sorted(waiting)) if live else '',
        'os_glance_failed_import': ','.join(sorted(failed)),
    }
    return properties | ({'os_glance_import_task': id} if live else {})


def unheld(clock: sa.ColumnElement[float]) -> sa.ColumnElement[bool]:
    """Whether an import of these columns lives and nobody holds it; clock: the database's."""
    return sa.and_(
        imports.c.state.in_([state.value for state in LIVE]),
        sa.or_(imports.c.claim_owner.is_(None), imports.c.claim_expires <= clock),
    )
