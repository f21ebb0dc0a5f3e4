"""Tasks: the views of imports that Glance's clients know (reference, sections 11.4, 12 and 13)."""

from imagepipe.api.description import Schema, model, page
from imagepipe.api.schemas.image import NEW_IMAGE, UUID
from imagepipe.domain import task


def _of(types: object, description: str, **more: object) -> Schema:
    return {'type': types, 'description': description, **more}


_PROPERTIES: dict[str, Schema] = {
    'id': _of('string', 'The unique identifier of the task.', pattern=UUID),
    'type': _of('string', 'What the task does.', enum=list(task.TYPES)),
    'status': _of('string', 'Where the task is.', enum=list(task.STATUSES)),
    'input': _of(['null', 'object'], 'What was asked for.'),
    'result': _of(['null', 'object'], 'What came of it.'),
    'owner': _of('string', 'The project that owns the task.'),
    'message': _of('string', 'What went wrong, empty when nothing did.'),
    'image_id': _of('string', 'The image that the task is about.'),
    'request_id': _of('string', 'The request that the task comes from.'),
    'user_id': _of('string', 'The user who asked for it.'),
    'expires_at': _of(['null', 'string'], 'When the record goes; tasks of this service stay.'),
    'created_at': _of('string', 'When the task was made.'),
    'updated_at': _of('string', 'When the task was changed last.'),
    'self': _of('string', 'The path of the task.', readOnly=True),
    'schema': _of('string', 'The path of this schema.', readOnly=True),
}
_ONLY_IN_FULL = ('input', 'result', 'message')
_LISTED = {name: found for name, found in _PROPERTIES.items() if name not in _ONLY_IN_FULL}

#: What /v2/schemas/task and tasks answer.
SCHEMA: Schema = {'name': 'task', 'properties': _PROPERTIES}
LIST_SCHEMA: Schema = {
    'name': 'tasks',
    'properties': {
        'tasks': _of('array', 'A page of tasks.', items={'name': 'task', 'properties': _LISTED}),
        'schema': _of('string', 'The path of this schema.'),
    },
    'links': [{'rel': 'describedby', 'href': '{schema}'}],
}

#: Glance's schema knows no task without an owner; there are some where there is no Keystone.
_MAYBE = {name: {'type': ['string', 'null']} for name in ('owner', 'image_id', 'request_id', 'user_id')}
_ALWAYS = ['id', 'type', 'status', 'owner', 'created_at', 'updated_at', 'self', 'schema']

TASK = model(
    'Task',
    {
        'type': 'object',
        'required': [*_ALWAYS, *_ONLY_IN_FULL],
        'properties': {**_PROPERTIES, **_MAYBE},
    },
)
TASKS = page(
    'Tasks',
    'tasks',
    model('ListedTask', {'type': 'object', 'required': _ALWAYS, 'properties': {**_LISTED, **_MAYBE}}),
)
TASKS_OF_IMAGE = model(
    'TasksOfImage',
    {
        'type': 'object',
        'required': ['tasks'],
        'properties': {
            'tasks': {
                'type': 'array',
                'items': {
                    'type': 'object',
                    'properties': {
                        **_PROPERTIES,
                        **_MAYBE,
                        'deleted': {'type': 'boolean'},
                        'deleted_at': {'type': ['string', 'null']},
                    },
                },
            }
        },
    },
)
REQUEST = model(
    'TaskRequest',
    {
        'type': 'object',
        'required': ['type', 'input'],
        'additionalProperties': False,
        'properties': {
            'type': _of('string', f'Only {task.IMPORT} is made here.', enum=list(task.TYPES)),
            'input': {
                'type': 'object',
                'required': ['import_from', 'import_from_format', 'image_properties'],
                'properties': {
                    'import_from': _of('string', 'An http or https URL.', minLength=1),
                    'import_from_format': {'type': 'string', 'minLength': 1},
                    'image_properties': NEW_IMAGE.ref,
                },
            },
        },
    },
    uses=(NEW_IMAGE,),
)
