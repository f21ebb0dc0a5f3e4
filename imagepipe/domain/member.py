"""Members: the projects that an image is shared with, and what they think of it (reference, section 11.1)."""

import dataclasses
import datetime
import enum

#: Longest name of a project.
MAX_PROJECT = 255


class MemberStatus(enum.StrEnum):
    """What the member says to the share; it decides only whether the member's lists have the image."""

    PENDING = 'pending'
    ACCEPTED = 'accepted'
    REJECTED = 'rejected'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One project that sees an image of another. Times are naive UTC."""

    image_id: str
    member: str
    status: MemberStatus = MemberStatus.PENDING
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
