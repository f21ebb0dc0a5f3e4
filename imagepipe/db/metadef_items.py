"""What namespaces of metadata definitions hold: objects, properties, tags, associations.

They are alike: a name that is unique in the namespace, times, and a few fields of their own.
Whoever writes holds the namespace (MetadefRepository.hold).
"""

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import documents, keyset
from imagepipe.db.resource_types import ResourceTypeRepository
from imagepipe.db.schema import metadef_associations, metadef_objects, metadef_properties, metadef_tags
from imagepipe.domain.metadef_listing import Page
from imagepipe.domain.metadefs import (
    Association,
    Item,
    Namespace,
    ObjectDefinition,
    PropertyDefinition,
    TagDefinition,
)

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_TICK = datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of them. documents: its fields that are JSON, with what they are where nothing was sent."""

    noun: str
    table: sa.Table
    item: type[Item]
    documents: Mapping[str, object] = dataclasses.field(default_factory=dict)


OBJECTS = Kind(
    noun='object',
    table=metadef_objects,
    item=ObjectDefinition,
    documents={'required': (), 'properties': {}},
)
PROPERTIES = Kind(
    noun='property',
    table=metadef_properties,
    item=PropertyDefinition,
    documents={'definition': {}},
)
TAGS = Kind(noun='tag', table=metadef_tags, item=TagDefinition)
ASSOCIATIONS = Kind(noun='resource type', table=metadef_associations, item=Association)
Held = TypeVar('Held', bound=Item)


class ItemRepository(Generic[Held]):
    """Reads and writes one kind."""

    def __init__(self, tx: 'Transaction', kind: Kind) -> None:
        self._tx = tx
        self._connection = tx.connection
        self._kind = kind
        self._columns = kind.table.c

    def list(self, namespace: Namespace, *, descending: bool = False) -> Sequence[Held]:
        """All of them, oldest first unless descending."""
        by = keyset.keys(self._order('created_at'), descending=descending)
        statement = self._of(namespace).order_by(*keyset.order(by))
        return [self._item(row) for row in self._connection.execute(statement)]

    def page(self, namespace: Namespace, page: Page) -> Sequence[Held]:
        """A page of them. Raises MetadefNotFound for a marker that is not there."""
        if page.limit == 0:
            return []
        terms, place = self._order(page.sort_key), None
        if page.marker is not None:
            self.get(namespace, page.marker)
            place = self._connection.execute(self._named(namespace, page.marker, *terms)).one()
        by = keyset.keys(terms, descending=page.descending)
        statement = keyset.page(self._of(namespace), by, place, page.limit)
        return [self._item(row) for row in self._connection.execute(statement)]

    def of_all(self, namespace_ids: Collection[str]) -> Mapping[str, Sequence[Held]]:
        """Those of many namespaces, by the id of the namespace, oldest first."""
        found: dict[str, list[Item]] = {}
        if not namespace_ids:
            return found
        statement = sa.select(self._kind.table).where(self._columns.namespace_id.in_(namespace_ids))
        for row in self._connection.execute(statement.order_by(*self._order('created_at'))):
            found.setdefault(row.namespace_id, []).append(self._item(row))
        return found

    def get(self, namespace: Namespace, name: str) -> Held:
        """The one of this name. Raises MetadefNotFound."""
        found = None if '\0' in name else self._connection.execute(self._named(namespace, name)).first()
        if found is None:
            raise errors.MetadefNotFound(
                noun=self._kind.noun, name=name.replace('\0', ''), namespace=namespace.namespace
            )
        return self._item(found)

    def add(self, namespace: Namespace, items: Sequence[Held]) -> Sequence[Held]:
        """Add these in one statement; their times keep their order. Raises MetadefExists."""
        added = [
            dataclasses.replace(item, created_at=self._tx.now + number * _TICK, updated_at=self._tx.now)
            for number, item in enumerate(items)
        ]
        if added:
            rows = [{'namespace_id': namespace.id, **self._row(item)} for item in added]
            self._write(sa.insert(self._kind.table), rows, namespace, added)
        return added

    def replace(self, namespace: Namespace, old: Held, new: Held) -> Held:
        """Put one in the place of another. Raises MetadefExists when it takes the name of a third."""
        new = dataclasses.replace(new, created_at=old.created_at, updated_at=self._tx.now)
        statement = sa.update(self._kind.table).where(*self._where(namespace, old.name))
        self._write(statement.values(self._row(new)), None, namespace, [new])
        return new

    def remove(self, namespace: Namespace, item: Held) -> None:
        """Delete it."""
        self._connection.execute(sa.delete(self._kind.table).where(*self._where(namespace, item.name)))

    def clear(self, namespace: Namespace) -> None:
        """Delete all that the namespace has of this kind."""
        self._connection.execute(
            sa.delete(self._kind.table).where(self._columns.namespace_id == namespace.id)
        )

    def _write(
        self,
        statement: sa.Insert | sa.Update,
        rows: Sequence[Mapping[str, object]] | None,
        namespace: Namespace,
        items: Sequence[Held],
    ) -> None:
        try:
            self._connection.execute(statement, rows)
        except db_exc.DBDuplicateEntry as error:
            raise errors.MetadefExists(
                noun=self._kind.noun,
                name="' or '".join(item.name for item in items),
                namespace=namespace.namespace,
            ) from error

    def _of(self, namespace: Namespace) -> sa.Select:
        return sa.select(self._kind.table).where(self._columns.namespace_id == namespace.id)

    def _named(self, namespace: Namespace, name: str, *columns: sa.ColumnElement) -> sa.Select:
        return sa.select(*(columns or (self._kind.table,))).where(*self._where(namespace, name))

    def _where(self, namespace: Namespace, name: str) -> tuple[sa.ColumnElement[bool], ...]:
        return self._columns.namespace_id == namespace.id, self._columns.name == name

    def _order(self, sort_key: str) -> Sequence[sa.ColumnElement]:
        dialect = self._connection.dialect.name
        name = keyset.by_code_point(self._columns.name, dialect)
        return [name] if sort_key == 'name' else [self._columns[sort_key], name]

    def _row(self, item: Held) -> dict[str, object]:
        fields = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
        for name in self._kind.documents:
            if fields[name] is not None:
                fields[name] = documents.dump_in_order(fields[name])
        return fields

    def _item(self, row: sa.Row) -> Held:
        fields = {name: value for name, value in row._mapping.items() if name != 'namespace_id'}
        for name, nothing in self._kind.documents.items():
            fields[name] = documents.load(fields[name], nothing)
        return self._kind.item(**fields)


class AssociationRepository(ItemRepository[Association]):
    """Associations; a resource type that is new becomes known."""

    def __init__(self, tx: 'Transaction') -> None:
        super().__init__(tx, ASSOCIATIONS)

    def add(self, namespace: Namespace, items: Sequence[Association]) -> Sequence[Association]:
        """As for the others."""
        ResourceTypeRepository(self._tx).ensure([item.name for item in items])
        return super().add(namespace, items)
