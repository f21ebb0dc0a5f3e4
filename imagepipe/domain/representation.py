"""The bytes of an image in one format."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Representation:
    """One format of an image; the primary one gives the image's own attributes.

    size and virtual_size are bytes; digests maps algorithm to lower-case hex.
    """

    id: str
    image_id: str
    primary: bool
    disk_format: str | None
    container_format: str | None
    size: int | None = None
    virtual_size: int | None = None
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
