"""Objects of a namespace of metadata definitions."""

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
from imagepipe.domain import metadef_listing, metadefs
from imagepipe.operations import metadef_items
from imagepipe.operations.metadef_items import OBJECTS

if TYPE_CHECKING:
    from imagepipe.services import Services

_OBJECT = Answer(description='The object.', body=schema.OBJECT_MODEL)


@describe(
    'List the objects of a namespace',
    {200: Answer(description='The objects.', body=schema.OBJECTS_MODEL)},
    errors=(*answers.LISTING, errors.InvalidQuery),
)
def search(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """200 with all objects."""
    metadef_listing.check_objects(dict(request.parameters))
    found, objects = metadef_items.search(services, request.context, OBJECTS, namespace)
    return rendering.document(
        {
            'objects': [views.object_(found, each) for each in objects],
            'schema': 'v2/schemas/metadefs/objects',  # as in Glance
        }
    )


@describe('Create an object', {201: _OBJECT}, takes={JSON: schema.OBJECT_MODEL}, errors=answers.ADDING)
def create(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """201 with the new object."""
    found, item = metadef_items.add(services, request.context, OBJECTS, namespace, _sent(request))
    return rendering.document(views.object_(found, item), status=201)


@describe('Show an object', {200: _OBJECT}, errors=answers.SHOWING)
def show(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """200 with the object."""
    found, item = metadef_items.get(services, request.context, OBJECTS, namespace, name)
    return rendering.document(views.object_(found, item))


@describe('Replace an object', {200: _OBJECT}, takes={JSON: schema.OBJECT_MODEL}, errors=answers.REPLACING)
def replace(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """200 with the object as it was sent."""
    found, item = metadef_items.replace(services, request.context, OBJECTS, namespace, name, _sent(request))
    return rendering.document(views.object_(found, item))


@describe('Delete an object', answers.GONE, errors=answers.REMOVING)
def delete(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """204, the object is gone."""
    metadef_items.remove(services, request.context, OBJECTS, namespace, name)
    return rendering.empty(204)


@describe('Delete the objects of a namespace', answers.ALL_GONE, errors=answers.CLEARING)
def clear(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """204, the namespace has no objects."""
    metadef_items.clear(services, request.context, OBJECTS, namespace)
    return rendering.empty(204)


def _sent(request: Request) -> metadefs.ObjectDefinition:
    return metadefs.object_of(sent(request, first=metadefs.check_times_and_links))
