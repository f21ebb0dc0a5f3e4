"""The image cache: /v2/cache, and the older calls of cached_images and queued_images."""

import dataclasses
from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api import rendering
from imagepipe.api.description import Answer, describe
from imagepipe.api.request import Request
from imagepipe.api.schemas import cache as schema
from imagepipe.api.v2 import parameters
from imagepipe.domain.cache import ClearTarget
from imagepipe.operations import cache

if TYPE_CHECKING:
    from imagepipe.services import Services

#: What every call may end with.
_ANY = (errors.CacheDisabled, errors.StoreTransient)
_QUEUEING = (*_ANY, errors.ImageNotFound, errors.CacheNeedsActive)


@describe(
    'Show the image cache',
    {200: Answer(description='What this node has, and what it is to fetch.', body=schema.CACHE)},
    errors=_ANY,
)
def show(request: Request, services: 'Services') -> webob.Response:
    """200 with what this node has, and what it is to fetch."""
    copies = [dataclasses.asdict(copy) for copy in cache.cached(services, request.context)]
    return rendering.document(
        {'cached_images': copies, 'queued_images': cache.queued(services, request.context)}
    )


@describe(
    'Have an image cached',
    {202: Answer(description='This node will fetch the image.')},
    errors=_QUEUEING,
)
def add(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """202, this node will fetch the image."""
    cache.enqueue(services, request.context, image_id)
    return rendering.empty(202)


@describe(
    'Remove an image from the cache',
    {204: Answer(description='This node neither has the image nor fetches it.')},
    errors=(*_ANY, errors.ImageNotFound),
)
def remove(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """204, this node neither has the image nor fetches it."""
    cache.remove(services, request.context, image_id)
    return rendering.empty(204)


@describe(
    'Empty the cache',
    {204: Answer(description='The cache, the queue or both are empty.')},
    parameters=(parameters.CLEAR_TARGET,),
    errors=(*_ANY, errors.InvalidHeader),
)
def clear(request: Request, services: 'Services') -> webob.Response:
    """204, the cache, the queue or both are empty. Raises InvalidHeader."""
    name = parameters.CLEAR_TARGET.name
    try:
        target = ClearTarget(request.headers.get(name, '').lower())
    except ValueError:
        raise errors.InvalidHeader(name=name, reason="it must be 'cache', 'queue' or empty") from None
    cache.clear(services, request.context, target)
    return rendering.empty(204)


@describe(
    'Clean the cache',
    {200: Answer(description='What was left of broken-off copies is gone.')},
    errors=_ANY,
)
def clean(request: Request, services: 'Services') -> webob.Response:
    """200, what was left of broken-off copies is gone."""
    cache.clean(services, request.context)
    return rendering.empty(200)


@describe(
    'Prune the cache',
    {200: Answer(description='What was removed.', body=schema.PRUNED)},
    errors=_ANY,
)
def prune(request: Request, services: 'Services') -> webob.Response:
    """200 with what was removed to come below the largest size."""
    pruned = cache.prune(services, request.context)
    return rendering.document({'total_files_pruned': pruned.files, 'total_bytes_pruned': pruned.bytes})


@describe(
    'List the nodes that have an image cached',
    {200: Answer(description='Their URLs.', body=schema.NODES)},
    errors=(*_ANY, errors.ImageNotFound, errors.CacheNodesUnknown),
)
def nodes(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with the URLs of the nodes that have the image."""
    return rendering.document(cache.nodes(services, request.context, image_id))


# The older calls.


@describe(
    'List cached images, the older call',
    {200: Answer(description='What this node has.', body=schema.CACHED_IMAGES)},
    errors=_ANY,
)
def cached_images(request: Request, services: 'Services') -> webob.Response:
    """200 with what this node has."""
    found = cache.cached(services, request.context, older=True)
    return rendering.document({'cached_images': [dataclasses.asdict(copy) for copy in found]})


@describe(
    'Remove all images from the cache, the older call',
    {200: Answer(description='How many there were.', body=schema.DELETED)},
    errors=_ANY,
)
def delete_cached_images(request: Request, services: 'Services') -> webob.Response:
    """200 with the number of copies removed."""
    return rendering.document({'num_deleted': cache.remove_copies(services, request.context)})


@describe(
    'Remove an image from the cache, the older call',
    {200: Answer(description='This node does not have the image; the body is null.')},
    errors=_ANY,
)
def delete_cached_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200, this node does not have the image."""
    cache.remove_copies(services, request.context, [image_id])
    return rendering.document(None)


@describe(
    'List what is to be cached, the older call',
    {200: Answer(description='What this node is to fetch.', body=schema.QUEUED_IMAGES)},
    errors=_ANY,
)
def queued_images(request: Request, services: 'Services') -> webob.Response:
    """200 with what this node is to fetch."""
    found = cache.queued(services, request.context, older=True)
    return rendering.document({'queued_images': found})


@describe(
    'Have an image cached, the older call',
    {200: Answer(description='This node will fetch the image; the body is null.')},
    errors=_QUEUEING,
)
def queue_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200, this node will fetch the image."""
    cache.enqueue(services, request.context, image_id, older=True)
    return rendering.document(None)


@describe(
    'Empty the queue, the older call',
    {200: Answer(description='How many there were.', body=schema.DELETED)},
    errors=_ANY,
)
def delete_queued_images(request: Request, services: 'Services') -> webob.Response:
    """200 with the number of images taken from the queue."""
    return rendering.document({'num_deleted': cache.dequeue(services, request.context)})


@describe(
    'Take an image from the queue, the older call',
    {200: Answer(description='This node does not fetch the image; the body is null.')},
    errors=_ANY,
)
def delete_queued_image(request: Request, services: 'Services', image_id: str) -> webob.Response:
    """200, this node does not fetch the image."""
    cache.dequeue(services, request.context, [image_id])
    return rendering.document(None)
