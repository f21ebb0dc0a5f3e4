"""Errors of the image cache."""

from imagepipe.errors.base import BadRequest, Conflict, NotFound


class CacheDisabled(NotFound):
    """This node has no image cache: image_cache_dir is not set."""

    code = 'imagepipe.cache.disabled'
    template = 'Images are not cached at this site.'
    cure = 'Set image_cache_dir on this node if it is to have a cache.'


class CacheNeedsActive(BadRequest):
    """Only an active image can be fetched into the cache."""

    code = 'imagepipe.cache.not_active'
    template = 'Image {image_id} is {status}; only an active image can be cached.'
    cure = 'Give the image its data first, or reactivate it.'


class CacheNodesUnknown(Conflict):
    """image_cache_driver is not centralized_db."""

    code = 'imagepipe.cache.nodes_unknown'
    template = 'Which nodes have a copy of an image is told only with image_cache_driver centralized_db.'
    cure = 'Set image_cache_driver to centralized_db, or ask each node for what it has.'
