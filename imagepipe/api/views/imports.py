"""The representation of an import, imagepipe's extension. Times are UTC with microseconds."""

import datetime
from collections.abc import Mapping

from imagepipe import errors
from imagepipe.domain.import_ import AS_SOURCE, Import, Step
from imagepipe.domain.location import Location
from imagepipe.operations.imports import ImportRecord

_STEP = ('name', 'attempt', 'worker', 'bytes_done', 'bytes_total', 'error_code')


def import_(record: ImportRecord) -> dict[str, object]:
    """An import: state, steps in their order, stores, source, what was found, what went wrong."""
    found = record.import_
    return {
        'id': found.id,
        'image_id': found.image_id,
        'method': found.method,
        'state': found.state.value,
        'owner': found.owner,
        'user_id': found.user_id,
        'request_id': found.request_id,
        'retry_of': found.retry_of,
        'waits_for_host': record.waits_for_host,
        'created_at': moment(found.created_at),
        'started_at': moment(found.started_at),
        'updated_at': moment(found.updated_at),
        'finished_at': moment(found.finished_at),
        'steps': [_step(record, step) for step in sorted(record.steps, key=lambda step: step.position)],
        'stores': _stores(record),
        'source': {
            'method': found.method,
            'url': found.source_shown if record.source_visible else None,
            'image': remote(found) if record.source_visible else None,
            'size': found.source_size,
            'digests': dict(found.source_digests),
        },
        'expected': dict(found.plan.expected) if found.plan else {},
        'detected_format': found.detected_format,
        'error': _error(record),
        'self': f'/v2/imports/{found.id}',
    }


def remote(found: Import) -> dict[str, str] | None:
    """The image of another region that the import reads."""
    source = found.source_image
    if source is None:
        return None
    return {'region': source.region, 'interface': source.interface, 'id': source.image_id}


def sentence(record: ImportRecord, code: str | None, message: str | None) -> str | None:
    """What is said of an error. Whoever may not see the source is told no facts: any of them may name it."""
    return message if code is None or record.source_visible else errors.in_general(code)


def moment(time: datetime.datetime | None) -> str | None:
    """A time with its microseconds: steps may take less than a second."""
    return None if time is None else f'{time.isoformat(timespec="microseconds")}Z'


def _step(record: ImportRecord, step: Step) -> dict[str, object]:
    return {
        **{name: getattr(step, name) for name in _STEP},
        'state': step.state.value,
        'started_at': moment(step.started_at),
        'updated_at': moment(step.updated_at),
        'finished_at': moment(step.finished_at),
        'failures': [
            {
                'attempt': failure.attempt,
                'error_code': failure.code,
                'message': sentence(record, failure.code, failure.message),
                'at': moment(failure.at),
            }
            for failure in step.failures
        ],
    }


def _stores(record: ImportRecord) -> list[dict[str, object]]:
    """What became of each store that the import was to fill, in the order of the plan."""
    if record.import_.plan is None:
        return []
    outcomes: Mapping[str, Mapping[str, object]] = record.import_.result.get('stores', {})
    locations = {location.id: location for location in record.locations}
    return [
        _store(
            record,
            target.store,
            target.disk_format,
            outcomes.get(target.store, {}),
            locations.get(target.location_id),
        )
        for target in record.import_.plan.targets
    ]


def _store(
    record: ImportRecord,
    store: str,
    disk_format: str,
    outcome: Mapping[str, object],
    location: Location | None,
) -> dict[str, object]:
    return {
        'store': store,
        # A source that says its format later may not be converted after all.
        'disk_format': outcome.get('disk_format', None if disk_format == AS_SOURCE else disk_format),
        'status': outcome.get('status', 'pending'),
        'location_state': None if location is None else location.state.value,
        'size': None if location is None else location.size,
        'digests': outcome.get('digests', {}),
        'error_code': outcome.get('code'),
        'message': sentence(record, outcome.get('code'), outcome.get('message')),
    }


def _error(record: ImportRecord) -> dict[str, object] | None:
    found = record.import_
    if found.error_code is None:
        return None
    return {
        'code': found.error_code,
        'message': sentence(record, found.error_code, found.error_message),
        'step': found.error_step,
        'request_id': found.request_id,
    }
