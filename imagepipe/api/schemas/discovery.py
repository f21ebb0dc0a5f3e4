"""What a service tells of itself: import methods, stores, this document, and schemas."""

from imagepipe.api.description import TEXT, WHOLE, Schema, model
from imagepipe.domain.store_state import StoreState
from imagepipe.domain.usage import KEYSTONE_NAMES

IMPORT_METHODS = model(
    'ImportMethods',
    {
        'type': 'object',
        'required': ['import-methods'],
        'properties': {
            'import-methods': {
                'type': 'object',
                'required': ['description', 'type', 'value'],
                'properties': {
                    'description': TEXT,
                    'type': {'const': 'array'},
                    'value': {'type': 'array', 'items': TEXT},
                },
            },
            'imagepipe': {
                'type': 'object',
                'description': 'What is added to the Images API.',
                'properties': {
                    'extensions': {'type': 'array', 'items': TEXT},
                    'expected': {'type': 'array', 'items': TEXT},
                },
            },
        },
    },
)
_STORE: dict[str, Schema] = {
    'id': TEXT,
    'description': TEXT,
    'default': {'const': 'true'},
    'read-only': {'const': 'true'},
}
_DETAILS: dict[str, Schema] = {
    'type': TEXT,
    'weight': {'type': 'integer'},
    'properties': {'type': 'object'},
    'imagepipe': {
        'type': 'object',
        'description': 'How the store is, as the conductors have found.',
        'required': ['state'],
        'additionalProperties': False,
        'properties': {
            'state': {'enum': [state.value for state in StoreState]},
            'since': TEXT,
            'error_code': TEXT,
            'message': TEXT,
            'hosts': {'type': 'array', 'items': TEXT},
        },
    },
}


def _stores(properties: dict[str, Schema], required: list[str]) -> Schema:
    store = {'type': 'object', 'required': required, 'properties': properties}
    return {
        'type': 'object',
        'required': ['stores'],
        'properties': {'stores': {'type': 'array', 'items': store}},
    }


STORES = model('Stores', _stores(_STORE, ['id']))
DETAILED_STORES = model('DetailedStores', _stores({**_STORE, **_DETAILS}, ['id', *_DETAILS]))
_USAGE = {
    'type': 'object',
    'required': ['usage', 'limit'],
    'additionalProperties': False,
    'properties': {'usage': WHOLE, 'limit': {'type': 'integer', 'minimum': -1}},
}
USAGE = model(
    'Usage',
    {
        'type': 'object',
        'required': ['usage'],
        'properties': {
            'usage': {
                'type': 'object',
                'description': 'Empty where limits are not those of Keystone. Sizes are MiB; -1 is no limit.',
                'properties': dict.fromkeys(KEYSTONE_NAMES.values(), _USAGE),
                'additionalProperties': False,
            }
        },
    },
)
#: A JSON Schema document of /v2/schemas, or the OpenAPI document.
DOCUMENT = model('Document', {'type': 'object'})
