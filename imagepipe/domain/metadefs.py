"""Metadata definitions: namespaces and what is in them (reference, section 15).

A namespace holds objects, properties, tags, and associations with resource types. Each of these
has a name that is unique in its namespace; they are alike in all but their own fields.
"""

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Mapping

from imagepipe import errors

#: The longest name of anything here, in characters.
NAME_LENGTH = 80


class NamespaceVisibility(enum.StrEnum):
    """Who sees a namespace: everybody, or its project."""

    PUBLIC = 'public'
    PRIVATE = 'private'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Namespace:
    """One namespace without its contents; `namespace` is its name, which may change, `id` is not shown."""

    id: str
    namespace: str
    display_name: str | None = None
    description: str | None = None
    visibility: NamespaceVisibility = NamespaceVisibility.PRIVATE
    protected: bool = False
    owner: str | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None

    @classmethod
    def of(cls, namespace_id: str, fields: Mapping[str, object]) -> 'Namespace':
        """From its JSON, without what it holds."""
        found = {name: fields[name] for name in _FIELDS if name in fields}
        visibility = NamespaceVisibility(fields.get('visibility', NamespaceVisibility.PRIVATE))
        return cls(**{**found, 'id': namespace_id, 'visibility': visibility})


_TIMES = ('created_at', 'updated_at')
#: What of a namespace is in its JSON.
_FIELDS = ('namespace', 'display_name', 'description', 'protected', 'owner')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Item:
    """What a namespace holds under a name."""

    name: str
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectDefinition(Item):
    """A group of properties; None where it says nothing, which answers to writes leave out."""

    description: str | None = None
    required: tuple[str, ...] | None = None
    properties: Mapping[str, Mapping[str, object]] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PropertyDefinition(Item):
    """A property; `definition` is its JSON schema as it was sent."""

    definition: Mapping[str, object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TagDefinition(Item):
    """A tag: a name and nothing else."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Association(Item):
    """A resource type, by its name, that the properties of the namespace are for."""

    prefix: str | None = None
    properties_target: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything in a namespace, each kind in the order in which it is listed."""

    associations: tuple[Association, ...] = ()
    properties: tuple[PropertyDefinition, ...] = ()
    objects: tuple[ObjectDefinition, ...] = ()
    tags: tuple[TagDefinition, ...] = ()

    def prefixed(self, resource_type: str) -> 'Contents':
        """With the names of properties as that resource type spells them."""
        prefix = next((each.prefix for each in self.associations if each.name == resource_type), None)
        if not prefix:
            return self
        return dataclasses.replace(
            self,
            properties=tuple(
                dataclasses.replace(each, name=f'{prefix}{each.name}') for each in self.properties
            ),
            objects=tuple(_prefixed(each, prefix) for each in self.objects),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Definition:
    """A namespace with what it holds: the contents of one file."""

    namespace: Namespace
    contents: Contents


def _prefixed(found: ObjectDefinition, prefix: str) -> ObjectDefinition:
    return dataclasses.replace(
        found,
        required=tuple(f'{prefix}{name}' for name in found.required or ()),
        properties={f'{prefix}{name}': value for name, value in (found.properties or {}).items()},
    )


def bare_name(name: str, association: Association) -> str:
    """The name of a property without the prefix that its resource type gives it.

    Raises MetadefPrefixMissing.
    """
    prefix = association.prefix or ''
    if not name.startswith(prefix):
        raise errors.MetadefPrefixMissing(name=name, prefix=prefix, resource_type=association.name)
    return name[len(prefix) :]


# What clients and files send.


def check_times(fields: Mapping[str, object]) -> None:
    """Raises MetadefReadOnly, whatever else is wrong with the fields."""
    _check_unset(fields, _TIMES)


def check_times_and_links(fields: Mapping[str, object]) -> None:
    """The same for what has a path of its own in its JSON. Raises MetadefReadOnly."""
    _check_unset(fields, (*_TIMES, 'self', 'schema'))


def _check_unset(fields: Mapping[str, object], names: Iterable[str]) -> None:
    for name in names:
        if name in fields:
            raise errors.MetadefReadOnly(name=name)


def check_addressable(namespace: str) -> None:
    """A namespace that no path can name could never be deleted. Raises InvalidBody."""
    if not namespace or '/' in namespace:
        raise errors.InvalidBody(reason='namespace: a name is not empty and has no /')


# What they send, once it fits the schema.


def object_of(fields: Mapping[str, object]) -> ObjectDefinition:
    """An object from its JSON."""
    required, properties = fields.get('required'), fields.get('properties')
    return ObjectDefinition(
        name=fields['name'],
        description=fields.get('description'),
        required=None if required is None else tuple(required),
        properties=None
        if properties is None
        else {name: _definition(value) for name, value in properties.items()},
    )


def property_of(name: str, fields: Mapping[str, object]) -> PropertyDefinition:
    """A property from its JSON; the name in the definition itself does not count."""
    return PropertyDefinition(name=name, definition=_definition(fields))


def association_of(fields: Mapping[str, object]) -> Association:
    """An association from its JSON."""
    return Association(
        name=fields['name'], prefix=fields.get('prefix'), properties_target=fields.get('properties_target')
    )


def tag_of(fields: Mapping[str, object]) -> TagDefinition:
    """A tag from its JSON."""
    return TagDefinition(name=fields['name'])


def contents_of(fields: Mapping[str, object]) -> Contents:
    """What the JSON of a namespace has in it. Raises MetadefRepeated."""
    contents = Contents(
        associations=tuple(association_of(each) for each in fields.get('resource_type_associations', ())),
        properties=tuple(
            property_of(name, definition) for name, definition in fields.get('properties', {}).items()
        ),
        objects=tuple(object_of(each) for each in fields.get('objects', ())),
        tags=tuple(tag_of(each) for each in fields.get('tags', ())),
    )
    for noun, items in (
        ('resource type', contents.associations),
        ('object', contents.objects),
        ('tag', contents.tags),
    ):
        check_unique(noun, items)
    return contents


def check_unique(noun: str, items: Iterable[Item]) -> None:
    """Raises MetadefRepeated when two of them have one name."""
    seen: set[str] = set()
    for item in items:
        if item.name in seen:
            raise errors.MetadefRepeated(noun=noun, name=item.name)
        seen.add(item.name)


def _definition(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if name != 'name'}


# What is shown.

_NUMBERS = ('minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems')


def shown(definition: Mapping[str, object]) -> dict[str, object]:
    """A property's definition as Glance spells it: a default is text, a number has no fraction.

    A default that is an array or an object stays what it is.
    """
    found = dict(definition)
    for name in _NUMBERS:
        if name in found:
            found[name] = int(found[name])
    default = found.get('default')
    if isinstance(default, bool | int | float):
        found['default'] = str(default)
    return found
