"""The schemas of metadata definitions (reference, sections 12 and 15.2).

The models, which requests and files are held against, are made of the documents that
/v2/schemas/metadefs shows.
"""

from collections.abc import Mapping

from imagepipe.api.description import Model, model, page
from imagepipe.domain.metadefs import NAME_LENGTH, NamespaceVisibility

Schema = Mapping[str, object]

_TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string', None]


def _text(description: str, **more: object) -> dict[str, object]:
    return {'type': 'string', 'description': description, **more}


def _name(description: str) -> dict[str, object]:
    return _text(description, maxLength=NAME_LENGTH)


def _of(types: str, description: str, **more: object) -> dict[str, object]:
    return {'type': types, 'description': description, **more}


def _ref(name: str, description: str) -> dict[str, object]:
    return {'$ref': f'#/definitions/{name}', 'description': description}


_TIMES = {
    'created_at': _text('When it was made.', readOnly=True, format='date-time'),
    'updated_at': _text('When it was changed last.', readOnly=True, format='date-time'),
}
_LINKS = {
    'self': _text('Its path.', readOnly=True),
    'schema': _text('The path of this schema.', readOnly=True),
}
_PROPERTY = {
    'name': _name('The key under which images and other resources have the property.'),
    'title': _text('The name of the property for people.'),
    'description': _text('What the property does.'),
    'operators': _of('array', 'Operators that a value may have.', items={'type': 'string'}),
    'type': _text('The type of a value.', enum=_TYPES),
    'required': _ref('stringArray', 'Which parts of a value are needed.'),
    'minimum': _of('number', 'The smallest value.'),
    'maximum': _of('number', 'The largest value.'),
    'maxLength': _ref('positiveInteger', 'The most characters.'),
    'minLength': _ref('positiveIntegerDefault0', 'The fewest characters.'),
    'pattern': _text('A regular expression that a value matches.', format='regex'),
    'enum': _of('array', 'The values that are allowed, as texts.', items={'type': 'string'}),
    'readonly': _of('boolean', 'Whether the service alone sets it.'),
    'default': {'description': 'The value where none is given.'},
    'items': _of(
        'object',
        'What an array has in it.',
        properties={
            'type': {'type': 'string', 'enum': _TYPES},
            'enum': {'type': 'array', 'items': {'type': 'string'}},
        },
    ),
    'maxItems': _ref('positiveInteger', 'The most items.'),
    'minItems': _ref('positiveIntegerDefault0', 'The fewest items.'),
    'uniqueItems': _of('boolean', 'Whether no item may be there twice.', default=False),
    'additionalItems': _of('boolean', 'Whether an array may have other items.'),
}


def _definitions(**array: object) -> dict[str, Schema]:
    return {
        'positiveInteger': {'type': 'integer', 'minimum': 0},
        'positiveIntegerDefault0': {'allOf': [{'$ref': '#/definitions/positiveInteger'}, {'default': 0}]},
        'stringArray': {'type': 'array', 'items': {'type': 'string'}, 'uniqueItems': True, **array},
    }


#: What namespaces and objects refer to: properties by name.
_NESTING = {
    **_definitions(),
    'property': {
        'type': 'object',
        'additionalProperties': {
            'type': 'object',
            'required': ['title', 'type'],
            'additionalProperties': False,
            'properties': {
                **_PROPERTY,
                'confidential': _of('boolean', 'Whether a value is not to be shown.'),
            },
        },
    },
}


def _nested(*required: str, **properties: Schema) -> Schema:
    return {
        'type': 'array',
        'items': {'type': 'object', 'required': list(required), 'properties': properties},
    }


_NAMESPACE = {
    'namespace': _name('The name of the namespace, which no other has.'),
    'display_name': _name('The name for people.'),
    'description': _text('What the namespace is for.', maxLength=500),
    'visibility': _text(
        'Whether everybody sees the namespace, or its owner only.',
        enum=[NamespaceVisibility.PUBLIC.value, NamespaceVisibility.PRIVATE.value],
    ),
    'protected': _of('boolean', 'Whether neither the namespace nor anything in it can be deleted.'),
    'owner': _text('The project that owns the namespace.', maxLength=255),
    **_TIMES,
    **_LINKS,
    'resource_type_associations': {
        **_nested('name', name=_name('The resource type.'), prefix=_name('What its properties begin with.'),
                  properties_target=_name('Which of its properties are meant.')),
        'description': 'The resource types that the properties are for.',
    },
    'properties': {
        **_ref('property', 'Properties by name.'), 'propertyNames': {'maxLength': NAME_LENGTH}
    },
    'objects': {
        **_nested('name', name=_name('The name of the object.'), description=_text('What it is.'),
                  required=_ref('stringArray', 'Properties that must be there.'),
                  properties=_ref('property', 'Properties by name.')),
        'description': 'Groups of properties.',
    },
    'tags': {**_nested('name', name=_name('The tag.')), 'description': 'Words to tag images with.'},
}  # fmt: skip
_OBJECT = {
    'name': _name('The name of the object.'),
    'description': _text('What the object is.'),
    'required': _ref('stringArray', 'Properties that must be there.'),
    'properties': _ref('property', 'Properties by name.'),
    **_TIMES,
    **_LINKS,
}
_RESOURCE_TYPE = {
    'name': _name("The resource type, by its name in Heat where it has one, as 'OS::Nova::Server'."),
    'prefix': _name('What the names of properties begin with there.'),
    'properties_target': _name("Which of a resource's properties are meant, as 'image'."),
    **_TIMES,
}
_TAG = {'name': _name('The tag.'), **_TIMES}


