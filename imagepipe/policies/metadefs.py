"""Rules of metadata definitions.

What is asked of a namespace, or of anything in it, has the namespace for its target: project_id
is its owner. Whoever may not get_metadef_namespace is told that there is none.
"""

from oslo_policy import policy

from imagepipe.policies import base

METADEF_DEFAULT = 'metadef_default'
METADEF_ADMIN = 'metadef_admin'

GET_NAMESPACE = 'get_metadef_namespace'
GET_NAMESPACES = 'get_metadef_namespaces'
ADD_NAMESPACE = 'add_metadef_namespace'
MODIFY_NAMESPACE = 'modify_metadef_namespace'
DELETE_NAMESPACE = 'delete_metadef_namespace'
GET_OBJECT = 'get_metadef_object'
GET_OBJECTS = 'get_metadef_objects'
ADD_OBJECT = 'add_metadef_object'
MODIFY_OBJECT = 'modify_metadef_object'
DELETE_OBJECT = 'delete_metadef_object'
GET_PROPERTY = 'get_metadef_property'
GET_PROPERTIES = 'get_metadef_properties'
ADD_PROPERTY = 'add_metadef_property'
MODIFY_PROPERTY = 'modify_metadef_property'
REMOVE_PROPERTY = 'remove_metadef_property'
LIST_RESOURCE_TYPES = 'list_metadef_resource_types'
GET_RESOURCE_TYPE = 'get_metadef_resource_type'
ADD_ASSOCIATION = 'add_metadef_resource_type_association'
REMOVE_ASSOCIATION = 'remove_metadef_resource_type_association'
GET_TAG = 'get_metadef_tag'
GET_TAGS = 'get_metadef_tags'
ADD_TAG = 'add_metadef_tag'
ADD_TAGS = 'add_metadef_tags'
MODIFY_TAG = 'modify_metadef_tag'
DELETE_TAG = 'delete_metadef_tag'
DELETE_TAGS = 'delete_metadef_tags'

_NAMESPACES = '/v2/metadefs/namespaces'
_NAMESPACE = f'{_NAMESPACES}/{{namespace}}'
_OBJECT = f'{_NAMESPACE}/objects/{{name}}'
_PROPERTY = f'{_NAMESPACE}/properties/{{name}}'
_TAG = f'{_NAMESPACE}/tags/{{name}}'
_TYPES = f'{_NAMESPACE}/resource_types'

_READ = f"{base.ADMIN} or (role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))"
_WRITE = f'rule:{METADEF_ADMIN}'


RULES = [
    policy.RuleDefault(METADEF_DEFAULT, '', description='What rules of metadata definitions can refer to.'),
    policy.RuleDefault(
        METADEF_ADMIN, base.ADMIN, description='Who makes, changes and deletes metadata definitions.'
    ),
    base.rule(
        GET_NAMESPACE,
        _READ,
        'See a namespace. One that fails this is not found, whatever is asked of it.',
        ('GET', _NAMESPACE),
    ),
    base.rule(GET_NAMESPACES, base.ADMIN_OR_READER, 'List namespaces.', ('GET', _NAMESPACES)),
    base.rule(ADD_NAMESPACE, _WRITE, 'Create a namespace.', ('POST', _NAMESPACES)),
    base.rule(MODIFY_NAMESPACE, _WRITE, 'Change a namespace.', ('PUT', _NAMESPACE)),
    base.rule(
        DELETE_NAMESPACE,
        _WRITE,
        'Delete a namespace, or all objects, properties or tags in it.',
        ('DELETE', _NAMESPACE),
        ('DELETE', f'{_NAMESPACE}/objects'),
        ('DELETE', f'{_NAMESPACE}/properties'),
        ('DELETE', f'{_NAMESPACE}/tags'),
    ),
    base.rule(GET_OBJECT, _READ, 'See an object.', ('GET', _OBJECT)),
    base.rule(GET_OBJECTS, _READ, 'List objects.', ('GET', f'{_NAMESPACE}/objects')),
    base.rule(
        ADD_OBJECT,
        _WRITE,
        'Create an object, also as a part of a new namespace.',
        ('POST', f'{_NAMESPACE}/objects'),
        ('POST', _NAMESPACES),
    ),
    base.rule(MODIFY_OBJECT, _WRITE, 'Change an object.', ('PUT', _OBJECT)),
    base.rule(DELETE_OBJECT, _WRITE, 'Delete an object.', ('DELETE', _OBJECT)),
    base.rule(GET_PROPERTY, _READ, 'See a property.', ('GET', _PROPERTY)),
    base.rule(GET_PROPERTIES, _READ, 'List properties.', ('GET', f'{_NAMESPACE}/properties')),
    base.rule(
        ADD_PROPERTY,
        _WRITE,
        'Create a property, also as a part of a new namespace.',
        ('POST', f'{_NAMESPACE}/properties'),
        ('POST', _NAMESPACES),
    ),
    base.rule(MODIFY_PROPERTY, _WRITE, 'Change a property.', ('PUT', _PROPERTY)),
    base.rule(REMOVE_PROPERTY, _WRITE, 'Delete a property.', ('DELETE', _PROPERTY)),
    base.rule(
        LIST_RESOURCE_TYPES, _READ, 'List every resource type.', ('GET', '/v2/metadefs/resource_types')
    ),
    base.rule(GET_RESOURCE_TYPE, _READ, 'List the resource types of a namespace.', ('GET', _TYPES)),
    base.rule(
        ADD_ASSOCIATION,
        _WRITE,
        'Associate a resource type with a namespace, also as a part of a new one.',
        ('POST', _TYPES),
        ('POST', _NAMESPACES),
    ),
    base.rule(
        REMOVE_ASSOCIATION,
        _WRITE,
        'Take a resource type away from a namespace.',
        ('DELETE', f'{_TYPES}/{{name}}'),
    ),
    base.rule(GET_TAG, _READ, 'See a tag.', ('GET', _TAG)),
    base.rule(GET_TAGS, _READ, 'List tags.', ('GET', f'{_NAMESPACE}/tags')),
    base.rule(
        ADD_TAG,
        _WRITE,
        'Create a tag, also as a part of a new namespace.',
        ('POST', _TAG),
        ('POST', _NAMESPACES),
    ),
    base.rule(
        ADD_TAGS, _WRITE, 'Give a namespace other tags, or more of them.', ('POST', f'{_NAMESPACE}/tags')
    ),
    base.rule(MODIFY_TAG, _WRITE, 'Change a tag.', ('PUT', _TAG)),
    base.rule(DELETE_TAG, _WRITE, 'Delete a tag.', ('DELETE', _TAG)),
    base.rule(DELETE_TAGS, _WRITE, 'Delete all tags of a namespace.', ('DELETE', f'{_NAMESPACE}/tags')),
]
