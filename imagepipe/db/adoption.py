"""Images taken over from a Glance: written as they are, with their times, many at once."""

import dataclasses
import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_utils import uuidutils

from imagepipe.db import documents
from imagepipe.db.schema import (
    adoptions,
    images,
    locations,
    members,
    properties,
    representations,
    tags,
    tombstones,
)
from imagepipe.domain.adoption import GlanceImage, Known
from imagepipe.domain.image import WITH_DATA, Image
from imagepipe.domain.location import LocationState
from imagepipe.domain.properties import digest

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

Rows = Iterator[dict[str, object]]

_PAGE = 500
#: The kinds of what was taken over.
_IMAGE = 'image'
_NAMESPACE = 'namespace'


class AdoptionRepository:
    """Writes of an image everything at once; the number of statements depends on the pages only."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def known(self, image_ids: Collection[str]) -> Mapping[str, Known]:
        """What this service knows of these ids."""
        found = {image_id: Known() for image_id in image_ids}
        for row in self._rows(images, image_ids, images.c.id, images.c.updated_at):
            found[row.id] = dataclasses.replace(found[row.id], version=row.updated_at)
        for row in self._rows(tombstones, image_ids, tombstones.c.id):
            found[row.id] = dataclasses.replace(found[row.id], buried=True)
        for row in self._rows(adoptions, image_ids, *adoptions.c, kind=_IMAGE):
            found[row.id] = dataclasses.replace(found[row.id], digest=row.digest, adopted=row.updated_at)
        return found

    def adopted(self) -> Iterator[str]:
        """The ids of all images that were taken over, by id."""
        last = ''
        while True:
            statement = sa.select(adoptions.c.id).where(adoptions.c.kind == _IMAGE, adoptions.c.id > last)
            ordered = statement.order_by(adoptions.c.id).limit(_PAGE)
            page = self._connection.execute(ordered).scalars().all()
            if not page:
                return
            yield from page
            last = page[-1]

    def namespaces(self) -> dict[str, str]:
        """The digests of the namespaces that were taken over, by name."""
        statement = sa.select(adoptions.c.id, adoptions.c.digest).where(adoptions.c.kind == _NAMESPACE)
        return {row.id: row.digest for row in self._connection.execute(statement)}

    def record_namespace(self, name: str, found: str) -> None:
        """A namespace was taken over, of this digest."""
        self.forget_namespace(name)
        row = {'kind': _NAMESPACE, 'id': name, 'digest': found, 'updated_at': self._tx.now}
        self._insert(adoptions, [row])

    def forget_namespace(self, name: str) -> None:
        """A namespace is there no longer."""
        which = (adoptions.c.kind == _NAMESPACE, adoptions.c.id == name)
        self._connection.execute(sa.delete(adoptions).where(*which))

    def add(self, found: Sequence[GlanceImage]) -> None:
        """Write new ones."""
        for table, rows in (
            (images, _rows),
            (properties, _property_rows),
            (tags, _tag_rows),
            (members, _member_rows),
            (adoptions, _adoption_rows),
        ):
            self._insert(table, [row for each in found for row in rows(each)])
        ids = {each.image.id: uuidutils.generate_uuid() for each in found if each.image.status in WITH_DATA}
        with_data = [each for each in found if each.image.id in ids]
        self._insert(representations, [_representation(each.image, ids[each.image.id]) for each in with_data])
        self._insert(
            locations, [row for each in with_data for row in self._locations(each, ids[each.image.id])]
        )

    def remove(self, image_ids: Collection[str]) -> None:
        """Remove the records of images, of their data too; what lies in the stores is Glance's."""
        ids = list(image_ids)
        for column in (locations.c.image_id, representations.c.image_id, images.c.id):
            self._connection.execute(sa.delete(column.table).where(column.in_(ids)))
        adopted = sa.delete(adoptions).where(adoptions.c.kind == _IMAGE, adoptions.c.id.in_(ids))
        self._connection.execute(adopted)

    def bury(self, gone: Collection[GlanceImage]) -> None:
        """These ids are not used again."""
        self._insert(tombstones, [self._tombstone(each.image, each.deleted_at) for each in gone])

    def _tombstone(self, image: Image, deleted_at: datetime.datetime | None) -> dict[str, object]:
        return {'id': image.id, 'owner': image.owner, 'deleted_at': deleted_at or self._tx.now}

    def _locations(self, found: GlanceImage, representation_id: str) -> Rows:
        for place in found.places:
            yield {
                'id': uuidutils.generate_uuid(),
                'image_id': found.image.id,
                'representation_id': representation_id,
                'store': place.store,
                'state': LocationState.ACTIVE.value,
                'epoch': 0,
                'url': place.url,
                'size': found.image.size,
                'metadata': documents.dump(dict(place.metadata)),
                'created_at': place.created_at,
                'updated_at': self._tx.now,
            }

    def _rows(
        self, table: sa.Table, ids: Collection[str], *columns: sa.Column, **where: str
    ) -> Sequence[sa.Row]:
        statement = sa.select(*columns).where(table.c.id.in_(list(ids))).filter_by(**where)
        return self._connection.execute(statement).all()

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        if rows:
            self._connection.execute(sa.insert(table), rows)


def _rows(found: GlanceImage) -> Rows:
    row = {column.name: getattr(found.image, column.name) for column in images.c}
    yield row | {'status': found.image.status.value, 'visibility': found.image.visibility.value}


def _property_rows(found: GlanceImage) -> Rows:
    for name, value in sorted(found.image.properties.items()):
        yield {'image_id': found.image.id, 'name': name, 'value': value, 'digest': digest(value)}


def _tag_rows(found: GlanceImage) -> Rows:
    for tag in sorted(found.image.tags):
        yield {'image_id': found.image.id, 'tag': tag}


def _member_rows(found: GlanceImage) -> Rows:
    for share in found.members:
        yield {'image_id': found.image.id, **dataclasses.asdict(share)}


def _adoption_rows(found: GlanceImage) -> Rows:
    image = found.image
    yield {'kind': _IMAGE, 'id': image.id, 'digest': found.digest, 'updated_at': image.updated_at}


def _representation(image: Image, representation_id: str) -> dict[str, object]:
    digests = {'md5': image.checksum, image.os_hash_algo or 'md5': image.os_hash_value or image.checksum}
    return {
        'id': representation_id,
        'image_id': image.id,
        'primary_of': image.id,
        'disk_format': image.disk_format,
        'container_format': image.container_format,
        'size': image.size,
        'virtual_size': image.virtual_size,
        'digests': documents.dump({name: value for name, value in digests.items() if value}),
        'created_at': image.created_at,
    }
