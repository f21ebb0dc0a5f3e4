"""What is said of a node's cache: its copies, and what clearing it means."""

import dataclasses
import enum


class ClearTarget(enum.StrEnum):
    """What DELETE /v2/cache empties."""

    BOTH = ''
    CACHE = 'cache'
    QUEUE = 'queue'


@dataclasses.dataclass(frozen=True, kw_only=True)
class CachedImage:
    """One image's copy on one node. Times are seconds since the epoch; last_accessed is 0 for never."""

    id: int
    image_id: str
    size: int
    hits: int
    last_accessed: float
    last_modified: float
    checksum: str | None


@dataclasses.dataclass(frozen=True)
class Pruned:
    """What a pruning has removed."""

    files: int = 0
    bytes: int = 0
