"""Actions: an image is taken out of service, and put back."""

from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import WITH_DATA, Status
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def deactivate(services: 'Services', context: RequestContext, image_id: str) -> None:
    """Keep everybody but administrators from the image's data. Raises what _to() raises."""
    _to(services, context, image_id, Status.DEACTIVATED, rules.DEACTIVATE)


def reactivate(services: 'Services', context: RequestContext, image_id: str) -> None:
    """Serve the image's data again. Raises what _to() raises."""
    _to(services, context, image_id, Status.ACTIVE, rules.REACTIVATE)


def _to(services: 'Services', context: RequestContext, image_id: str, status: Status, rule: str) -> None:
    """Give an image with data this status; that it has it already is fine.

    Raises ImageNotFound, PolicyForbids, ActionImpossible.
    """

    def change(tx: 'Transaction') -> None:
        image = tx.images.hold(context, image_id)
        services.policy.authorize_image(context, rule, image)
        if image.status not in WITH_DATA:
            raise errors.ActionImpossible(image_id=image.id, status=image.status.value)
        if image.status is status:
            return
        saved = tx.images.save(image.to(status), expected=image)
        tx.notify(Event.IMAGE_UPDATE, image_payload(saved))

    services.db.run(change)