def _one(
    name: str, properties: Mapping[str, Schema], *required: str, definitions: Mapping[str, Schema]
) -> Schema:
    document = {
        'name': name,
        'properties': properties,
        'additionalProperties': False,
        'required': list(required),
    }
    return document | ({'definitions': definitions} if definitions else {})


def _many(one: Schema, key: str, listed: Schema | None = None) -> Schema:
    """The schema of a list; what its items refer to moves to the top. listed: if that is no array."""
    definitions = {'definitions': one['definitions']} if 'definitions' in one else {}
    return {
        'name': key,
        'properties': {
            key: listed or {'type': 'array', 'items': _undefined(one)},
            'first': {'type': 'string'},
            'next': {'type': 'string'},
            'schema': {'type': 'string'},
        },
        'links': [
            {'rel': 'first', 'href': '{first}'},
            {'rel': 'next', 'href': '{next}'},
            {'rel': 'describedby', 'href': '{schema}'},
        ],
        **definitions,
    }


def _undefined(one: Schema) -> dict[str, object]:
    return {name: value for name, value in one.items() if name != 'definitions'}


NAMESPACE = _one('namespace', _NAMESPACE, 'namespace', definitions=_NESTING)
OBJECT = _one('object', _OBJECT, 'name', definitions=_NESTING)
PROPERTY = _one('property', _PROPERTY, 'type', 'title', 'name', definitions=_definitions(minItems=1))
RESOURCE_TYPE = _one('resource_type_association', _RESOURCE_TYPE, 'name', definitions={})
TAG = _one('tag', _TAG, 'name', definitions={})

_PROPERTIES_BY_NAME = {
    'type': 'object',
    'additionalProperties': {**_undefined(PROPERTY), 'required': ['type', 'title']},
}
#: What /v2/schemas/metadefs/{name} shows.
DOCUMENTS: Mapping[str, Schema] = {
    'namespace': NAMESPACE,
    'namespaces': _many(NAMESPACE, 'namespaces'),
    'object': OBJECT,
    'objects': _many(OBJECT, 'objects'),
    'property': PROPERTY,
    'properties': _many(PROPERTY, 'properties', _PROPERTIES_BY_NAME),
    'resource_type': RESOURCE_TYPE,
    'resource_types': _many(RESOURCE_TYPE, 'resource_type_associations'),
    'tag': TAG,
    'tags': _many(TAG, 'tags'),
}
#: A list of tags as it is sent, in which a tag is a name and nothing else.
_TAGS_SENT = {
    'required': ['tags'],
    'additionalProperties': False,
    'properties': {
        'tags': {
            'type': 'array',
            'items': {
                'type': 'object',
                'required': ['name'],
                'additionalProperties': False,
                'properties': {'name': _TAG['name']},
            },
        }
    },
}


def _inlined(schema: object, definitions: Mapping[str, Schema]) -> object:
    """A schema with what it refers to in the place of the references."""
    if isinstance(schema, Mapping):
        found = {name: _inlined(value, definitions) for name, value in schema.items() if name != '$ref'}
        meant = definitions[schema['$ref'].rpartition('/')[2]] if '$ref' in schema else {}
        return {**_inlined(meant, definitions), **found} if meant else found
    return [_inlined(each, definitions) for each in schema] if isinstance(schema, list) else schema


def _model(name: str, document: Schema) -> Model:
    whole = {'type': 'object', **_undefined(document)}
    return model(name, _inlined({**whole, 'title': whole.pop('name')}, document.get('definitions', {})))


# What bodies are held against, and the OpenAPI document tells of them.

NAMESPACE_MODEL = _model('MetadefNamespace', NAMESPACE)
NAMESPACES_MODEL = page('MetadefNamespaces', 'namespaces', NAMESPACE_MODEL)
OBJECT_MODEL = _model('MetadefObject', OBJECT)
OBJECTS_MODEL = page('MetadefObjects', 'objects', OBJECT_MODEL)
PROPERTY_MODEL = _model('MetadefProperty', PROPERTY)
PROPERTIES_MODEL = _model(
    'MetadefProperties', {'name': 'properties', 'required': ['properties'], 'properties': {
        'properties': {'$ref': '#/definitions/property'}}, 'definitions': _NESTING},
)  # fmt: skip
RESOURCE_TYPE_MODEL = _model('MetadefResourceType', RESOURCE_TYPE)
RESOURCE_TYPES_MODEL = page('MetadefResourceTypes', 'resource_types', RESOURCE_TYPE_MODEL, schema=False)
ASSOCIATIONS_MODEL = page(
    'MetadefAssociations', 'resource_type_associations', RESOURCE_TYPE_MODEL, schema=False
)
TAG_MODEL = _model('MetadefTag', TAG)
TAGS_MODEL = _model('MetadefTags', {'name': 'tags', **_TAGS_SENT})
