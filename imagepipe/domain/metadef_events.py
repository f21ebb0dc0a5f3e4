"""Payloads of the metadef_* events (reference, section 20)."""

import datetime
from collections.abc import Callable, Mapping

from imagepipe.domain.event import timestamp
from imagepipe.domain.metadefs import (
    Association,
    Item,
    Namespace,
    ObjectDefinition,
    PropertyDefinition,
    TagDefinition,
    shown,
)

_DEFINITION = (
    'type',
    'title',
    'description',
    'default',
    'minimum',
    'maximum',
    'enum',
    'pattern',
    'minLength',
    'maxLength',
    'confidential',
    'items',
    'uniqueItems',
    'minItems',
    'maxItems',
    'additionalItems',
)


def namespace_payload(
    namespace: Namespace, *, old: Namespace | None = None, deleted_at: datetime.datetime | None = None
) -> dict[str, object]:
    """old: as it was before an update."""
    return {
        'namespace': namespace.namespace,
        'namespace_old': (old or namespace).namespace,
        'display_name': namespace.display_name,
        'protected': namespace.protected,
        'visibility': namespace.visibility.value,
        'owner': namespace.owner,
        'description': namespace.description,
        'created_at': timestamp(namespace.created_at),
        'updated_at': timestamp(namespace.updated_at),
        **_ending(deleted_at),
    }


def item_payload(
    namespace: Namespace,
    item: Item,
    *,
    old: Item | None = None,
    deleted_at: datetime.datetime | None = None,
) -> dict[str, object]:
    """Of whatever a namespace holds; old: as it was before an update."""
    return {
        'namespace': namespace.namespace,
        'name': item.name,
        'name_old': (old or item).name,
        **_FIELDS[type(item)](item),
        **_ending(deleted_at),
    }


def _of_property(item: PropertyDefinition) -> Mapping[str, object]:
    return _definition(item.definition)


def _of_object(item: ObjectDefinition) -> Mapping[str, object]:
    properties = (item.properties or {}).items()
    return {
        'properties': [{'name': name, **_definition(definition)} for name, definition in properties],
        'required': None if item.required is None else list(item.required),
        'description': item.description,
        **_times(item),
    }


def _of_association(item: Association) -> Mapping[str, object]:
    return {'prefix': item.prefix, 'properties_target': item.properties_target, **_times(item)}


def _times(item: Item) -> Mapping[str, object]:
    return {'created_at': timestamp(item.created_at), 'updated_at': timestamp(item.updated_at)}


#: What is told of each kind besides its name.
_FIELDS: Mapping[type[Item], Callable[..., Mapping[str, object]]] = {
    PropertyDefinition: _of_property,
    ObjectDefinition: _of_object,
    Association: _of_association,
    TagDefinition: _times,
}


def _definition(definition: Mapping[str, object]) -> Mapping[str, object]:
    found = shown(definition)
    return {name: found.get(name) for name in _DEFINITION}


def _ending(deleted_at: datetime.datetime | None) -> Mapping[str, object]:
    return {'deleted': deleted_at is not None, 'deleted_at': timestamp(deleted_at)}
