"""Representations of metadata definitions: what is not set is left out (reference, section 15.1)."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from imagepipe.domain.event import timestamp
from imagepipe.domain.metadefs import (
    Association,
    Contents,
    Item,
    Namespace,
    ObjectDefinition,
    PropertyDefinition,
    shown,
)

_NAMESPACES = '/v2/metadefs/namespaces'


def path_of(namespace: Namespace) -> str:
    """The path of a namespace."""
    return f'{_NAMESPACES}/{namespace.namespace}'


def location_of(found: Namespace) -> str:
    """The path of a namespace, as a header can hold it."""
    return f'{_NAMESPACES}/{quote(found.namespace, safe=":")}'


def namespace(found: Namespace, contents: Contents) -> dict[str, object]:
    """A namespace, with what it holds where it holds something."""
    held = {
        'resource_type_associations': [association(each) for each in contents.associations],
        'properties': properties(contents.properties),
        'objects': [object_(found, each) for each in contents.objects],
        'tags': [tag_name(each) for each in contents.tags],
    }
    return {
        **_set(
            namespace=found.namespace,
            display_name=found.display_name,
            description=found.description,
            visibility=found.visibility.value,
            protected=found.protected,
            owner=found.owner,
        ),
        **_times(found),
        **{name: value for name, value in held.items() if value},
        'self': path_of(found),
        'schema': '/v2/schemas/metadefs/namespace',
    }


def object_(found: Namespace, shown_object: ObjectDefinition) -> dict[str, object]:
    """An object of a namespace. One that was just sent has no times, and no path, yet."""
    whole = _set(
        name=shown_object.name,
        description=shown_object.description,
        required=None if shown_object.required is None else list(shown_object.required),
        properties=None
        if shown_object.properties is None
        else {name: shown(definition) for name, definition in shown_object.properties.items()},
        **_times(shown_object),
    )
    if shown_object.created_at is not None:
        whole['self'] = f'{path_of(found)}/objects/{shown_object.name}'
        whole['schema'] = '/v2/schemas/metadefs/object'
    return whole


def properties(found: Iterable[PropertyDefinition]) -> dict[str, object]:
    """Properties by name."""
    return {each.name: shown(each.definition) for each in found}


def property_(found: PropertyDefinition) -> dict[str, object]:
    """One property."""
    return {'name': found.name, **shown(found.definition)}


def association(found: Association) -> dict[str, object]:
    """An association with a resource type."""
    return _set(
        name=found.name, prefix=found.prefix, properties_target=found.properties_target, **_times(found)
    )


def named(found: Item) -> dict[str, object]:
    """A tag or a resource type: its name and its times."""
    return {'name': found.name, **_times(found)}


def tag_name(found: Item) -> dict[str, object]:
    """A tag in a list."""
    return {'name': found.name}


def _times(found: Namespace | Item) -> Mapping[str, object]:
    return _set(created_at=timestamp(found.created_at), updated_at=timestamp(found.updated_at))


def _set(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
