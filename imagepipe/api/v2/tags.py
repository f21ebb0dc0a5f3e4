"""Tags of an image (reference, section 11.2)."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import Answer, describe
from imagepipe.api.request import Request
from imagepipe.operations import tags

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    'Tag an image',
    {204: Answer(description='The image has the tag.')},
    errors=(errors.InvalidTag, errors.ImageNotFound, errors.ImageBeingDeleted, errors.TooManyTags),
)
def add(request: Request, services: 'Services', image_id: str, tag: str) -> webob.Response:
    """204, the image has the tag."""
    tags.add(services, request.context, image_id, tag)
    return rendering.empty(204)


@describe(
    'Remove a tag of an image',
    {204: Answer(description='The image has the tag no more.')},
    errors=(errors.ImageNotFound, errors.ImageBeingDeleted, errors.TagNotFound),
)
def remove(request: Request, services: 'Services', image_id: str, tag: str) -> webob.Response:
    """204, the image has the tag no more."""
    tags.remove(services, request.context, image_id, tag)
    return rendering.empty(204)
