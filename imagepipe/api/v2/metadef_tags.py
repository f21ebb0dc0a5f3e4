"""Tags of a namespace of metadata definitions."""

from typing import TYPE_CHECKING

import webob
from oslo_utils import strutils

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import JSON, Answer, describe
from imagepipe.api.gate import sent
from imagepipe.api.request import Request
from imagepipe.api.schemas import metadefs as schema
from imagepipe.api.v2 import metadef_answers as answers
from imagepipe.api.v2 import parameters
from imagepipe.api.views import metadefs as views
from imagepipe.domain import metadef_listing, metadefs
from imagepipe.operations import metadef_items
from imagepipe.operations.metadef_items import TAGS

if TYPE_CHECKING:
    from imagepipe.services import Services

_TAG = Answer(description='The tag.', body=schema.TAG_MODEL)


@describe(
    'List the tags of a namespace',
    {200: Answer(description='The tags.', body=schema.TAGS_MODEL)},
    parameters=parameters.METADEF_TAGS,
    errors=(*answers.LISTING, errors.InvalidQuery, errors.MetadefNotFound),
)
def search(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """200 with the tags, newest first."""
    page = metadef_listing.tags(dict(request.parameters), max_limit=services.conf.api_limit_max)
    found = metadef_items.search_tags(services, request.context, namespace, page)
    return rendering.document({'tags': [views.tag_name(each) for each in found]})


@describe(
    'Replace the tags of a namespace, or add some',
    {201: Answer(description='The tags that were sent.', body=schema.TAGS_MODEL)},
    takes={JSON: schema.TAGS_MODEL},
    parameters=(parameters.APPEND,),
    errors=(*answers.LISTING, errors.MetadefExists, errors.MetadefRepeated),
)
def set_all(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """201 with the tags that were sent: they replace the others, or are appended to them."""
    tags = [metadefs.tag_of(each) for each in sent(request)['tags']]
    append = strutils.bool_from_string(request.headers.get('X-Openstack-Append'))
    metadef_items.set_tags(services, request.context, namespace, tags, append=append)
    return rendering.document({'tags': [views.tag_name(each) for each in tags]}, status=201)


@describe('Create a tag', {201: _TAG}, errors=(*answers.LISTING, errors.InvalidBody, errors.MetadefExists))
def create(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """201 with the new tag."""
    body = {'name': name}
    request.gate.check(schema.TAG_MODEL, body)
    _, item = metadef_items.add(services, request.context, TAGS, namespace, metadefs.tag_of(body))
    return rendering.document(views.named(item), status=201)


@describe('Show a tag', {200: _TAG}, errors=answers.SHOWING)
def show(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """200 with the tag."""
    _, item = metadef_items.get(services, request.context, TAGS, namespace, name)
    return rendering.document(views.named(item))


@describe('Replace a tag', {200: _TAG}, takes={JSON: schema.TAG_MODEL}, errors=answers.REPLACING)
def replace(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """200 with the tag under its new name."""
    tag = metadefs.tag_of(sent(request, first=metadefs.check_times))
    _, item = metadef_items.replace(services, request.context, TAGS, namespace, name, tag)
    return rendering.document(views.named(item))


@describe('Delete a tag', answers.GONE, errors=answers.REMOVING)
def delete(request: Request, services: 'Services', namespace: str, name: str) -> webob.Response:
    """204, the tag is gone."""
    metadef_items.remove(services, request.context, TAGS, namespace, name)
    return rendering.empty(204)


@describe('Delete the tags of a namespace', answers.ALL_GONE, errors=answers.CLEARING)
def clear(request: Request, services: 'Services', namespace: str) -> webob.Response:
    """204, the namespace has no tags."""
    metadef_items.clear(services, request.context, TAGS, namespace)
    return rendering.empty(204)
