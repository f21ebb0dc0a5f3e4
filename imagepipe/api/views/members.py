"""The representation of a member (reference, section 11.1)."""

from imagepipe.domain.event import timestamp
from imagepipe.domain.member import Member


def member(found: Member) -> dict[str, object]:
    """A member; what requests call `member` is `member_id` here."""
    return {
        'member_id': found.member,
        'image_id': found.image_id,
        'status': found.status.value,
        'created_at': timestamp(found.created_at),
        'updated_at': timestamp(found.updated_at),
        'schema': '/v2/schemas/member',
    }
