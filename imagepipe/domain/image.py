"""An image: its attributes, its status, and which status may follow which."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from imagepipe import errors


class Status(enum.StrEnum):
    """The life of an image (reference, section 17.1)."""

    QUEUED = 'queued'
    SAVING = 'saving'
    UPLOADING = 'uploading'
    IMPORTING = 'importing'
    ACTIVE = 'active'
    DEACTIVATED = 'deactivated'
    PENDING_DELETE = 'pending_delete'
    KILLED = 'killed'
    DELETED = 'deleted'


class Visibility(enum.StrEnum):
    """Who sees an image (reference, section 17.3)."""

    PUBLIC = 'public'
    PRIVATE = 'private'
    SHARED = 'shared'
    COMMUNITY = 'community'


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(
        {Status.SAVING, Status.UPLOADING, Status.IMPORTING, Status.ACTIVE, Status.DELETED}
    ),
    Status.SAVING: frozenset({Status.ACTIVE, Status.QUEUED, Status.KILLED, Status.DELETED}),
    Status.UPLOADING: frozenset({Status.IMPORTING, Status.QUEUED, Status.DELETED}),
    Status.IMPORTING: frozenset({Status.ACTIVE, Status.QUEUED, Status.DELETED}),
    Status.ACTIVE: frozenset({Status.DEACTIVATED, Status.DELETED, Status.PENDING_DELETE}),
    Status.DEACTIVATED: frozenset({Status.ACTIVE, Status.DELETED, Status.PENDING_DELETE}),
    Status.PENDING_DELETE: frozenset({Status.DELETED, Status.ACTIVE, Status.DEACTIVATED}),
    Status.KILLED: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}

#: Statuses in which the image has data that can be read.
WITH_DATA = frozenset({Status.ACTIVE, Status.DEACTIVATED})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """One image as its row, properties and tags say it.

    Sizes are bytes, min_disk GiB, min_ram MiB; times are naive UTC with microseconds.
    size, virtual_size, checksum and os_hash_* are those of the primary representation
    (size alone is set while the image is `uploading`: the staged bytes).
    """

    id: str
    name: str | None = None
    status: Status = Status.QUEUED
    visibility: Visibility = Visibility.SHARED
    owner: str | None = None
    protected: bool = False
    #: An id of the DELETE that asks stores at this moment: until they have answered nobody changes the image.
    condemned: str | None = None
    os_hidden: bool = False
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    #: Store ids that hold an active location of the primary representation, best first.
    stores: tuple[str, ...] = ()
    #: The project through whose accepted or pending share the caller sees the image.
    member_id: str | None = None
    #: The os_glance_* properties, from the image's latest import.
    progress: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to(self, status: Status, **changes: object) -> 'Image':
        """The image after a change of status. Raises InvalidTransition."""
        if status not in TRANSITIONS[self.status]:
            raise errors.InvalidTransition(image_id=self.id, old=self.status, new=status)
        return dataclasses.replace(self, status=status, **changes)

    def without_data(self) -> 'Image':
        """The image as before any data came: size, virtual size and digests null."""
        return dataclasses.replace(
            self, size=None, virtual_size=None, checksum=None, os_hash_algo=None, os_hash_value=None
        )

    def check_uncondemned(self) -> None:
        """Raise ImageBeingDeleted if it is being decided whether the image goes."""
        if self.condemned is not None:
            raise errors.ImageBeingDeleted(image_id=self.id)

    @property
    def missing_formats(self) -> tuple[str, ...]:
        """The formats that must be set before data may come."""
        return tuple(name for name in ('disk_format', 'container_format') if getattr(self, name) is None)
