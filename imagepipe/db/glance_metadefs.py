"""The metadata definitions in the database of a Glance 33."""

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import sqlalchemy as sa

from imagepipe.domain.metadefs import (
    Association,
    Contents,
    Definition,
    Namespace,
    NamespaceVisibility,
    ObjectDefinition,
    TagDefinition,
    property_of,
)

Item = TypeVar('Item')

_spaces = sa.table(
    'metadef_namespaces',
    *(sa.column(name) for name in ('id', 'namespace', 'display_name', 'description', 'visibility', 'owner')),
    sa.column('protected', sa.Boolean()),
)


def _held(noun: str, *columns: str) -> sa.TableClause:
    names = ('id', 'namespace_id', 'name', *columns)
    return sa.table(f'metadef_{noun}', *(sa.column(name) for name in names))


_properties = _held('properties', 'json_schema')
_objects = _held('objects', 'description', 'required', 'json_schema')
_tags = _held('tags')
_types = sa.table('metadef_resource_types', sa.column('id'), sa.column('name'))
_associations = sa.table(
    'metadef_namespace_resource_types',
    *(sa.column(name) for name in ('resource_type_id', 'namespace_id', 'prefix', 'properties_target')),
)
_ASSOCIATED = (
    sa.select(_associations, _types.c.name)
    .join(_types, _types.c.id == _associations.c.resource_type_id)
    .order_by(_types.c.id)
)


def definitions(connection: sa.Connection) -> list[Definition]:
    """Every namespace with what it holds; the ids are Glance's."""

    def by_namespace(statement: sa.Select, make: Callable[[sa.Row], Item]) -> dict[int, list[Item]]:
        found: dict[int, list[Item]] = {}
        for row in connection.execute(statement):
            found.setdefault(row.namespace_id, []).append(make(row))
        return found

    properties, objects, tags = (
        by_namespace(sa.select(table).order_by(table.c.id), make)
        for table, make in ((_properties, _property), (_objects, _object), (_tags, _tag))
    )
    associations = by_namespace(_ASSOCIATED, _association)
    return [
        Definition(
            namespace=_namespace(row),
            contents=Contents(
                associations=tuple(associations.get(row.id, ())),
                properties=tuple(properties.get(row.id, ())),
                objects=tuple(objects.get(row.id, ())),
                tags=tuple(tags.get(row.id, ())),
            ),
        )
        for row in connection.execute(sa.select(_spaces).order_by(_spaces.c.namespace)).all()
    ]


def resource_types(connection: sa.Connection) -> Sequence[str]:
    """Every resource type, associated or not."""
    return connection.execute(sa.select(_types.c.name).order_by(_types.c.id)).scalars().all()


def _namespace(row: sa.Row) -> Namespace:
    fields = dict(row._mapping) | {
        'id': str(row.id),
        'visibility': NamespaceVisibility(row.visibility or NamespaceVisibility.PRIVATE),
        'protected': bool(row.protected),
    }
    return Namespace(**fields)


def _property(row: sa.Row) -> object:
    return property_of(row.name, json.loads(row.json_schema))


def _object(row: sa.Row) -> ObjectDefinition:
    return ObjectDefinition(
        name=row.name,
        description=row.description,
        required=tuple(row.required.split(',')) if row.required else (),
        properties=json.loads(row.json_schema) if row.json_schema else {},
    )


def _tag(row: sa.Row) -> TagDefinition:
    return TagDefinition(name=row.name)


def _association(row: sa.Row) -> Association:
    return Association(name=row.name, prefix=row.prefix, properties_target=row.properties_target)
