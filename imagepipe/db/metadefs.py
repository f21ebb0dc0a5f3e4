"""Namespaces of metadata definitions in the database, and the way to what they hold."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import keyset
from imagepipe.db.metadef_items import OBJECTS, PROPERTIES, TAGS, AssociationRepository, ItemRepository
from imagepipe.db.resource_types import ResourceTypeRepository
from imagepipe.db.schema import metadef_associations, metadef_namespaces
from imagepipe.domain.metadef_listing import NamespaceQuery
from imagepipe.domain.metadefs import (
    Association,
    Contents,
    Namespace,
    NamespaceVisibility,
    ObjectDefinition,
    PropertyDefinition,
    TagDefinition,
)

if TYPE_CHECKING:
    from imagepipe.context import RequestContext
    from imagepipe.db.transaction import Transaction

_spaces = metadef_namespaces.c
_SELECT = sa.select(metadef_namespaces)
_TEXTS = frozenset({'namespace', 'display_name', 'description', 'visibility', 'owner'})


class MetadefRepository:
    """Reads and writes namespaces; the number of statements does not depend on what is in them."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    @functools.cached_property
    def objects(self) -> ItemRepository[ObjectDefinition]:
        return ItemRepository(self._tx, OBJECTS)

    @functools.cached_property
    def properties(self) -> ItemRepository[PropertyDefinition]:
        return ItemRepository(self._tx, PROPERTIES)

    @functools.cached_property
    def tags(self) -> ItemRepository[TagDefinition]:
        return ItemRepository(self._tx, TAGS)

    @functools.cached_property
    def associations(self) -> AssociationRepository:
        return AssociationRepository(self._tx)

    @functools.cached_property
    def resource_types(self) -> ResourceTypeRepository:
        return ResourceTypeRepository(self._tx)

    def get(self, context: 'RequestContext', name: str) -> Namespace:
        """A namespace that the caller may see. Raises MetadefNamespaceNotFound."""
        return self._one(_SELECT.where(_visible(context)), name)

    def hold(self, context: 'RequestContext', name: str) -> Namespace:
        """As get; nobody else changes it or what it holds until the transaction ends."""
        return self._one(_SELECT.where(_visible(context)).with_for_update(), name)

    def look(self, name: str) -> Namespace | None:
        """Any namespace, for the operator, who only looks."""
        return self._first(_SELECT.where(_spaces.namespace == name))

    def find(self, name: str) -> Namespace | None:
        """Any namespace, for the operator; held, as by hold()."""
        return self._first(_SELECT.where(_spaces.namespace == name).with_for_update())

    def _first(self, statement: sa.Select) -> Namespace | None:
        row = self._connection.execute(statement).first()
        return None if row is None else _namespace(row)

    def list(self, context: 'RequestContext', query: NamespaceQuery) -> Sequence[Namespace]:
        """A page of those that the caller may see. Raises MetadefNamespaceNotFound, MarkerForbidden."""
        page = query.page
        if page.limit == 0:
            return []
        terms = _order(page.sort_key, self._connection.dialect.name)
        place = None if page.marker is None else self._values(terms, context, page.marker)
        by = keyset.keys(terms, descending=page.descending)
        statement = keyset.page(_SELECT.where(_visible(context), *_filters(query)), by, place, page.limit)
        return [_namespace(row) for row in self._connection.execute(statement)]

    def all(self) -> Sequence[Namespace]:
        """Every namespace, by its name: for the operator."""
        return [
            _namespace(row) for row in self._connection.execute(_SELECT.order_by(_spaces.namespace)).all()
        ]

    def contents(self, namespace: Namespace) -> Contents:
        """Everything that it holds."""
        return Contents(
            associations=tuple(self.associations.list(namespace)),
            properties=tuple(self.properties.list(namespace)),
            objects=tuple(self.objects.list(namespace)),
            tags=tuple(self.tags.list(namespace, descending=True)),
        )

    def associations_of(self, namespaces: Sequence[Namespace]) -> Mapping[str, Sequence[Association]]:
        """By the id of the namespace, in one statement."""
        return self.associations.of_all([namespace.id for namespace in namespaces])

    def add(self, namespace: Namespace) -> Namespace:
        """Insert a new one, empty. Raises MetadefNamespaceExists."""
        namespace = dataclasses.replace(namespace, created_at=self._tx.now, updated_at=self._tx.now)
        self._write(sa.insert(metadef_namespaces).values(dataclasses.asdict(namespace)), namespace)
        return namespace

    def fill(self, namespace: Namespace, contents: Contents) -> Contents:
        """Add all of these; as they are now. Raises MetadefExists."""
        return Contents(
            **{name: tuple(items.add(namespace, getattr(contents, name))) for name, items in self._held()}
        )

    def add_missing(self, namespace: Namespace, contents: Contents) -> None:
        """Add those of them whose names the namespace does not have."""
        missing = {}
        for name, items in self._held():
            known = {each.name for each in items.list(namespace)}
            missing[name] = tuple(each for each in getattr(contents, name) if each.name not in known)
        self.fill(namespace, Contents(**missing))

    def update(self, namespace: Namespace, contents: Contents) -> None:
        """Put these in the place of what has their names, and add the others."""
        for name, items in self._held():
            known = {each.name: each for each in items.list(namespace)}
            for each in getattr(contents, name):
                if each.name in known:
                    items.replace(namespace, known[each.name], each)
        self.add_missing(namespace, contents)

    def empty(self, namespace: Namespace) -> None:
        """Delete all that it holds."""
        for _, items in self._held():
            items.clear(namespace)

    def _held(self) -> Iterable[tuple[str, ItemRepository]]:
        """By the names that Contents has for them."""
        return (
            ('associations', self.associations),
            ('properties', self.properties),
            ('objects', self.objects),
            ('tags', self.tags),
        )

    def save(self, namespace: Namespace) -> Namespace:
        """Write one that is held. Raises MetadefNamespaceExists when it takes the name of another."""
        namespace = dataclasses.replace(namespace, updated_at=self._tx.now)
        statement = sa.update(metadef_namespaces).where(_spaces.id == namespace.id)
        self._write(statement.values(dataclasses.asdict(namespace)), namespace)
        return namespace

    def remove(self, namespace: Namespace) -> None:
        """Delete one that is held, with all that it holds."""
        self._connection.execute(sa.delete(metadef_namespaces).where(_spaces.id == namespace.id))

    def clear(self) -> int:
        """Delete every namespace and resource type; how many namespaces."""
        count = self._connection.execute(sa.delete(metadef_namespaces)).rowcount
        self.resource_types.clear()
        return count

    def _write(self, statement: sa.Insert | sa.Update, namespace: Namespace) -> None:
        try:
            self._connection.execute(statement)
        except db_exc.DBDuplicateEntry as error:
            raise errors.MetadefNamespaceExists(namespace=namespace.namespace) from error

    def _one(self, statement: sa.Select, name: str) -> Namespace:
        # PostgreSQL does not even take a NUL as a value.
        row = (
            None
            if '\0' in name
            else self._connection.execute(statement.where(_spaces.namespace == name)).first()
        )
        if row is None:
            raise errors.MetadefNamespaceNotFound(namespace=name.replace('\0', ''))
        return _namespace(row)

    def _values(
        self, terms: Sequence[sa.ColumnElement], context: 'RequestContext', marker: str
    ) -> Sequence[object]:
        statement = sa.select(*terms, _visible(context).label('visible')).where(_spaces.namespace == marker)
        row = self._connection.execute(statement).first()
        if row is None:
            raise errors.MetadefNamespaceNotFound(namespace=marker)
        if not row.visible:
            raise errors.MarkerForbidden(marker=marker)
        return tuple(row)[: len(terms)]


