"""Images that were deleted with a delay: nobody sees them, and an operator can still give them back."""

import dataclasses
import datetime

from imagepipe.domain.image import Image, Status


@dataclasses.dataclass(frozen=True, kw_only=True)
class PendingDelete:
    """One of them. status: what it has when it is restored; deleted_at is naive UTC."""

    image: Image
    status: Status
    deleted_at: datetime.datetime
