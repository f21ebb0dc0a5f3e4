"""Locations: what POST locations asks for, and where an image's data is (reference, section 10)."""

from imagepipe.api.description import TEXT, model
from imagepipe.domain.validation import ALGORITHMS, MAX_URL, MAX_VALUE

REQUEST = model(
    'LocationRequest',
    {
        'type': 'object',
        'required': ['url'],
        'properties': {
            'url': {'type': 'string', 'minLength': 1, 'maxLength': MAX_URL},
            'validation_data': {
                'type': 'object',
                'description': 'The digest that the data must have; both or none.',
                'additionalProperties': False,
                'dependentRequired': {'os_hash_algo': ['os_hash_value'], 'os_hash_value': ['os_hash_algo']},
                'properties': {
                    'os_hash_algo': {'enum': list(ALGORITHMS)},
                    'os_hash_value': {'type': 'string', 'maxLength': MAX_VALUE},
                },
            },
        },
    },
)
LOCATIONS = model(
    'Locations',
    {
        'type': 'array',
        'items': {
            'type': 'object',
            'required': ['url', 'metadata'],
            'additionalProperties': False,
            'properties': {'url': TEXT, 'metadata': {'type': 'object', 'additionalProperties': TEXT}},
        },
    },
)
