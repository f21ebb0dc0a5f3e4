"""One representation in one store."""

import dataclasses
import enum
from collections.abc import Mapping


class LocationState(enum.StrEnum):
    """The life of a location; its row outlives the image until the bytes are gone."""

    PENDING = 'pending'
    COPYING = 'copying'
    ACTIVE = 'active'
    FAILED = 'failed'
    DELETING = 'deleting'
    MISSING = 'missing'


#: With a URL, such a location is an image's; without one it is a leftover of an import, and nobody's.
OCCUPYING = frozenset({LocationState.ACTIVE, LocationState.MISSING, LocationState.DELETING})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location:
    """Where the bytes are, or are about to be.

    Store, object name and epoch are committed before the first byte is written;
    the url is known once the store has taken the object.
    """

    id: str
    image_id: str
    representation_id: str
    store: str
    state: LocationState
    import_id: str | None = None
    object_name: str | None = None
    epoch: int = 0
    url: str | None = None
    size: int | None = None
    metadata: Mapping[str, object] = dataclasses.field(default_factory=dict)
    error_code: str | None = None
