"""Images in the database: rows, properties, tags, and what a caller sees of them."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe import errors
from imagepipe.db import documents, image_queries
from imagepipe.db.image_queries import COLUMNS
from imagepipe.db.schema import images, locations, properties, representations, tags, tombstones
from imagepipe.domain.image import Image, Status, Visibility
from imagepipe.domain.listing import ListQuery
from imagepipe.domain.location import LocationState
from imagepipe.domain.properties import digest

if TYPE_CHECKING:
    from imagepipe.context import RequestContext
    from imagepipe.db.transaction import Transaction

_NAMES = tuple(column.name for column in COLUMNS)
_INSERT = sa.insert(images)
_UPDATE = (
    sa.update(images)
    .where(
        images.c.id == sa.bindparam('expected_id'),
        images.c.status == sa.bindparam('expected_status'),
        images.c.updated_at == sa.bindparam('expected_updated_at'),
    )
    .values({name: sa.bindparam(name) for name in _NAMES if name not in ('id', 'created_at')})
)
_DELETE = sa.delete(images).where(
    images.c.id == sa.bindparam('expected_id'),
    images.c.status == sa.bindparam('expected_status'),
    images.c.updated_at == sa.bindparam('expected_updated_at'),
)
_BY_ID = sa.select(*COLUMNS).where(images.c.id == sa.bindparam('id'))
_IS_TOMBSTONE = sa.select(tombstones.c.id).where(tombstones.c.id == sa.bindparam('id'))

_IDS = sa.bindparam('ids', expanding=True)
_PROPERTIES_OF = sa.select(properties.c.image_id, properties.c.name, properties.c.value).where(
    properties.c.image_id.in_(_IDS)
)
_TAGS_OF = sa.select(tags.c.image_id, tags.c.tag).where(tags.c.image_id.in_(_IDS))
_LOCATIONS_OF = (
    sa.select(locations.c.image_id, locations.c.store, locations.c.url, locations.c.metadata)
    .join(
        representations,
        sa.and_(
            representations.c.primary_of == locations.c.image_id,
            representations.c.id == locations.c.representation_id,
        ),
    )
    .where(locations.c.image_id.in_(_IDS), locations.c.state == LocationState.ACTIVE.value)
    .order_by(locations.c.created_at, locations.c.id)
)
_DROP_PROPERTIES = sa.delete(properties).where(
    properties.c.image_id == sa.bindparam('of_image'),
    properties.c.name.in_(sa.bindparam('names', expanding=True)),
)
_DROP_TAGS = sa.delete(tags).where(
    tags.c.image_id == sa.bindparam('of_image'), tags.c.tag.in_(sa.bindparam('names', expanding=True))
)


class ImageRepository:
    """Reads and writes images; the number of statements never depends on the number of images."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, image: Image) -> Image:
        """Insert a new image. Raises ImageIdTaken, also for the id of a deleted image."""
        image = dataclasses.replace(image, created_at=self._tx.now, updated_at=self._tx.now)
        try:
            self._connection.execute(_INSERT, _row(image))
        except db_exc.DBDuplicateEntry as error:
            raise errors.ImageIdTaken(image_id=image.id) from error
        # After the insert, which waits for whoever is deleting the same id at this moment.
        if self._connection.execute(_IS_TOMBSTONE, {'id': image.id}).first() is not None:
            raise errors.ImageIdTaken(image_id=image.id)
        self._insert_properties(image.id, image.properties)
        self._insert_tags(image.id, image.tags)
        return image

    def get(self, context: 'RequestContext', image_id: str) -> Image:
        """An image that the caller may see. Raises ImageNotFound."""
        if '\0' in image_id:  # PostgreSQL does not even take it as a value
            raise errors.ImageNotFound(image_id=image_id.replace('\0', ''))
        return self._one(_BY_ID.where(image_queries.visible(context)), image_id, context)

    def find(self, image_id: str) -> Image:
        """Any image, for the service itself. Raises ImageNotFound."""
        return self._one(_BY_ID, image_id, None)

    def list(self, context: 'RequestContext', query: ListQuery) -> Sequence[Image]:
        """A page of the images that the caller may see. Raises InvalidMarker, MarkerForbidden."""
        if query.impossible or query.limit == 0:
            return []
        after = None if query.marker is None else self._marker(context, query.marker)
        dialect = self._connection.dialect.name
        statement = image_queries.page(context, query, after, dialect=dialect)
        return self._complete(self._connection.execute(statement).all(), context)

    def locations_of(self, image_ids: Iterable[str]) -> Mapping[str, Sequence[tuple[str, str, Mapping]]]:
        """Store, URL and metadata of the active locations of primary representations, by image."""
        found: dict[str, list[tuple[str, str, Mapping]]] = {}
        for row in self._connection.execute(_LOCATIONS_OF, {'ids': list(image_ids)}):
            found.setdefault(row.image_id, []).append((row.store, row.url, documents.load(row.metadata)))
        return found

    def save(self, image: Image, expected: Image) -> Image:
        """Write the image if it is still as `expected`. Raises ImageChanged, ImageNotFound."""
        image = dataclasses.replace(image, updated_at=_later(self._tx.now, expected.updated_at))
        result = self._connection.execute(_UPDATE, {**_row(image), **_expected(expected)})
        self._check_found(result, expected.id)
        self._save_properties(image, expected)
        self._save_tags(image, expected)
        return image

    def remove(self, image: Image, expected: Image) -> None:
        """Delete the image if it is still as `expected`; its id is never used again.

        Raises ImageChanged, ImageNotFound.
        """
        self._check_found(self._connection.execute(_DELETE, _expected(expected)), expected.id)
        row = {'id': image.id, 'owner': image.owner, 'deleted_at': self._tx.now}
        self._connection.execute(sa.insert(tombstones), row)

    def _one(self, statement: sa.Select, image_id: str, context: 'RequestContext | None') -> Image:
        row = self._connection.execute(statement, {'id': image_id}).first()
        if row is None:
            raise errors.ImageNotFound(image_id=image_id)
        return self._complete([row], context)[0]

    def _marker(self, context: 'RequestContext', marker: str) -> Image:
        if '\0' in marker:
            raise errors.InvalidMarker(marker=marker.replace('\0', ''))
        visible = image_queries.visible(context)
        row = self._connection.execute(_BY_ID.where(visible), {'id': marker}).first()
        if row is not None:
            return _image(row)
        if self._connection.execute(_BY_ID, {'id': marker}).first() is None:
            raise errors.InvalidMarker(marker=marker)
        raise errors.MarkerForbidden(marker=marker)

    def _complete(self, rows: Sequence[sa.Row], context: 'RequestContext | None') -> Sequence[Image]:
        """Images with their properties, tags and stores: three statements, however many there are."""
        if not rows:
            return []
        ids = {'ids': [row.id for row in rows]}
        custom: dict[str, dict[str, str]] = {}
        for row in self._connection.execute(_PROPERTIES_OF, ids):
            custom.setdefault(row.image_id, {})[row.name] = row.value
        tagged: dict[str, set[str]] = {}
        for row in self._connection.execute(_TAGS_OF, ids):
            tagged.setdefault(row.image_id, set()).add(row.tag)
        stores: dict[str, dict[str, None]] = {}
        for row in self._connection.execute(_LOCATIONS_OF, ids):
            stores.setdefault(row.image_id, {})[row.store] = None
        return [
            _image(
                row,
                properties=custom.get(row.id, {}),
                tags=frozenset(tagged.get(row.id, ())),
                stores=tuple(stores.get(row.id, ())),
                member_id=_member(row, context),
            )
            for row in rows
        ]

    def _check_found(self, result: sa.CursorResult, image_id: str) -> None:
        if result.rowcount == 1:
            return
        if self._connection.execute(_BY_ID, {'id': image_id}).first() is None:
            raise errors.ImageNotFound(image_id=image_id)
        raise errors.ImageChanged(image_id=image_id)

    def _save_properties(self, image: Image, expected: Image) -> None:
        old, new = expected.properties, image.properties
        if old == new:
            return
        dropped = [name for name in old if new.get(name) != old[name]]
        if dropped:
            self._connection.execute(_DROP_PROPERTIES, {'of_image': image.id, 'names': dropped})
        self._insert_properties(image.id, {name: new[name] for name in new if new[name] != old.get(name)})

    def _save_tags(self, image: Image, expected: Image) -> None:
        dropped = expected.tags - image.tags
        if dropped:
            self._connection.execute(_DROP_TAGS, {'of_image': image.id, 'names': sorted(dropped)})
        self._insert_tags(image.id, image.tags - expected.tags)

    def _insert_properties(self, image_id: str, custom: Mapping[str, str]) -> None:
        rows = [
            {'image_id': image_id, 'name': name, 'value': value, 'digest': digest(value)}
            for name, value in sorted(custom.items())
        ]
        if rows:
            self._connection.execute(sa.insert(properties), rows)

    def _insert_tags(self, image_id: str, added: Iterable[str]) -> None:
        rows = [{'image_id': image_id, 'tag': tag} for tag in sorted(added)]
        if rows:
            self._connection.execute(sa.insert(tags), rows)


def _row(image: Image) -> dict[str, object]:
    row = {name: getattr(image, name) for name in _NAMES}
    row['status'] = image.status.value
    row['visibility'] = image.visibility.value
    return row


def _expected(image: Image) -> dict[str, object]:
    return {
        'expected_id': image.id,
        'expected_status': image.status.value,
        'expected_updated_at': image.updated_at,
    }


def _image(row: sa.Row, **more: object) -> Image:
    fields = dict(row._mapping)
    fields['status'] = Status(fields['status'])
    fields['visibility'] = Visibility(fields['visibility'])
    return Image(**fields, **more)


def _member(row: sa.Row, context: 'RequestContext | None') -> str | None:
    """The project through whose share the row was found: a foreign shared image has no other way."""
    if context is None or context.is_admin or row.visibility != Visibility.SHARED.value:
        return None
    return context.project_id if row.owner not in (None, context.project_id) else None


def _later(now: datetime.datetime, before: datetime.datetime | None) -> datetime.datetime:
    """Now, but strictly after the last change: clocks of hosts differ, and compare-and-set needs it."""
    return now if before is None or now > before else before + datetime.timedelta(microseconds=1)
