"""Resource types, and those that a namespace of metadata definitions is associated with."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import metadefs as schema
from imagepipe.api.v2 import metadef_answers as answers
from imagepipe.api.views import metadefs as views
from imagepipe.domain import metadefs
from imagepipe.operations import metadef_items
from imagepipe.operations.metadef_items import RESOURCE_TYPES

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe(
    'List every resource type',
    {200: Answer(description='The resource types.', body=schema.RESOURCE_TYPES_MODEL)},
    errors=(errors.MetadefHidden,),
)
def every(request: Request, services: 'Services') -> webob.Response:
    """200 with every resource type that was ever associated."""
    found = metadef_items.resource_types(services, request.context)
    return rendering.document({'resource_types': [views.named(each) for each in found]})


@describe(
    'List the resource types of a namespace',
    {200: Answer(description='The resource types.', body=schema.ASSOCIATIONS_MODEL)},
    errors=answers.LISTING,
)
def search(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """200 with the associations of the namespace."""
    _, found = metadef_items.search(services, request.context, RESOURCE_TYPES, namespace)
    return rendering.document({'resource_type_associations': [views.association(each) for each in found]})


@describe(
    'Associate a resource type with a namespace',
    {201: Answer(description='The association.', body=schema.RESOURCE_TYPE_MODEL)},
    takes={JSON: schema.RESOURCE_TYPE_MODEL},
    errors=answers.ADDING,
)
def create(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """201 with the new association."""
    asked = metadefs.association_of(sent(request, first=metadefs.check_times))
    _, item = metadef_items.add(services, request.context, RESOURCE_TYPES, namespace, asked)
    return rendering.document(views.association(item), status=201)


@describe('Take a resource type away from a namespace', answers.GONE, errors=answers.REMOVING)
def delete(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """204, the association is gone; the resource type stays."""
    metadef_items.remove(services, request.context, RESOURCE_TYPES, namespace, name)
    return rendering.empty(204)
