"""Imports as the tasks of Glance (reference, sections 11.4 and 13): a task is a view of an import."""

from imagepipe.domain.event import TASK_STATUS, timestamp
from imagepipe.domain.import_ import Import, ImportState
from imagepipe.operations.imports import ImportRecord

TYPE = 'api_image_import'


def of_image(record: ImportRecord) -> dict[str, object]:
    """A row of /v2/images/{id}/tasks: its times have microseconds and no zone, as there always."""
    found = record.import_
    return {
        **_task(record),
        'expires_at': None,
        'created_at': found.created_at.isoformat(),
        'updated_at': found.updated_at.isoformat(),
        'deleted_at': None,
        'deleted': False,
    }


def task(record: ImportRecord) -> dict[str, object]:
    """The full task of /v2/tasks/{id}."""
    found = record.import_
    return {
        **_task(record),
        'created_at': timestamp(found.created_at),
        'updated_at': timestamp(found.updated_at),
        'self': f'/v2/tasks/{found.id}',
        'schema': '/v2/schemas/task',
    }


def _task(record: ImportRecord) -> dict[str, object]:
    found = record.import_
    succeeded = found.state is ImportState.SUCCEEDED
    return {
        'id': found.id,
        'type': TYPE,
        'status': TASK_STATUS[found.state],
        'owner': found.owner,
        'image_id': found.image_id,
        'request_id': found.request_id,
        'user_id': found.user_id,
        'input': _input(record),
        'result': {'image_id': found.image_id} if succeeded else None,
        'message': found.error_message or '',
    }


def _input(record: ImportRecord) -> dict[str, object]:
    found: Import = record.import_
    method: dict[str, object] = {'name': found.method}
    if found.source_shown is not None and record.source_visible:
        method['uri'] = found.source_shown
    stores = [target.store for target in found.plan.targets] if found.plan else []
    return {
        'image_id': found.image_id,
        'import_req': {
            'method': method,
            'stores': stores,
            'all_stores_must_succeed': found.plan.must_succeed if found.plan else True,
        },
        'backend': stores,
    }
