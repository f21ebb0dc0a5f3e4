"""Imports listed as tasks: filters and orders over what a task shows, which the row of an import implies."""

from collections.abc import Sequence

import sqlalchemy as sa

from imagepipe.db import keyset
from imagepipe.db.schema import imports
from imagepipe.domain import task
from imagepipe.domain.import_ import Method
from imagepipe.domain.task import TaskQuery

_TYPE = sa.case(
    (imports.c.task_input.is_not(None), task.IMPORT),
    (imports.c.method == Method.LOCATION_IMPORT.value, task.LOCATION_IMPORT),
    else_=task.API_IMAGE_IMPORT,
)
_STATUS = sa.case({state.value: status for state, status in task.STATUS.items()}, value=imports.c.state)
_TERMS = {
    'id': imports.c.id,
    'type': _TYPE,
    'status': _STATUS,
    'owner': sa.func.coalesce(imports.c.owner, ''),
    'created_at': imports.c.created_at,
    'updated_at': imports.c.updated_at,
}


def order(query: TaskQuery) -> Sequence[keyset.Key]:
    """What the page is sorted by; two tasks never tie."""
    names = dict.fromkeys((query.sort_key, 'created_at', 'id'))
    return keyset.keys((_TERMS[name] for name in names), descending=query.descending)


def conditions(query: TaskQuery) -> Sequence[sa.ColumnElement[bool]]:
    """What the query asks of a task."""
    asked = {name: getattr(query, name) for name in ('status', 'type', 'owner')}
    return [_TERMS[name] == wanted for name, wanted in asked.items() if wanted is not None]