def _visible(context: 'RequestContext') -> sa.ColumnElement[bool]:
    if context.is_admin:
        return sa.true()
    public = _spaces.visibility == NamespaceVisibility.PUBLIC.value
    return public if context.project_id is None else sa.or_(_spaces.owner == context.project_id, public)


def _filters(query: NamespaceQuery) -> Sequence[sa.ColumnElement[bool]]:
    conditions = []
    if query.visibility is not None:
        conditions.append(_spaces.visibility == query.visibility)
    if query.resource_types is not None:
        associated = sa.select(metadef_associations.c.namespace_id).where(
            metadef_associations.c.name.in_(query.resource_types)
        )
        conditions.append(_spaces.id.in_(associated))
    return conditions


def _order(sort_key: str, dialect: str) -> list[sa.ColumnElement]:
    """The key, then the time, then the name: no two namespaces are equal in it."""
    names = dict.fromkeys((sort_key, 'created_at', 'namespace'))
    return [_term(name, dialect).label(f'by_{name}') for name in names]


def _term(name: str, dialect: str) -> sa.ColumnElement:
    if name == 'protected':
        return sa.case((_spaces.protected, 1), else_=0)
    return keyset.by_code_point(_spaces[name], dialect) if name in _TEXTS else _spaces[name]


def _namespace(row: sa.Row) -> Namespace:
    fields = dict(row._mapping)
    return Namespace(**{**fields, 'visibility': NamespaceVisibility(fields['visibility'])})
