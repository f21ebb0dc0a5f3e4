"""Rules of the image cache."""

from oslo_policy import policy

from imagepipe.policies import base

MANAGE_IMAGE_CACHE = 'manage_image_cache'
CACHE_IMAGE = 'cache_image'
CACHE_LIST = 'cache_list'
CACHE_DELETE = 'cache_delete'
CACHE_CLEAN = 'cache_clean'
CACHE_PRUNE = 'cache_prune'
LIST_CACHED_NODES = 'list_cached_nodes'

_CACHE = '/v2/cache'
_IMAGE = '/v2/cache/{image_id}'


def _rule(name: str, description: str, *operations: tuple[str, str]) -> policy.RuleDefault:
    return base.rule(name, base.ADMIN, description, *operations)


RULES = [
    _rule(
        MANAGE_IMAGE_CACHE,
        'Use the older calls of the cache.',
        ('GET', '/v2/cached_images'),
        ('DELETE', '/v2/cached_images'),
        ('DELETE', '/v2/cached_images/{image_id}'),
        ('GET', '/v2/queued_images'),
        ('DELETE', '/v2/queued_images'),
        ('PUT', '/v2/queued_images/{image_id}'),
        ('DELETE', '/v2/queued_images/{image_id}'),
    ),
    _rule(CACHE_IMAGE, 'Have an image fetched into the cache.', ('PUT', _IMAGE)),
    _rule(CACHE_LIST, 'See what is cached and what waits for it.', ('GET', _CACHE)),
    _rule(
        CACHE_DELETE,
        'Remove images from the cache and from what waits for it.',
        ('DELETE', _CACHE),
        ('DELETE', _IMAGE),
    ),
    _rule(CACHE_CLEAN, 'Remove what is left of broken-off copies.', ('POST', '/v2/cache/clean')),
    _rule(CACHE_PRUNE, 'Bring the cache below its largest size.', ('POST', '/v2/cache/prune')),
    _rule(LIST_CACHED_NODES, 'See which nodes have a copy.', ('GET', '/v2/cache/nodes/{image_id}')),
]
