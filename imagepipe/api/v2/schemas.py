"""Schema documents: clients learn from them which properties are base (reference, section 12)."""

from typing import TYPE_CHECKING

import webob

from imagepipe.api import rendering
from imagepipe.api.request import Request
from imagepipe.api.schemas import image as schema

if TYPE_CHECKING:
    from imagepipe.services import Services


def image(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of an image."""
    return rendering.document(schema.of(services.conf).document)


def images(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of a list of images."""
    return rendering.document(schema.of(services.conf).list_document)
