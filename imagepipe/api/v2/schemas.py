"""Schema documents: clients learn from them which properties are base (reference, section 12)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import webob

from imagepipe.api import openapi, rendering
from imagepipe.api.description import Answer, describe
from imagepipe.api.request import Request
from imagepipe.api.schemas import discovery, metadefs
from imagepipe.api.schemas import image as schema
from imagepipe.api.schemas import member as member_schema
from imagepipe.api.schemas import task as task_schema

if TYPE_CHECKING:
    from imagepipe.services import Services


@describe('Show the schema of an image', {200: Answer(description='A JSON schema.', body=discovery.DOCUMENT)})
def image(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of an image."""
    return rendering.document(schema.of(services.conf).document)


@describe(
    'Show the schema of a list of images',
    {200: Answer(description='A JSON schema.', body=discovery.DOCUMENT)},
)
def images(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of a list of images."""
    return rendering.document(schema.of(services.conf).list_document)


@describe('Show the schema of a member', {200: Answer(description='A JSON schema.', body=discovery.DOCUMENT)})
def member(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of a member."""
    return rendering.document(member_schema.SCHEMA)


@describe(
    'Show the schema of a list of members',
    {200: Answer(description='A JSON schema.', body=discovery.DOCUMENT)},
)
def members(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of a list of members."""
    return rendering.document(member_schema.LIST_SCHEMA)


@describe('Show the schema of a task', {200: Answer(description='A JSON schema.', body=discovery.DOCUMENT)})
def task(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of a task."""
    return rendering.document(task_schema.SCHEMA)


@describe(
    'Show the schema of a list of tasks', {200: Answer(description='A JSON schema.', body=discovery.DOCUMENT)}
)
def tasks(request: Request, services: 'Services') -> webob.Response:
    """200 with the schema of a list of tasks."""
    return rendering.document(task_schema.LIST_SCHEMA)


@describe('Show this document', {200: Answer(description='OpenAPI 3.1, as JSON.', body=discovery.DOCUMENT)})
def whole(request: Request, services: 'Services') -> webob.Response:
    """200 with the whole API as an OpenAPI document; its schemas are those of this configuration."""
    return rendering.document(openapi.document(request.routes, services.conf))


def metadef(name: str) -> Callable[..., webob.Response]:
    """The handler that shows one of the schemas of metadata definitions."""

    def show(request: Request, services: 'Services') -> webob.Response:
        """200 with the schema."""
        return rendering.document(metadefs.DOCUMENTS[name])

    show.__name__ = f'metadef_{name}'
    answer = Answer(description='A JSON schema.', body=discovery.DOCUMENT)
    return describe(f'Show the schema metadefs/{name}', {200: answer})(show)
