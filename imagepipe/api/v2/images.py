"""Images: create, list, show, patch, delete."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import webob

from imagepipe.api import rendering
from imagepipe.api.request import Request, json_body, json_object
from imagepipe.api.schemas import image as schema
from imagepipe.api.views import images as views
from imagepipe.domain import listing, patch, properties
from imagepipe.operations import deletion, images, imports

if TYPE_CHECKING:
    from imagepipe.services import Services


def create(request: Request, services: 'Services') -> webob.Response:
    """201 with the new image."""
    body = json_object(request, limit=services.conf.api.max_json_body)
    properties.check_first(body)
    schema.of(services.conf).check(body)
    shown = images.create(services, request.context, body)
    headers = {'Location': f'{request.application_url}/v2/images/{shown.image.id}'}
    methods = imports.methods(services)
    if methods:
        headers['OpenStack-image-import-methods'] = ','.join(methods)
    if services.stores.multi:
        headers['OpenStack-image-store-ids'] = ','.join(services.stores)
    return rendering.document(views.image(services, request.context, shown), status=201, headers=headers)


def search(request: Request, services: 'Services') -> webob.Response:
    """200 with a page of images and links to the first and the next."""
    pairs = request.parameters
    query = listing.parse(
        pairs, default_limit=services.conf.limit_param_default, max_limit=services.conf.api_limit_max
    )
    page = images.search(services, request.context, query)
    return rendering.document(
        {
            'images': [views.image(services, request.context, shown) for shown in page.images],
            **listing.links('/v2/images', pairs, page.next_marker, urlencode),
            'schema': '/v2/schemas/images',
        }
    )


def show(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the image."""
    shown = images.get(services, request.context, image_id)
    return rendering.document(views.image(services, request.context, shown))


def update(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the image as the patch made it."""
    media = patch.media_type(request.headers.get('Content-Type'))
    body = json_body(request, limit=services.conf.api.max_json_body)
    changes = patch.parse(media, body, schema.of(services.conf).check_one)
    shown = images.update(services, request.context, image_id, changes)
    return rendering.document(views.image(services, request.context, shown))


def delete(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """204, the image and its data are gone, or will be."""
    deletion.delete(services, request.context, image_id)
    return rendering.empty(204)
