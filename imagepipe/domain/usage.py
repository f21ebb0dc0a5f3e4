"""What a project uses and may use: the resources that are counted, and the limits of them."""

import enum
from collections.abc import Mapping

from imagepipe.domain.image import Image, Status


class Resource(enum.StrEnum):
    """What has a counter for each project; a transaction that changes several does so in this order.

    The staging area's counter comes last. One that gives an image to another project begins with the
    project that sorts first.

    IMAGES: records of images, whatever they hold. UPLOADING: images that take data in. SIZE: bytes
    in stores, every copy, and what uploads and imports have reserved there. STAGED: bytes in the
    staging area.
    """

    IMAGES = 'images'
    UPLOADING = 'uploading'
    SIZE = 'bytes'
    STAGED = 'staged'

    @property
    def sized(self) -> bool:
        """Whether it is counted in bytes."""
        return self in (Resource.SIZE, Resource.STAGED)


#: Keystone's names of the limits, which are Glance's (reference, section 21.5).
KEYSTONE_NAMES: Mapping[Resource, str] = {
    Resource.SIZE: 'image_size_total',
    Resource.STAGED: 'image_stage_total',
    Resource.IMAGES: 'image_count_total',
    Resource.UPLOADING: 'image_count_uploading',
}
#: Keystone's limits of bytes are in MiB.
MEBIBYTE = 1 << 20


#: Limits by resource; one that is not named has none. Plain JSON, for plans freeze it.
Limits = Mapping[str, int]
UNLIMITED: Limits = {}

#: Images that count for nobody (reference, section 21.5).
UNCOUNTED = frozenset({Status.KILLED, Status.DELETED, Status.PENDING_DELETE})
#: Statuses in which data is on its way.
RECEIVING = frozenset({Status.SAVING, Status.UPLOADING, Status.IMPORTING})


def units(image: Image | None) -> Mapping[Resource, int]:
    """What an image by its status counts of those resources that are counted in images."""
    status = Status.DELETED if image is None else image.status
    return {
        Resource.IMAGES: int(status not in UNCOUNTED),
        Resource.UPLOADING: int(status in RECEIVING),
    }
