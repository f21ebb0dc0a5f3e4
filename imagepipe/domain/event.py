"""Events that are notified, by Glance's names (reference, section 20), and their payloads."""

import datetime
import enum
from collections.abc import Mapping

from imagepipe.domain.image import Image, Visibility


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
