"""Images in the database: rows, properties, tags, and what a caller sees of them."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

import sqlalchemy as sa
from oslo_db import exception as db_exc
from sqlalchemy.dialects import mysql, postgresql, sqlite

from imagepipe import errors
from imagepipe.db import documents, image_queries, image_rows
from imagepipe.db.schema import images, locations, properties, representations, tags, tombstones
from imagepipe.domain.image import Image, Status
from imagepipe.domain.listing import ListQuery
from imagepipe.domain.location import LocationState
from imagepipe.domain.properties import digest

if TYPE_CHECKING:
    from imagepipe.context import RequestContext
    from imagepipe.db.transaction import Transaction

_NAMES = tuple(column.name for column in images.columns)
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
_LOCK = (
    sa.select(images.c.id)
    .where(
        images.c.id == sa.bindparam('expected_id'),
        images.c.status == sa.bindparam('expected_status'),
        images.c.updated_at == sa.bindparam('expected_updated_at'),
    )
    .with_for_update(key_share=True)
)
_BY_ID = sa.select(image_rows.column(images)).where(images.c.id == sa.bindparam('id'))
_IS_THERE = sa.select(images.c.id).where(
    images.c.id == sa.bindparam('id'), images.c.status != Status.PENDING_DELETE.value
)
_IS_TOMBSTONE = sa.select(tombstones.c.id).where(tombstones.c.id == sa.bindparam('id'))

_IDS = sa.bindparam('ids', expanding=True)
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
_INSERT_TAGS = sa.insert(tags)
_INSERT_TOMBSTONE = sa.insert(tombstones)
_DROP_PROPERTIES = sa.delete(properties).where(
    properties.c.image_id == sa.bindparam('of_image'),
    properties.c.name.in_(sa.bindparam('names', expanding=True)),
)
_DROP_TAGS = sa.delete(tags).where(
    tags.c.image_id == sa.bindparam('of_image'), tags.c.tag.in_(sa.bindparam('names', expanding=True))
)


def _replacing(insert: postgresql.Insert | sqlite.Insert) -> postgresql.Insert | sqlite.Insert:
    new = {name: insert.excluded[name] for name in ('value', 'digest')}
    return insert.on_conflict_do_update(index_elements=['image_id', 'name'], set_=new)


def _replacing_on_mysql(insert: mysql.Insert) -> mysql.Insert:
    return insert.on_duplicate_key_update({name: insert.inserted[name] for name in ('value', 'digest')})


#: New properties, and new values of old ones.
_PUT_PROPERTIES = {
    'sqlite': _replacing(sqlite.insert(properties)),
    'postgresql': _replacing(postgresql.insert(properties)),
    'mysql': _replacing_on_mysql(mysql.insert(properties)),
    'mariadb': _replacing_on_mysql(mysql.insert(properties)),
}


class ImageRepository:
    """Reads and writes images; the number of statements never depends on the number of images."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, image: Image, *, fresh: bool = False) -> Image:
        """Insert a new image. Raises ImageIdTaken, also for the id of a deleted image.

        fresh: its id was generated a moment ago, so that no image can have had it.
        """
        image = dataclasses.replace(image, created_at=self._tx.now, updated_at=self._tx.now)
        try:
            self._connection.execute(_INSERT, _row(image))
        except db_exc.DBDuplicateEntry as error:
            raise errors.ImageIdTaken(image_id=image.id) from error
        # After the insert, which waits for whoever is deleting the same id at this moment.
        if not fresh and self._is_tombstone(image.id):
            raise errors.ImageIdTaken(image_id=image.id)
        self._put_properties(image.id, image.properties)
        self._insert_tags(image.id, image.tags)
        return image

    def get(self, context: 'RequestContext', image_id: str) -> Image:
        """An image that the caller may see. Raises ImageNotFound."""
        if '\0' in image_id:  # PostgreSQL does not even take it as a value
            raise errors.ImageNotFound(image_id=image_id.replace('\0', ''))
        return self._one(image_queries.by_id(context, image_id), context)

    def hold(self, context: 'RequestContext', image_id: str) -> Image:
        """As get(), and no other transaction changes or holds the image until this one ends."""
        if '\0' not in image_id:
            self._connection.execute(*image_queries.lock(context, image_id))
        # Read when the lock is there: what another transaction has committed meanwhile counts.
        return self.get(context, image_id)

    def lock(self, image: Image) -> None:
        """No other transaction changes or holds the image, which is as it was read, until this one ends.

        Raises ImageChanged, ImageNotFound.
        """
        if self._connection.execute(_LOCK, _expected(image)).first() is None:
            self._raise_changed(image.id)

    def find(self, image_id: str) -> Image:
        """Any image, for the service itself. Raises ImageNotFound."""
        return self._one((_BY_ID, {'id': image_id}), None)

    def list(self, context: 'RequestContext', query: ListQuery) -> Sequence[Image]:
        """A page of the images that the caller may see. Raises InvalidMarker, MarkerForbidden."""
        if query.impossible or query.limit == 0:
            return []
        after = None if query.marker is None else self._marker(context, query.marker)
        among = self._candidates(query)
        page = image_queries.page(context, query, after, among, dialect=self._connection.dialect.name)
        return image_rows.read(self._connection.execute(*page).scalars(), context)

    def locations_of(self, image_ids: Iterable[str]) -> Mapping[str, Sequence[tuple[str, str, Mapping]]]:
        """Store, URL and metadata of the active locations of primary representations, by image."""
        found: dict[str, list[tuple[str, str, Mapping]]] = {}
        for row in self._connection.execute(_LOCATIONS_OF, {'ids': list(image_ids)}):
            found.setdefault(row.image_id, []).append((row.store, row.url, documents.load(row.metadata)))
        return found

    def save(self, image: Image, expected: Image) -> Image:
        """Write the image if it is still as `expected`.

        Raises ImageChanged, ImageNotFound, ImageBeingDeleted.
        """
        expected.check_uncondemned()
        return self.settle(image, expected)

    def settle(self, image: Image, expected: Image) -> Image:
        """As save(), for what may be written while the image is being deleted."""
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
        self._connection.execute(_INSERT_TOMBSTONE, row)

    def _is_tombstone(self, image_id: str) -> bool:
        return self._connection.execute(_IS_TOMBSTONE, {'id': image_id}).first() is not None

    def _one(self, statement: image_queries.Statement, context: 'RequestContext | None') -> Image:
        found = image_rows.read(self._connection.execute(*statement).scalars(), context)
        if not found:
            raise errors.ImageNotFound(image_id=statement[1]['id'])
        return found[0]

    def _marker(self, context: 'RequestContext', marker: str) -> Image:
        if '\0' in marker:
            raise errors.InvalidMarker(marker=marker.replace('\0', ''))
        try:
            return self.get(context, marker)
        except errors.ImageNotFound:
            if self._connection.execute(_IS_THERE, {'id': marker}).first() is None:
                raise errors.InvalidMarker(marker=marker) from None
            raise errors.MarkerForbidden(marker=marker) from None

    def _candidates(self, query: ListQuery) -> Sequence[str] | None:
        """The only images that can be in the list, where a property or tag asked for is rare; else None."""
        if not (query.properties or query.tags):
            return None
        texts = self._connection.execute(*image_queries.with_rare(query)).scalars()
        fewest = min((documents.load(text, default={}) for text in texts), key=len)
        return list(fewest) if len(fewest) < image_queries.MANY else None

    def _check_found(self, result: sa.CursorResult, image_id: str) -> None:
        if result.rowcount != 1:
            self._raise_changed(image_id)

    def _raise_changed(self, image_id: str) -> NoReturn:
        if self._connection.execute(_BY_ID, {'id': image_id}).first() is None:
            raise errors.ImageNotFound(image_id=image_id)
        raise errors.ImageChanged(image_id=image_id)

    def _save_properties(self, image: Image, expected: Image) -> None:
        old, new = expected.properties, image.properties
        if old == new:
            return
        dropped = [name for name in old if name not in new]
        if dropped:
            self._connection.execute(_DROP_PROPERTIES, {'of_image': image.id, 'names': dropped})
        self._put_properties(image.id, {name: new[name] for name in new if new[name] != old.get(name)})

    def _save_tags(self, image: Image, expected: Image) -> None:
        dropped = expected.tags - image.tags
        if dropped:
            self._connection.execute(_DROP_TAGS, {'of_image': image.id, 'names': sorted(dropped)})
        self._insert_tags(image.id, image.tags - expected.tags)

    def _put_properties(self, image_id: str, custom: Mapping[str, str]) -> None:
        rows = [
            {'image_id': image_id, 'name': name, 'value': value, 'digest': digest(value)}
            for name, value in sorted(custom.items())
        ]
        if rows:
            self._connection.execute(_PUT_PROPERTIES[self._connection.dialect.name], rows)

    def _insert_tags(self, image_id: str, added: Iterable[str]) -> None:
        rows = [{'image_id': image_id, 'tag': tag} for tag in sorted(added)]
        if rows:
            self._connection.execute(_INSERT_TAGS, rows)


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


def _later(now: datetime.datetime, before: datetime.datetime | None) -> datetime.datetime:
    """Now, but strictly after the last change: clocks of hosts differ, and compare-and-set needs it."""
    return now if before is None or now > before else before + datetime.timedelta(microseconds=1)
