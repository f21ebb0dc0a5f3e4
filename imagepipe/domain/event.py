"""Events that are notified, by Glance's names (reference, section 20), and their payloads."""

import datetime
import enum
from collections.abc import Mapping

from imagepipe.domain import task
from imagepipe.domain.image import Image, Visibility
from imagepipe.domain.import_ import Import
from imagepipe.domain.member import Member


class Event(enum.StrEnum):
    """Event types; those of imports are Glance's task events."""

    IMAGE_CREATE = 'image.create'
    IMAGE_UPDATE = 'image.update'
    IMAGE_PREPARE = 'image.prepare'
    IMAGE_UPLOAD = 'image.upload'
    IMAGE_ACTIVATE = 'image.activate'
    IMAGE_SEND = 'image.send'
    IMAGE_DELETE = 'image.delete'
    MEMBER_CREATE = 'image.member.create'
    MEMBER_UPDATE = 'image.member.update'
    MEMBER_DELETE = 'image.member.delete'
    TASK_CREATE = 'task.create'
    TASK_PROCESSING = 'task.processing'
    TASK_SUCCESS = 'task.success'
    TASK_FAILURE = 'task.failure'
    TASK_RUN = 'task.run'
    IMPORT_STEP = 'import.step'
    METADEF_NAMESPACE_CREATE = 'metadef_namespace.create'
    METADEF_NAMESPACE_UPDATE = 'metadef_namespace.update'
    METADEF_NAMESPACE_DELETE = 'metadef_namespace.delete'
    METADEF_NAMESPACE_DELETE_OBJECTS = 'metadef_namespace.delete_objects'
    METADEF_NAMESPACE_DELETE_PROPERTIES = 'metadef_namespace.delete_properties'
    METADEF_NAMESPACE_DELETE_TAGS = 'metadef_namespace.delete_tags'
    METADEF_OBJECT_CREATE = 'metadef_object.create'
    METADEF_OBJECT_UPDATE = 'metadef_object.update'
    METADEF_OBJECT_DELETE = 'metadef_object.delete'
    METADEF_PROPERTY_CREATE = 'metadef_property.create'
    METADEF_PROPERTY_UPDATE = 'metadef_property.update'
    METADEF_PROPERTY_DELETE = 'metadef_property.delete'
    METADEF_TAG_CREATE = 'metadef_tag.create'
    METADEF_TAG_UPDATE = 'metadef_tag.update'
    METADEF_TAG_DELETE = 'metadef_tag.delete'
    METADEF_RESOURCE_TYPE_CREATE = 'metadef_resource_type.create'
    METADEF_RESOURCE_TYPE_DELETE = 'metadef_resource_type.delete'


class Priority(enum.StrEnum):
    """The notifier's priorities in use."""

    INFO = 'INFO'
    ERROR = 'ERROR'


def timestamp(moment: datetime.datetime | None) -> str | None:
    """A time as the API and notifications spell it: whole seconds, UTC, Z."""
    return None if moment is None else f'{moment.replace(microsecond=0).isoformat()}Z'


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


def member_payload(member: Member, *, deleted_at: datetime.datetime | None = None) -> dict[str, object]:
    """The payload of every image.member.* event."""
    return {
        'image_id': member.image_id,
        'member_id': member.member,
        'status': member.status.value,
        'created_at': timestamp(member.created_at),
        'updated_at': timestamp(member.updated_at),
        'deleted': deleted_at is not None,
        'deleted_at': timestamp(deleted_at),
    }


def task_payload(record: Import) -> dict[str, object]:
    """The payload of every task.* event; an import's id is its task's."""
    return {
        'id': record.id,
        'type': task.type_of(record),
        'status': task.STATUS[record.state],
        'owner': record.owner,
        'expires_at': None,
        'created_at': timestamp(record.created_at),
        'updated_at': timestamp(record.updated_at),
        'deleted': False,
        'deleted_at': None,
        'result': None,
        'message': None,
    }
