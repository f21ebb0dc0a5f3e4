"""Namespaces of metadata definitions: list, create, show, replace, delete."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import metadefs as schema
from imagepipe.api.v2 import parameters
from imagepipe.api.views import metadefs as views
from imagepipe.domain import listing, metadef_listing, metadefs
from imagepipe.operations import metadef_namespaces

if TYPE_CHECKING:
    from imagepipe.services import Services

_PATH = '/v2/metadefs/namespaces'


@describe(
    'List namespaces of metadata definitions',
    {200: Answer(description='A page of namespaces.', body=schema.NAMESPACES_MODEL)},
    parameters=parameters.METADEF_NAMESPACES,
    errors=(
        errors.InvalidQuery,
        errors.MarkerForbidden,
        errors.MetadefHidden,
        errors.MetadefNamespaceNotFound,
    ),
)
def search(request: Request, services: 'Services') -> webob.Response:
    """200 with a page of namespaces and links to the first and the next."""
    pairs, conf = request.parameters, services.conf
    query = metadef_listing.namespaces(
        dict(pairs), default_limit=conf.limit_param_default, max_limit=conf.api_limit_max
    )
    page = metadef_namespaces.search(services, request.context, query)
    return rendering.document(
        {
            'namespaces': [
                views.namespace(found, metadefs.Contents(associations=tuple(associations)))
                for found, associations in page.namespaces
            ],
            **listing.links(_PATH, pairs, page.next_marker, urlencode),
            'schema': '/v2/schemas/metadefs/namespaces',
        }
    )


@describe(
    'Create a namespace with everything in it',
    {
        201: Answer(
            description='The namespace.',
            body=schema.NAMESPACE_MODEL,
            headers={'Location': 'The URL of the namespace.'},
        )
    },
    takes={JSON: schema.NAMESPACE_MODEL},
    errors=(
        errors.MetadefHidden,
        errors.MetadefReadOnly,
        errors.MetadefNamespaceExists,
        errors.MetadefRepeated,
    ),
)
def create(request: Request, services: 'Services') -> webob.Response:
    """201 with the new namespace, and with its contents as they were sent."""
    body = _sent(request)
    contents = metadefs.contents_of(body)
    namespace = metadef_namespaces.create(services, request.context, body, contents)
    headers = {'Location': f'{request.application_url}{views.location_of(namespace)}'}
    return rendering.document(views.namespace(namespace, contents), status=201, headers=headers)


@describe(
    'Show a namespace with everything in it',
    {200: Answer(description='The namespace.', body=schema.NAMESPACE_MODEL)},
    parameters=(parameters.RESOURCE_TYPE,),
    errors=(errors.MetadefNamespaceNotFound,),
)
def show(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """200 with the namespace and its contents; for a resource type, if one is named."""
    found, contents = metadef_namespaces.get(services, request.context, namespace)
    resource_type = dict(request.parameters).get('resource_type')
    if resource_type:
        contents = contents.prefixed(resource_type)
    return rendering.document(views.namespace(found, contents))


@describe(
    'Replace the attributes of a namespace',
    {200: Answer(description='The namespace.', body=schema.NAMESPACE_MODEL)},
    takes={JSON: schema.NAMESPACE_MODEL},
    errors=(
        errors.MetadefNamespaceNotFound,
        errors.MetadefReadOnly,
        errors.MetadefNamespaceExists,
    ),
)
def replace(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """200 with the namespace, without its contents."""
    body = _sent(request)
    saved = metadef_namespaces.replace(services, request.context, namespace, body)
    return rendering.document(views.namespace(saved, metadefs.Contents()))


@describe(
    'Delete a namespace with everything in it',
    {204: Answer(description='It is gone.')},
    errors=(
        errors.MetadefNamespaceNotFound,
        errors.MetadefProtected,
    ),
)
def delete(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """204, the namespace and its contents are gone."""
    metadef_namespaces.delete(services, request.context, namespace)
    return rendering.empty(204)


def _sent(request: Request) -> Mapping[str, object]:
    body = sent(request, first=metadefs.check_times_and_links)
    metadefs.check_addressable(body['namespace'])
    return body
