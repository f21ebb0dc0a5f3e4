"""The image cache of this node: looking at it, filling it on demand, emptying it."""

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.cache import CachedImage, ClearTarget, Pruned
from imagepipe.domain.image import Image, Status
from imagepipe.domain.location import Location
from imagepipe.operations.downloads import ordered
from imagepipe.policies import cache as rules
from imagepipe.policies import images as image_rules

if TYPE_CHECKING:
    from imagepipe.cache.node import Cache
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: How often an image is tried before it leaves the queue.
ATTEMPTS = 5


# older: asked by one of the older calls, which have one rule for all.


def cached(services: 'Services', context: RequestContext, *, older: bool = False) -> list[CachedImage]:
    """The copies on this node. Raises PolicyForbids, CacheDisabled."""
    cache = _authorized(services, context, rules.MANAGE_IMAGE_CACHE if older else rules.CACHE_LIST)
    with cache.directory.translated():
        there = cache.directory.complete()
    found = services.db.read(lambda tx: tx.cache.of_node(cache.node))
    return [copy for copy in found if copy.image_id in there]


def queued(services: 'Services', context: RequestContext, *, older: bool = False) -> list[str]:
    """The images that this node is to fetch. Raises PolicyForbids, CacheDisabled."""
    cache = _authorized(services, context, rules.MANAGE_IMAGE_CACHE if older else rules.CACHE_LIST)
    return _queue(services, cache)


def enqueue(services: 'Services', context: RequestContext, image_id: str, *, older: bool = False) -> None:
    """Have this node fetch an active image.

    Raises ImageNotFound, PolicyForbids, CacheDisabled, CacheNeedsActive.
    """
    if older:
        services.policy.authorize(context, rules.MANAGE_IMAGE_CACHE)

    def change(tx: 'Transaction') -> None:
        image = _image(services, context, tx, image_id)
        if not older:
            services.policy.authorize(context, rules.CACHE_IMAGE, image)
        cache = _of_node(services)
        if image.status is not Status.ACTIVE:
            raise errors.CacheNeedsActive(image_id=image_id, status=image.status)
        tx.cache.enqueue(cache.node, image_id)

    services.db.run(change)
    services.cache.wanted.set()


def remove(services: 'Services', context: RequestContext, image_id: str) -> None:
    """Remove an image from the cache and the queue; fine when it is in neither.

    Raises PolicyForbids, CacheDisabled; ImageNotFound when there is neither image nor copy.
    """

    def look(tx: 'Transaction') -> Image | None:
        try:
            return _image(services, context, tx, image_id)
        except errors.ImageNotFound:
            if services.cache is None or not _known(services.cache, tx, image_id):
                raise
            return None

    services.policy.authorize(context, rules.CACHE_DELETE, services.db.snapshot(look))
    cache = _of_node(services)
    _removed(services, cache, [image_id])
    _dequeued(services, cache, [image_id])


def remove_copies(
    services: 'Services', context: RequestContext, image_ids: Collection[str] | None = None
) -> int:
    """Remove these copies, or all; how many there were. Raises PolicyForbids, CacheDisabled."""
    cache = _authorized(services, context, rules.MANAGE_IMAGE_CACHE)
    return _removed(services, cache, image_ids)


def dequeue(services: 'Services', context: RequestContext, image_ids: Collection[str] | None = None) -> int:
    """Take these images, or all, from the queue; how many were in it. Raises PolicyForbids, CacheDisabled."""
    cache = _authorized(services, context, rules.MANAGE_IMAGE_CACHE)
    return _dequeued(services, cache, image_ids)


def clear(services: 'Services', context: RequestContext, target: ClearTarget) -> None:
    """Empty the cache, the queue, or both. Raises PolicyForbids, CacheDisabled."""
    cache = _authorized(services, context, rules.CACHE_DELETE)
    if target is not ClearTarget.CACHE:
        _dequeued(services, cache, None)
    if target is not ClearTarget.QUEUE:
        _removed(services, cache, None)


def clean(services: 'Services', context: RequestContext) -> None:
    """Remove what is left of broken-off copies. Raises PolicyForbids, CacheDisabled."""
    _authorized(services, context, rules.CACHE_CLEAN).clean()


