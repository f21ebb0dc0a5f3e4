"""Locations of images: POST and GET locations, and DELETE of the copy in one store."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import location as schema
from imagepipe.api.v2.data import SIGNED
from imagepipe.api.v2.imports import TASK_ID
from imagepipe.api.views import locations as views
from imagepipe.domain.validation import LocationRequest
from imagepipe.operations import locations

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    'Add a location',
    {
        202: Answer(
            description='The location is recorded and will be looked at.',
            headers={TASK_ID: 'The id of the import that does it.'},
        )
    },
    takes={JSON: schema.REQUEST},
    errors=(
        errors.ImageNotFound,
        errors.ImageChanged,
        errors.ImageBeingDeleted,
        errors.LocationWrongStatus,
        errors.LocationForbidden,
        errors.LocationRefused,
        errors.FormatsNotSetForImport,
        errors.ImportInProgress,
        *SIGNED,
        errors.SourceInvalid,
        errors.SourceRefused,
        errors.QuotaExceeded,
        errors.UploadingCountExceeded,
        errors.LimitsUnavailable,
    ),
)
def add(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """202, the location is recorded and will be looked at; the id of that import is in a header."""
    asked = LocationRequest.parse(sent(request))
    accepted = locations.add(services, request.context, image_id, asked)
    return rendering.empty(202, headers={TASK_ID: accepted.id})


@describe(
    "List an image's locations",
    {200: Answer(description='Where the data of the image is, best first.', body=schema.LOCATIONS)},
    errors=(errors.ImageNotFound,),
)
def of_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with a bare list of locations, best first."""
    found = locations.of_image(services, request.context, image_id)
    return rendering.document(
        [views.location(services, each.store, each.url, each.metadata) for each in found]
    )


@describe(
    'Delete an image from a store',
    {204: Answer(description='The copy is gone, or will be.')},
    errors=(
        errors.ImageNotFound,
        errors.ImageChanged,
        errors.ImageBeingDeleted,
        errors.StoresNotEnabled,
        errors.StoreNotConfigured,
        errors.LocationWrongStatus,
        errors.LastLocation,
        errors.NotInStore,
        errors.StoreInUse,
        errors.StoreKeeps,
    ),
)
def delete_from_store(request: Request, services: 'Services', store: str, image_id: str) -> webob.Response:
    """204, the copy is gone, or will be."""
    locations.delete_from_store(services, request.context, store, image_id)
    return rendering.empty(204)
