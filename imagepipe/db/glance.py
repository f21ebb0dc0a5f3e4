"""The database of a Glance 33, read and never written."""

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa

from imagepipe import errors
from imagepipe.db import glance_metadefs
from imagepipe.domain.adoption import GlanceImage, Place, Share
from imagepipe.domain.image import Image, Status, Visibility
from imagepipe.domain.metadefs import Definition

#: The revision of the schema of Glance 2024.1 to 33.
REVISION = '2024_1_contract01'
#: Images that are read, and taken over, at a time.
PAGE = 200

Row = TypeVar('Row')


def _table(
    name: str,
    *columns: str,
    times: Sequence[str] = ('created_at', 'updated_at'),
    flags: Sequence[str] = ('deleted',),
) -> sa.TableClause:
    return sa.table(
        name,
        *(sa.column(each) for each in columns),
        *(sa.column(each, sa.DateTime()) for each in times),
        *(sa.column(each, sa.Boolean()) for each in flags),
    )


_images = _table(
    'images', 'id', 'name', 'status', 'visibility', 'owner', 'disk_format', 'container_format', 'min_disk',
    'min_ram', 'size', 'virtual_size', 'checksum', 'os_hash_algo', 'os_hash_value',
    times=('created_at', 'updated_at', 'deleted_at'), flags=('deleted', 'protected', 'os_hidden'),
)  # fmt: skip
_properties = _table('image_properties', 'image_id', 'name', 'value')
_tags = _table('image_tags', 'image_id', 'value')
_members = _table('image_members', 'image_id', 'member', 'status')
_locations = _table('image_locations', 'id', 'image_id', 'value', 'meta_data', 'status')
_REVISION = sa.select(sa.column('version_num')).select_from(sa.table('alembic_version'))


class GlanceDatabase:
    """decrypt: makes the URL of a location of what is stored, which may be encrypted."""

    def __init__(self, url: str, *, decrypt: Callable[[str], str]) -> None:
        try:
            self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
            raise errors.GlanceDatabaseUnusable(reason=f'[database] connection: {error}') from None
        self._decrypt = decrypt

    def check(self) -> None:
        """It is one that can be read. Raises GlanceDatabaseUnusable."""
        with self._connected() as connection:
            found = connection.execute(_REVISION).scalars().all()
        if found != [REVISION]:
            raise errors.GlanceDatabaseUnusable(
                reason=f'its revision is {", ".join(found) or "none"}, not {REVISION}: upgrade Glance first'
            )

    def pages(self) -> Iterator[list[GlanceImage]]:
        """All images, deleted ones too, by id. Raises GlanceDatabaseUnusable, GlanceLocationUnreadable."""
        last = ''
        while True:
            with self._connected() as connection:
                page = self._page(connection, last)
            if not page:
                return
            yield page
            last = page[-1].image.id

    def metadefs(self) -> tuple[Sequence[Definition], Sequence[str]]:
        """All metadata definitions, and all resource types. Raises GlanceDatabaseUnusable."""
        with self._connected() as connection:
            return glance_metadefs.definitions(connection), glance_metadefs.resource_types(connection)

    def _page(self, connection: sa.Connection, last: str) -> list[GlanceImage]:
        statement = sa.select(_images).where(_images.c.id > last).order_by(_images.c.id).limit(PAGE)
        rows = connection.execute(statement).all()
        ids = [row.id for row in rows if not row.deleted]
        custom = _by_image(connection, _properties, ids, lambda row: (row.name, row.value or ''))
        tags = _by_image(connection, _tags, ids, lambda row: row.value)
        members = _by_image(connection, _members, ids, _share)
        places = _by_image(connection, _locations, ids, self._place)
        return [
            GlanceImage(
                image=_image(row, dict(custom.get(row.id, ())), frozenset(tags.get(row.id, ()))),
                deleted_at=(row.deleted_at or row.updated_at or row.created_at) if row.deleted else None,
                members=tuple(members.get(row.id, ())),
                places=tuple(places.get(row.id, ())),
            )
            for row in rows
        ]

    def _place(self, row: sa.Row) -> Place:
        metadata = json.loads(row.meta_data) if row.meta_data else {}
        return Place(
            url=self._decrypt(row.value),
            # Glance of the Rocky and Stein releases calls it backend.
            store=metadata.get('store') or metadata.get('backend'),
            metadata=metadata,
            created_at=row.created_at,
        )

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise errors.GlanceDatabaseUnusable(reason=str(error.orig)) from error


def _by_image(
    connection: sa.Connection, table: sa.TableClause, ids: Sequence[str], make: Callable[[sa.Row], Row]
) -> dict[str, list[Row]]:
    """What is not deleted of a table, by image."""
    order = (table.c.image_id, table.c.created_at, *([table.c.id] if 'id' in table.c else []))
    statement = sa.select(table).where(table.c.image_id.in_(ids), sa.not_(table.c.deleted)).order_by(*order)
    if 'meta_data' in table.c:
        statement = statement.where(table.c.status == 'active')
    found: dict[str, list[Row]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.image_id, []).append(make(row))
    return found


def _image(row: sa.Row, properties: dict[str, str], tags: frozenset[str]) -> Image:
    fields = {name: value for name, value in row._mapping.items() if name not in ('deleted', 'deleted_at')}
    fields['status'] = Status(row.status)
    fields['visibility'] = Visibility(row.visibility)
    fields['updated_at'] = row.updated_at or row.created_at
    return Image(**fields, properties=properties, tags=tags)


def _share(row: sa.Row) -> Share:
    created: datetime.datetime = row.created_at
    return Share(
        member=row.member, status=row.status, created_at=created, updated_at=row.updated_at or created
    )