def prune(services: 'Services', context: RequestContext) -> Pruned:
    """Bring the cache below its largest size. Raises PolicyForbids, CacheDisabled."""
    return _authorized(services, context, rules.CACHE_PRUNE).prune()


def nodes(services: 'Services', context: RequestContext, image_id: str) -> list[str]:
    """The nodes that have a copy. Raises PolicyForbids, CacheDisabled, CacheNodesUnknown, ImageNotFound."""
    if not _authorized(services, context, rules.LIST_CACHED_NODES).nodes_told:
        raise errors.CacheNodesUnknown()

    def look(tx: 'Transaction') -> list[str]:
        _image(services, context, tx, image_id)
        return tx.cache.nodes_of(image_id)

    return services.db.snapshot(look)


def prefetch(services: 'Services') -> int:
    """Fetch what the queue of this node has, each image once; how many were fetched.

    To be run by one process of the node at a time.
    """
    cache = _of_node(services)
    tried: set[str] = set()
    fetched = 0
    while waiting := [each for each in _queue(services, cache) if each not in tried]:
        tried.add(waiting[0])
        fetched += _fetch(services, cache, waiting[0])
    return fetched


def _fetch(services: 'Services', cache: 'Cache', image_id: str) -> bool:
    """One image of the queue; an image that cannot be had any more, or has a copy, leaves the queue."""

    def look(tx: 'Transaction') -> tuple[Image, list[Location]]:
        return tx.images.find(image_id), tx.locations.of_primary(image_id)

    try:
        image, locations = services.db.snapshot(look)
        reader = services.stores.reading(
            ordered(services, locations, ()), image_id=image.id, start=0, stop=image.size or 0
        )
        if image.status is not Status.ACTIVE or not reader.open():
            raise errors.CacheNeedsActive(image_id=image_id, status=image.status)
        try:
            fetched = cache.fetch(image, reader)
        finally:
            reader.close()
    except (errors.ImageNotFound, errors.CacheNeedsActive, errors.StoreFull) as error:
        LOG.warning('Image %s will not be cached: %s', image_id, error)
        _dequeued(services, cache, [image_id])
        return False
    except errors.ImagepipeError as error:
        _note_failure(services, cache, image_id, error)
        return False
    if not fetched:
        _dequeued(services, cache, [image_id])
    return fetched


def _note_failure(services: 'Services', cache: 'Cache', image_id: str, error: errors.ImagepipeError) -> None:
    LOG.warning('Image %s could not be fetched into the cache: %s', image_id, error)

    def change(tx: 'Transaction') -> None:
        tx.cache.failed(cache.node, image_id)
        if tx.cache.queued(cache.node).get(image_id, 0) >= ATTEMPTS:
            tx.cache.dequeue(cache.node, [image_id])

    services.db.run(change)


def _queue(services: 'Services', cache: 'Cache') -> list[str]:
    return services.db.read(lambda tx: list(tx.cache.queued(cache.node)))


def _authorized(services: 'Services', context: RequestContext, rule: str) -> 'Cache':
    services.policy.authorize(context, rule)
    return _of_node(services)


def _of_node(services: 'Services') -> 'Cache':
    if services.cache is None:
        raise errors.CacheDisabled()
    return services.cache


def _image(services: 'Services', context: RequestContext, tx: 'Transaction', image_id: str) -> Image:
    """An image that the caller sees."""
    image = tx.images.get(context, image_id)
    services.policy.authorize_image(context, image_rules.GET_IMAGE, image)
    return image


def _known(cache: 'Cache', tx: 'Transaction', image_id: str) -> bool:
    """Whether this node has the image, or is to fetch it."""
    return image_id in tx.cache.queued(cache.node) or cache.node in tx.cache.nodes_of(image_id)


def _removed(services: 'Services', cache: 'Cache', image_ids: Collection[str] | None) -> int:
    if image_ids is None:
        with cache.directory.translated():
            image_ids = cache.directory.complete()
    return cache.remove(list(image_ids))


def _dequeued(services: 'Services', cache: 'Cache', image_ids: Collection[str] | None) -> int:
    def change(tx: 'Transaction') -> int:
        return tx.cache.dequeue(cache.node, tx.cache.queued(cache.node) if image_ids is None else image_ids)

    return services.db.run(change)
