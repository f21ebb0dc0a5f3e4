"""Members of an image (reference, sections 11.1 and 12)."""

from imagepipe.api.description import Schema, model
from imagepipe.api.schemas.image import UUID
from imagepipe.domain.member import MAX_PROJECT, MemberStatus

_STATUS: Schema = {
    'type': 'string',
    'description': 'What the project says to the share.',
    'enum': [status.value for status in MemberStatus],
}
_PROPERTIES: dict[str, Schema] = {
    'member_id': {'type': 'string', 'description': 'The project that the image is shared with.'},
    'image_id': {'type': 'string', 'description': 'The image.', 'pattern': UUID},
    'created_at': {'type': 'string', 'description': 'When the project was added.'},
    'updated_at': {'type': 'string', 'description': 'When its status was changed last.'},
    'status': _STATUS,
    'schema': {'type': 'string', 'description': 'The path of this schema.', 'readOnly': True},
}

#: What /v2/schemas/member and members answer.
SCHEMA: Schema = {'name': 'member', 'properties': _PROPERTIES}
LIST_SCHEMA: Schema = {
    'name': 'members',
    'properties': {
        'members': {'type': 'array', 'description': 'The members that the caller sees.', 'items': SCHEMA},
        'schema': {'type': 'string', 'description': 'The path of this schema.'},
    },
    'links': [{'rel': 'describedby', 'href': '{schema}'}],
}

MEMBER = model('Member', {'type': 'object', 'required': list(_PROPERTIES), 'properties': _PROPERTIES})
MEMBERS = model(
    'Members',
    {
        'type': 'object',
        'required': ['members', 'schema'],
        'properties': {'members': {'type': 'array', 'items': MEMBER.ref}, 'schema': {'type': 'string'}},
    },
    uses=(MEMBER,),
)
NEW_MEMBER = model(
    'NewMember',
    {
        'type': 'object',
        'required': ['member'],
        'properties': {
            'member': {
                'type': 'string',
                'minLength': 1,
                'maxLength': MAX_PROJECT,
                'description': 'A project.',
            }
        },
    },
)
STATUS_CHANGE = model(
    'MemberStatus', {'type': 'object', 'required': ['status'], 'properties': {'status': _STATUS}}
)
