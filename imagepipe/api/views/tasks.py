"""Imports as the tasks of Glance (reference, sections 11.4 and 13): a task is a view of an import."""

from imagepipe.api.views.imports import sentence
from imagepipe.domain import task as tasks
from imagepipe.domain.event import timestamp
from imagepipe.domain.import_ import Import, ImportState, Method
from imagepipe.operations.imports import ImportRecord

#: Told where they are known.
_OPTIONAL = ('image_id', 'request_id', 'user_id')


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
    shown = {**_task(record), **item(record.import_)}
    return {name: value for name, value in shown.items() if name not in _OPTIONAL or value is not None}


def item(found: Import) -> dict[str, object]:
    """A row of /v2/tasks."""
    return {
        **_kind(found),
        'created_at': timestamp(found.created_at),
        'updated_at': timestamp(found.updated_at),
        'self': f'/v2/tasks/{found.id}',
        'schema': '/v2/schemas/task',
    }


def _kind(found: Import) -> dict[str, object]:
    return {
        'id': found.id,
        'type': tasks.type_of(found),
        'status': tasks.STATUS[found.state],
        'owner': found.owner,
    }


def _task(record: ImportRecord) -> dict[str, object]:
    found = record.import_
    succeeded = found.state is ImportState.SUCCEEDED
    return {
        **_kind(found),
        'image_id': found.image_id,
        'request_id': found.request_id,
        'user_id': found.user_id,
        'input': _input(record) if found.task_input is None else _legacy_input(record),
        'result': {'image_id': found.image_id} if succeeded else None,
        'message': sentence(record, found.error_code, found.error_message) or '',
    }


def _legacy_input(record: ImportRecord) -> dict[str, object]:
    """What a POST to the tasks API asked for; of the URL, what may be shown."""
    found = record.import_
    source = {'import_from': found.source_shown} if record.source_visible else {}
    return {**source, **found.task_input}


def _input(record: ImportRecord) -> dict[str, object]:
    found: Import = record.import_
    if found.method == Method.LOCATION_IMPORT:
        return _location_input(record)
    method: dict[str, object] = {'name': found.method}
    if found.source_shown is not None and record.source_visible:
        method['uri'] = found.source_shown
    if found.source_image is not None and record.source_visible:
        method['glance_region'] = found.source_image.region
        method['glance_image_id'] = found.source_image.image_id
        method['glance_service_interface'] = found.source_image.interface
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


def _location_input(record: ImportRecord) -> dict[str, object]:
    """What POST locations was told; the URL as far as the caller may see it."""
    found = record.import_
    given = next(iter(found.plan.expected.items()), None) if found.plan else None
    return {
        'image_id': found.image_id,
        'loc_url': found.source_shown if record.source_visible else None,
        'validation_data': {} if given is None else {'os_hash_algo': given[0], 'os_hash_value': given[1]},
    }
