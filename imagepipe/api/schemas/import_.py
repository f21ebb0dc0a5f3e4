"""Imports: what a POST asks for, and imagepipe's own representation of an import."""

from imagepipe.api.description import TEXT, WHOLE, Schema, model, page
from imagepipe.domain.import_ import ImportState, StepState
from imagepipe.domain.import_request import DIGITS
from imagepipe.domain.remote import INTERFACES

_MAYBE_TEXT: Schema = {'type': ['string', 'null']}
_MAYBE_WHOLE: Schema = {'type': ['integer', 'null'], 'minimum': 0}
_DIGESTS: Schema = {'type': 'object', 'additionalProperties': TEXT}

REQUEST = model(
    'ImportRequest',
    {
        'type': 'object',
        'required': ['method'],
        'properties': {
            'method': {
                'type': 'object',
                'required': ['name'],
                'properties': {
                    'name': {'type': 'string', 'description': 'One of the methods of /v2/info/import.'},
                    'uri': {**_MAYBE_TEXT, 'description': 'For web-download: an http or https URL.'},
                    'glance_region': {**_MAYBE_TEXT, 'description': 'For glance-download: its region.'},
                    'glance_image_id': {**_MAYBE_TEXT, 'description': 'And the image there, by its id.'},
                    'glance_service_interface': {
                        **_MAYBE_TEXT,
                        'description': f'And the endpoint: {", ".join(INTERFACES)}.',
                        'default': 'public',
                    },
                },
            },
            'stores': {'type': ['array', 'null'], 'items': TEXT},
            'all_stores': {'type': 'boolean', 'default': False},
            'all_stores_must_succeed': {'type': 'boolean', 'default': True},
            'expected': {
                'type': 'object',
                'description': 'What the source must be: checked on its bytes, before any conversion.',
                'additionalProperties': False,
                'properties': {
                    'size': WHOLE,
                    **{
                        name: {'type': 'string', 'pattern': f'^[0-9a-fA-F]{{{digits}}}$'}
                        for name, digits in DIGITS.items()
                    },
                },
            },
        },
    },
)

_STEP: Schema = {
    'type': 'object',
    'required': ['name', 'state', 'attempt'],
    'properties': {
        'name': TEXT,
        'state': {'enum': [state.value for state in StepState]},
        'attempt': WHOLE,
        'worker': _MAYBE_TEXT,
        'bytes_done': _MAYBE_WHOLE,
        'bytes_total': _MAYBE_WHOLE,
        'error_code': _MAYBE_TEXT,
        'started_at': _MAYBE_TEXT,
        'updated_at': _MAYBE_TEXT,
        'finished_at': _MAYBE_TEXT,
        'failures': {
            'type': 'array',
            'description': 'Attempts that failed or were interrupted, the latest last, 20 at most.',
            'items': {
                'type': 'object',
                'required': ['attempt', 'error_code', 'message', 'at'],
                'properties': {'attempt': WHOLE, 'error_code': TEXT, 'message': TEXT, 'at': TEXT},
            },
        },
    },
}
_STORE: Schema = {
    'type': 'object',
    'required': ['store', 'status'],
    'properties': {
        'store': TEXT,
        'disk_format': _MAYBE_TEXT,
        'status': TEXT,
        'location_state': _MAYBE_TEXT,
        'size': _MAYBE_WHOLE,
        'digests': _DIGESTS,
        'error_code': _MAYBE_TEXT,
        'message': _MAYBE_TEXT,
    },
}

IMPORT = model(
    'Import',
    {
        'type': 'object',
        'required': ['id', 'image_id', 'method', 'state', 'steps', 'stores', 'source', 'error', 'self'],
        'properties': {
            'id': TEXT,
            'image_id': TEXT,
            'method': TEXT,
            'state': {'enum': [state.value for state in ImportState]},
            'owner': _MAYBE_TEXT,
            'user_id': _MAYBE_TEXT,
            'request_id': _MAYBE_TEXT,
            'retry_of': _MAYBE_TEXT,
            'waits_for_host': _MAYBE_TEXT,
            'created_at': _MAYBE_TEXT,
            'started_at': _MAYBE_TEXT,
            'updated_at': _MAYBE_TEXT,
            'finished_at': _MAYBE_TEXT,
            'steps': {'type': 'array', 'items': _STEP},
            'stores': {'type': 'array', 'items': _STORE},
            'source': {
                'type': 'object',
                'properties': {
                    'method': TEXT,
                    'url': _MAYBE_TEXT,
                    'image': {
                        'type': ['object', 'null'],
                        'properties': {'region': TEXT, 'interface': TEXT, 'id': TEXT},
                    },
                    'size': _MAYBE_WHOLE,
                    'digests': _DIGESTS,
                },
            },
            'expected': {'type': 'object'},
            'detected_format': _MAYBE_TEXT,
            'error': {
                'type': ['object', 'null'],
                'properties': {
                    'code': TEXT,
                    'message': _MAYBE_TEXT,
                    'step': _MAYBE_TEXT,
                    'request_id': _MAYBE_TEXT,
                },
            },
            'self': TEXT,
        },
    },
)
IMPORTS = page('Imports', 'imports', IMPORT, schema=False)
