"""The nodes' caches in the database: what each has, and what it is to fetch."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from oslo_db import exception as db_exc

from imagepipe.db.schema import cache_queue, cached_images, images
from imagepipe.domain.cache import CachedImage
from imagepipe.domain.image import WITH_DATA

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

#: Ids in one statement; SQLite takes no more than 32,766 values.
_PAGE = 1000


class CacheRepository:
    """Records of copies and of the queue, by node. The files on the node are the truth about the copies."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def of_node(self, node: str) -> list[CachedImage]:
        """The node's copies, first those that were not read for the longest time."""
        used = sa.case(
            (cached_images.c.last_accessed > cached_images.c.last_modified, cached_images.c.last_accessed),
            else_=cached_images.c.last_modified,
        )
        columns = [column for column in cached_images.c if column.name != 'node']
        statement = sa.select(*columns).where(cached_images.c.node == node).order_by(used, cached_images.c.id)
        return [CachedImage(**row._mapping) for row in self._connection.execute(statement)]

    def nodes_of(self, image_id: str) -> list[str]:
        """The nodes that have a copy of an image."""
        statement = sa.select(cached_images.c.node).where(cached_images.c.image_id == image_id)
        return list(self._connection.execute(statement.order_by(cached_images.c.node)).scalars())

    def record(self, node: str, image_id: str, *, size: int, checksum: str | None) -> None:
        """The node has a copy now; it waits for it no longer."""
        values = {'size': size, 'checksum': checksum, 'last_modified': self._tx.clock}
        statement = sa.update(cached_images).where(*_copy(node, image_id)).values(values)
        if self._connection.execute(statement).rowcount == 0:
            new = {'node': node, 'image_id': image_id, 'hits': 0, 'last_accessed': 0.0, **values}
            self._insert(cached_images, new)
        self.dequeue(node, [image_id])

    def hit(self, node: str, image_id: str) -> None:
        """The copy was read."""
        statement = sa.update(cached_images).where(*_copy(node, image_id))
        self._connection.execute(
            statement.values(hits=cached_images.c.hits + 1, last_accessed=self._tx.clock)
        )

    def forget(self, node: str, image_ids: Collection[str]) -> None:
        """The node has these copies no longer."""
        self._delete(cached_images, node, image_ids)

    def enqueue(self, node: str, image_id: str) -> None:
        """The node is to fetch the image; asking again changes nothing."""
        self._insert(
            cache_queue, {'node': node, 'image_id': image_id, 'queued_at': self._tx.clock, 'attempts': 0}
        )

    def queued(self, node: str) -> Mapping[str, int]:
        """The images that the node is to fetch, and how often each was tried in vain; oldest first."""
        statement = sa.select(cache_queue.c.image_id, cache_queue.c.attempts)
        statement = statement.where(cache_queue.c.node == node)
        ordered = statement.order_by(cache_queue.c.queued_at, cache_queue.c.image_id)
        return {row.image_id: row.attempts for row in self._connection.execute(ordered)}

    def failed(self, node: str, image_id: str) -> None:
        """The image could not be fetched this time."""
        statement = sa.update(cache_queue).where(
            cache_queue.c.node == node, cache_queue.c.image_id == image_id
        )
        self._connection.execute(statement.values(attempts=cache_queue.c.attempts + 1))

    def dequeue(self, node: str, image_ids: Collection[str]) -> int:
        """The node is not to fetch these any more; how many it was to."""
        return self._delete(cache_queue, node, image_ids)

    def sizes(self, image_ids: Collection[str]) -> dict[str, int | None]:
        """The sizes of those images that are there and have data."""
        found: dict[str, int | None] = {}
        for page in _pages(image_ids):
            statement = sa.select(images.c.id, images.c.size).where(
                images.c.id.in_(page), images.c.status.in_([status.value for status in WITH_DATA])
            )
            found.update((row.id, row.size) for row in self._connection.execute(statement))
        return found

    def _insert(self, table: sa.Table, row: Mapping[str, object]) -> None:
        try:
            with self._connection.begin_nested():
                self._connection.execute(sa.insert(table).values(**row))
        except (db_exc.DBDuplicateEntry, sa.exc.IntegrityError):
            return  # another process of the node was as fast

    def _delete(self, table: sa.Table, node: str, image_ids: Collection[str]) -> int:
        deleted = 0
        for page in _pages(image_ids):
            statement = sa.delete(table).where(table.c.node == node, table.c.image_id.in_(page))
            deleted += self._connection.execute(statement).rowcount
        return deleted


def _copy(node: str, image_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return cached_images.c.node == node, cached_images.c.image_id == image_id


def _pages(image_ids: Collection[str]) -> list[list[str]]:
    ids = list(image_ids)
    return [ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE)]
