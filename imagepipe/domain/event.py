"""Events that are notified, by Glance's names (reference, section 20), and their payloads."""

import datetime
import enum
from collections.abc import Mapping

from imagepipe.domain.image import Image, Visibility
from imagepipe.domain.import_ import Import, ImportState


class Event(enum.StrEnum):
    """Event types; those of imports are Glance's task events."""

    IMAGE_CREATE = 'image.create'
    IMAGE_UPDATE = 'image.update'
    IMAGE_PREPARE = 'image.prepare'
    IMAGE_UPLOAD = 'image.upload'
    IMAGE_ACTIVATE = 'image.activate'
    IMAGE_SEND = 'image.send'
    IMAGE_DELETE = 'image.delete'
    TASK_CREATE = 'task.create'
    TASK_PROCESSING = 'task.processing'
    TASK_SUCCESS = 'task.success'
    TASK_FAILURE = 'task.failure'
    TASK_RUN = 'task.run'
    IMPORT_STEP = 'import.step'


class Priority(enum.StrEnum):
    """The notifier's priorities in use."""

    INFO = 'INFO'
    ERROR = 'ERROR'


def timestamp(moment: datetime.datetime | None) -> str | None:
    """A time as the API and notifications spell it: whole seconds, UTC, Z."""
    return None if moment is None else moment.strftime('%Y-%m-%dT%H:%M:%SZ')


def image_payload(
    image: Image, *, deleted_at: datetime.datetime | None = None, extra: Mapping[str, object] | None = None
) -> dict[str, object]:
    """The payload of every image.* event."""
    return {
        'id': image.id,
        'name': image.name,
        'status': image.status.value,
        'created_at': timestamp(image.created_at),
        'updated_at': timestamp(image.updated_at),
        'min_disk': image.min_disk,
        'min_ram': image.min_ram,
        'protected': image.protected,
        'checksum': image.checksum,
        'owner': image.owner,
        'disk_format': image.disk_format,
        'container_format': image.container_format,
        'size': image.size,
        'virtual_size': image.virtual_size,
        'is_public': image.visibility is Visibility.PUBLIC,
        'visibility': image.visibility.value,
        'properties': dict(image.properties),
        'tags': sorted(image.tags),
        'deleted': deleted_at is not None,
        'deleted_at': timestamp(deleted_at),
        **(extra or {}),
    }


#: The status of Glance's task that stands for an import (reference, section 13).
TASK_STATUS: Mapping[ImportState, str] = {
    ImportState.ACCEPTED: 'pending',
    ImportState.RUNNING: 'processing',
    ImportState.COMMITTED: 'processing',
    ImportState.REVERTING: 'processing',
    ImportState.SUCCEEDED: 'success',
    ImportState.FAILED: 'failure',
    ImportState.CANCELLED: 'failure',
}


def task_payload(record: Import) -> dict[str, object]:
    """The payload of every task.* event; an import's id is its task's."""
    return {
        'id': record.id,
        'type': 'api_image_import',
        'status': TASK_STATUS[record.state],
        'owner': record.owner,
        'expires_at': None,
        'created_at': timestamp(record.created_at),
        'updated_at': timestamp(record.updated_at),
        'deleted': False,
        'deleted_at': None,
        'result': None,
        'message': None,
    }
