"""Delayed delete: an image is gone for its users at once, its data when scrub_time is over.

Until then an operator can restore it. It counts for no quota while it waits.
"""

import contextlib
import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import Image, Status
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.pending_delete import PendingDelete

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


#: Locations whose bytes an image has; others are on their way out, or an import's to clean up.
KEPT = frozenset({LocationState.ACTIVE, LocationState.MISSING})


def postpone(services: 'Services', tx: 'Transaction', image: Image) -> None:
    """Take an image with data from its users, and keep the data. Raises ImageChanged."""
    tx.pending_deletes.add(image)
    saved = tx.images.settle(image.to(Status.PENDING_DELETE, condemned=None), expected=image)
    services.quota.moved(tx, image, saved)
    services.quota.release(tx, image.owner, tx.accounts.stored(image.id))
    tx.notify(Event.IMAGE_DELETE, image_payload(saved, deleted_at=tx.now))


def condemn(tx: 'Transaction', locations: Sequence[Location]) -> None:
    """The bytes are on their way out."""
    for location in locations:
        tx.locations.set(location.id, [location.state], state=LocationState.DELETING.value)


def search(services: 'Services', *, limit: int) -> Sequence[PendingDelete]:
    """The images that wait, the one that was deleted first coming first."""

    def look(tx: 'Transaction') -> list[PendingDelete]:
        return [tx.pending_deletes.get(image_id) for image_id in tx.pending_deletes.before(None, limit=limit)]

    return services.db.snapshot(look)


def restore(services: 'Services', image_id: str) -> Image:
    """Give an image back to its users, active or deactivated as it was.

    It counts again, whatever the quota says. Raises ImageNotFound, ImageNotRestorable.
    """

    def change(tx: 'Transaction') -> Image:
        found = tx.pending_deletes.get(image_id)
        saved = tx.images.save(found.image.to(found.status), expected=found.image)
        tx.pending_deletes.delete(image_id)
        services.quota.moved(tx, found.image, saved)
        services.quota.count(tx, saved.owner, tx.accounts.stored(image_id))
        tx.notify(Event.IMAGE_UPDATE, image_payload(saved))
        return saved

    return services.db.run(change)


def scrub(services: 'Services', *, limit: int) -> int:
    """End the images whose time is over; how many. Their bytes are condemned, and the sweeper's to remove."""
    kept = datetime.timedelta(seconds=services.conf.scrub_time)
    due = services.db.read(lambda tx: tx.pending_deletes.before(tx.now - kept, limit=limit))
    for image_id in due:
        # Another sweeper may be faster, or an operator.
        with contextlib.suppress(errors.ImageNotFound, errors.ImageNotRestorable):
            services.db.run(lambda tx, image_id=image_id: _end(tx, image_id))
    return len(due)


def _end(tx: 'Transaction', image_id: str) -> None:
    image = tx.pending_deletes.get(image_id).image
    condemn(tx, tx.locations.of_image(image_id, KEPT))
    tx.images.remove(image, expected=image)
    tx.locations.delete_representations(image_id)
