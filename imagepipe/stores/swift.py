"""The Swift store: reading at an offset, listing, segments, and URLs without credentials."""

import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from glance_store._drivers.swift import store as driver_module
from oslo_config import cfg

from imagepipe import errors
from imagepipe.stores.glance import ChunkReader, GlanceStore, Shown, Source, option
from imagepipe.stores.refusals import Border
from imagepipe.stores.streams import CHUNK, Cancelled, Reader, never

#: What the driver takes for a megabyte, in bytes.
MEGABYTE = 1024 * 1000
#: The driver appends this to the name of an object for each of its segments.
_SEGMENT = re.compile(r'-\d{5,}\Z')


class SwiftStore(GlanceStore):
    """Objects in one account, written here: the driver announces a wrong length for the last segment.

    Recorded URLs are swift+config://<reference>/<container>/<object>: the
    driver's own ones hold the password.
    """

    schemes = ('swift', 'swift+http', 'swift+https', 'swift+config')
    shown = (
        Shown('container', 'swift_store_container'),
        Shown('large_object_size', 'swift_store_large_object_size', MEGABYTE),
        Shown('large_object_chunk_size', 'swift_store_large_object_chunk_size', MEGABYTE),
    )

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        """Asks Swift for the range, so that an offset costs nothing."""
        if offset == 0:
            return super().open(url)
        with Border(self.id):
            place = self._location(url).store_location
            connection = self._driver().get_connection(place)
            length = int(connection.head_object(place.container, place.obj).get('content-length', 0))
            if offset >= length:
                return ChunkReader([], self.id)
            _, body = connection.get_object(
                place.container,
                place.obj,
                resp_chunk_size=self._driver().CHUNKSIZE,
                headers={'Range': f'bytes={offset}-'},
            )
        return ChunkReader(body, self.id)

    def discard(self, name: str) -> None:
        """The object, and its segments also when there is no manifest yet or no more."""
        with Border(self.id):
            connection, container = self._reached(name)
            for segment in _listed(connection, container, f'{name}-'):
                if _SEGMENT.sub('', segment) == name:
                    _delete(connection, container, segment)
            _delete(connection, container, name)

    def names(self, prefix: str = '') -> Iterator[str]:
        with Border(self.id):
            found: set[str] = set()
            connection, container = self._reached(prefix)
            for each in self._containers(connection, container):
                found.update(_SEGMENT.sub('', name) for name in _listed(connection, each, prefix))
        return iter(sorted(found))

    def size(self, url: str) -> int:
        """Asked from Swift here: the driver answers 0 for every error."""
        with Border(self.id):
            place = self._location(url).store_location
            found = self._driver().get_connection(place).head_object(place.container, place.obj)
            return int(found['content-length'])

    def check(self) -> None:
        with Border(self.id):
            connection, _ = self._reached('')
            connection.head_account()

    def _add(self, name: str, source: Source, size: int | None) -> str:
        """Segments of exact lengths and a dynamic manifest, as the driver makes them, without its digests."""
        driver = self._driver()
        place = driver.create_location(name)
        with driver.get_manager(place, allow_reauth=True) as manager:
            driver._create_container_if_missing(place.container, manager.get_connection())
            if size is not None and size < driver.large_object_size:
                _send(manager, place.container, name, _segment(source, size), size)
            else:
                self._add_segments(manager, place.container, name, source, size)
        # The driver's own get_uri() looks for the reference where an unset option is None.
        return f'swift+config://{driver.store_conf.default_swift_reference}/{place.container}/{name}'

    def _add_segments(
        self, manager: Any, container: str, name: str, source: Source, size: int | None
    ) -> None:
        most = self._driver().large_object_chunk_size
        number = 1
        while size is None or source.position < size:
            length = most if size is None else min(most, size - source.position)
            segment = _segment(source, length)
            if size is None and segment.empty():
                break
            _send(manager, container, f'{name}-{number:05d}', segment, None if size is None else length)
            number += 1
        headers = {'X-Object-Manifest': urllib.parse.quote(f'{container}/{name}-')}
        manager.get_connection().put_object(container, name, b'', headers=headers)

    def _reached(self, name: str) -> tuple[Any, str]:
        """A connection, and the container that an object of this name would lie in."""
        driver = self._driver()
        place = driver.create_location(name)
        return driver.get_connection(place), place.container

    def _containers(self, connection: Any, container: str) -> list[str]:
        """With swift_store_multiple_containers_seed, all containers that names are spread over."""
        driver = self._driver()
        if not driver.store_conf.swift_store_multiple_containers_seed:
            return [container]
        _, found = connection.get_account(prefix=f'{driver.container}_', full_listing=True)
        return [entry['name'] for entry in found]


class _Segment:
    """The next bytes of the source, at most `left` of them."""

    #: How often swiftclient may send it again.
    retries = 0

    def __init__(self, source: Source, left: int) -> None:
        self._source = source
        self._first = b''
        self.left = left

    def empty(self) -> bool:
        """Whether the source has ended."""
        self._first = self._source.read(min(self.left, CHUNK))
        return not self._first

    def read(self, size: int = -1) -> bytes:
        wanted = self.left if size < 0 else min(size, self.left)
        if self._first:
            data, self._first = self._first[:wanted], self._first[wanted:]
        else:
            data = self._source.read(wanted)
        self.left -= len(data)
        return data


class _StagedSegment(_Segment):
    """A segment of a staged file, which can be read once more when sending it failed."""

    retries = 3

    def __init__(self, source: Source, left: int) -> None:
        super().__init__(source, left)
        self._begin = (source.position, left)

    def reset(self, *args: object, **kwargs: object) -> None:
        """Called by swiftclient before it repeats a request."""
        position, self.left = self._begin
        self._first = b''
        self._source.rewind(position)


def _segment(source: Source, length: int) -> _Segment:
    return (_StagedSegment if source.staged else _Segment)(source, length)


def _send(manager: Any, container: str, name: str, segment: _Segment, length: int | None) -> None:
    connection = manager.get_connection()
    connection.retries = segment.retries
    connection.put_object(container, name, segment, content_length=length)


def refuse_multi_tenant(conf: cfg.ConfigOpts, group: str | None) -> None:
    """A conductor has no token of the user that a multi-tenant Swift would need."""
    if option(conf, group, 'swift_store_multi_tenant'):
        raise errors.ConfigurationInvalid(
            reason=f'[{group or "glance_store"}] swift_store_multi_tenant needs the token of the user, '
            'which a conductor does not have'
        )


def _listed(connection: Any, container: str, prefix: str) -> list[str]:
    try:
        _, entries = connection.get_container(container, prefix=prefix, full_listing=True)
    except driver_module.swiftclient.ClientException as error:
        if error.http_status == 404:
            return []
        raise
    return [entry['name'] for entry in entries]


def _delete(connection: Any, container: str, name: str) -> None:
    try:
        connection.delete_object(container, name)
    except driver_module.swiftclient.ClientException as error:
        if error.http_status != 404:
            raise
