"""Images: create, list, show, patch, delete."""

import functools
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import image as schema
from imagepipe.api.v2 import parameters
from imagepipe.api.views import images as views
from imagepipe.domain import listing, patch, properties
from imagepipe.operations import deletion, images, imports

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    'Create an image',
    {
        201: Answer(
            description='The new image.',
            body=schema.IMAGE,
            headers={
                'Location': 'The URL of the image.',
                'OpenStack-image-import-methods': 'The import methods, separated by commas.',
                'OpenStack-image-store-ids': 'The stores, separated by commas.',
            },
        )
    },
    takes={JSON: schema.NEW_IMAGE},
    errors=(
        errors.PropertyReadOnly,
        errors.PropertyReserved,
        errors.PropertyProtected,
        errors.OwnerForbidden,
        errors.TooManyProperties,
        errors.TooManyTags,
        errors.ImageIdTaken,
        errors.LimitsUnavailable,
        errors.ImageCountExceeded,
    ),
)
def create(request: Request, services: 'Services') -> webob.Response:
    """201 with the new image."""
    body = sent(request, first=properties.check_first)
    properties.check_texts(body)
    shown = images.create(services, request.context, body)
    headers = {'Location': f'{request.application_url}/v2/images/{shown.image.id}'}
    methods = imports.offered(services)
    if methods:
        headers['OpenStack-image-import-methods'] = ','.join(methods)
    if services.stores.multi:
        headers['OpenStack-image-store-ids'] = ','.join(services.stores)
    return rendering.document(views.image(services, request.context, shown), status=201, headers=headers)


@describe(
    'List images',
    {200: Answer(description='A page of images.', body=schema.IMAGES)},
    parameters=parameters.IMAGES,
    errors=(errors.InvalidQuery, errors.InvalidMarker, errors.MarkerForbidden),
)
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


@describe(
    'Show an image',
    {200: Answer(description='The image.', body=schema.IMAGE)},
    errors=(errors.ImageNotFound,),
)
def show(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the image."""
    shown = images.get(services, request.context, image_id)
    return rendering.document(views.image(services, request.context, shown))


@describe(
    'Change an image',
    {200: Answer(description='The image as it is now.', body=schema.IMAGE)},
    takes={patch.V21: schema.PATCH_21, patch.V20: schema.PATCH_20},
    errors=(
        errors.UnsupportedPatch,
        errors.InvalidPatch,
        errors.ImageNotFound,
        errors.ImageChanged,
        errors.ImageBeingDeleted,
        errors.OwnerForbidden,
        errors.PropertyReadOnly,
        errors.PropertyReserved,
        errors.PropertyProtected,
        errors.PropertyNotRemovable,
        errors.FormatsFixed,
        errors.PropertyMissing,
        errors.PropertyExists,
        errors.TooManyProperties,
        errors.TooManyTags,
        errors.FormatsNotSet,
        errors.LastLocation,
        errors.LocationForbidden,
        errors.LocationRefused,
        errors.LocationWrongStatus,
        errors.LocationsHidden,
        errors.LimitsUnavailable,
        errors.QuotaExceeded,
        errors.SignaturePropertiesInvalid,
        errors.SourceInvalid,
        errors.SourceRefused,
        errors.StoreInUse,
        errors.StoreKeeps,
        errors.TooManyLocations,
        errors.ValidationDataConflict,
    ),
)
def update(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the image as the patch made it."""
    media = patch.media_type(request.headers.get('Content-Type'))
    check = functools.partial(request.gate.check, schema.NEW_IMAGE)
    changes = patch.parse(media, sent(request, media), check)
    shown = images.update(services, request.context, image_id, changes)
    return rendering.document(views.image(services, request.context, shown))


@describe(
    'Delete an image',
    {204: Answer(description='The image is gone, and its data is gone or will be.')},
    errors=(
        errors.ImageNotFound,
        errors.ImageChanged,
        errors.ImageBeingDeleted,
        errors.ImageProtected,
        errors.StoreInUse,
        errors.StoreKeeps,
        errors.ImportNotCancellable,
    ),
)
def delete(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """204, the image and its data are gone, or will be."""
    deletion.delete(services, request.context, image_id)
    return rendering.empty(204)
