"""Properties of a namespace of metadata definitions."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import metadefs as schema
from imagepipe.api.v2 import metadef_answers as answers
from imagepipe.api.v2 import parameters
from imagepipe.api.views import metadefs as views
from imagepipe.domain import metadefs
from imagepipe.operations import metadef_items
from imagepipe.operations.metadef_items import PROPERTIES

if TYPE_CHECKING:
    from imagepipe.services import Services

_PROPERTY = Answer(description='The property.', body=schema.PROPERTY_MODEL)


@describe(
    'List the properties of a namespace',
    {200: Answer(description='The properties.', body=schema.PROPERTIES_MODEL)},
    errors=answers.LISTING,
)
def search(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """200 with all properties by name."""
    _, found = metadef_items.search(services, request.context, PROPERTIES, namespace)
    return rendering.document({'properties': views.properties(found)})


@describe('Create a property', {201: _PROPERTY}, takes={JSON: schema.PROPERTY_MODEL}, errors=answers.ADDING)
def create(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """201 with the new property."""
    _, item = metadef_items.add(services, request.context, PROPERTIES, namespace, _sent(request))
    return rendering.document(views.property_(item), status=201)


@describe(
    'Show a property',
    {200: _PROPERTY},
    parameters=(parameters.RESOURCE_TYPE,),
    errors=(*answers.SHOWING, errors.MetadefPrefixMissing),
)
def show(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """200 with the property; where a resource type is named, `name` begins with that one's prefix."""
    resource_type = dict(request.parameters).get('resource_type')
    if resource_type:
        item = metadef_items.get_property(services, request.context, namespace, name, resource_type)
    else:
        _, item = metadef_items.get(services, request.context, PROPERTIES, namespace, name)
    return rendering.document(views.property_(item))


@describe(
    'Replace a property', {200: _PROPERTY}, takes={JSON: schema.PROPERTY_MODEL}, errors=answers.REPLACING
)
def replace(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """200 with the property as it was sent."""
    _, item = metadef_items.replace(services, request.context, PROPERTIES, namespace, name, _sent(request))
    return rendering.document(views.property_(item))


@describe('Delete a property', answers.GONE, errors=answers.REMOVING)
def delete(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """204, the property is gone."""
    metadef_items.remove(services, request.context, PROPERTIES, namespace, name)
    return rendering.empty(204)


@describe('Delete the properties of a namespace', answers.ALL_GONE, errors=answers.CLEARING)
def clear(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """204, the namespace has no properties."""
    metadef_items.clear(services, request.context, PROPERTIES, namespace)
    return rendering.empty(204)


def _sent(request: Request) -> metadefs.PropertyDefinition:
    body = sent(request, first=metadefs.check_times)
    return metadefs.property_of(body['name'], body)
