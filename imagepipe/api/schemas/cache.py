"""What is told of the image cache."""

from imagepipe.api.description import TEXT, WHOLE, model

_SECONDS = {'type': 'number', 'description': 'Seconds since the epoch.'}

COPY = model(
    'CachedImage',
    {
        'type': 'object',
        'required': ['image_id', 'size', 'hits', 'last_accessed', 'last_modified', 'checksum'],
        'properties': {
            'id': WHOLE,
            'image_id': TEXT,
            'size': WHOLE,
            'hits': WHOLE,
            'last_accessed': {**_SECONDS, 'description': 'Seconds since the epoch; 0 for never.'},
            'last_modified': _SECONDS,
            'checksum': {'type': ['string', 'null']},
        },
    },
)
_COPIES = {'type': 'array', 'items': COPY.ref}
_IDS = {'type': 'array', 'items': TEXT}

CACHE = model(
    'Cache',
    {
        'type': 'object',
        'required': ['cached_images', 'queued_images'],
        'properties': {'cached_images': _COPIES, 'queued_images': _IDS},
    },
    uses=(COPY,),
)
CACHED_IMAGES = model(
    'CachedImages',
    {'type': 'object', 'required': ['cached_images'], 'properties': {'cached_images': _COPIES}},
    uses=(COPY,),
)
QUEUED_IMAGES = model(
    'QueuedImages',
    {'type': 'object', 'required': ['queued_images'], 'properties': {'queued_images': _IDS}},
)
DELETED = model(
    'NumberDeleted', {'type': 'object', 'required': ['num_deleted'], 'properties': {'num_deleted': WHOLE}}
)
PRUNED = model(
    'Pruned',
    {
        'type': 'object',
        'required': ['total_files_pruned', 'total_bytes_pruned'],
        'properties': {'total_files_pruned': WHOLE, 'total_bytes_pruned': WHOLE},
    },
)
NODES = model('CacheNodes', {'type': 'array', 'items': TEXT})
