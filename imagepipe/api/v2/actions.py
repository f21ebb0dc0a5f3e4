"""Actions on an image (reference, section 11.3)."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import Answer, describe
from imagepipe.api.request import Request
from imagepipe.operations import actions

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    'Deactivate an image',
    {204: Answer(description='The data is for administrators only.')},
    errors=(errors.ImageNotFound, errors.ImageBeingDeleted, errors.ActionImpossible),
)
def deactivate(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """204, the data is kept from users."""
    actions.deactivate(services, request.context, image_id)
    return rendering.empty(204)


@describe(
    'Reactivate an image',
    {204: Answer(description='The data is served again.')},
    errors=(errors.ImageNotFound, errors.ImageBeingDeleted, errors.ActionImpossible),
)
def reactivate(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """204, the data is served again."""
    actions.reactivate(services, request.context, image_id)
    return rendering.empty(204)
