"""The RBD store: reading at an offset, listing, and images without their snapshot."""

import contextlib
from collections.abc import Iterator
from typing import Any

from glance_store import exceptions
from glance_store._drivers import rbd as driver_module

from imagepipe import errors
from imagepipe.stores.glance import ChunkReader, GlanceStore, Shown
from imagepipe.stores.refusals import Border
from imagepipe.stores.streams import Cancelled, Reader, never


class RBDStore(GlanceStore):
    """Without a size the driver grows the image while it writes, which is slower but works."""

    schemes = ('rbd',)
    shown = (
        Shown('chunk_size', 'rbd_store_chunk_size', 1 << 20),
        Shown('pool', 'rbd_store_pool'),
        Shown('thin_provisioning', 'rbd_thin_provisioning'),
    )

    def properties(self) -> dict[str, object]:
        """The cluster is not asked for its fsid."""
        return {**super().properties(), 'fsid': None}

    def prepare(self) -> None:
        """Making the driver would connect to the cluster: only the libraries are looked at."""
        if driver_module.rbd is None:
            raise errors.ConfigurationInvalid(
                reason=f'store {self.id} needs the Python libraries rados and rbd'
            )

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        """Reads the image at the offset, so that an offset costs nothing."""
        if offset == 0:
            return super().open(url)
        with Border(self.id):
            place = self._location(url).store_location
            return ChunkReader(self._read(place, offset), self.id)

    def discard(self, name: str) -> None:
        """Also an image that was never finished and has no snapshot."""
        with Border(self.id), contextlib.suppress(exceptions.NotFound):
            driver = self._driver()
            driver._delete_image(driver.pool, name, driver_module.DEFAULT_SNAPNAME)

    def names(self, prefix: str = '') -> Iterator[str]:
        with Border(self.id), self._pool() as ioctx:
            found = driver_module.rbd.RBD().list(ioctx)
        return iter(sorted(name for name in found if name.startswith(prefix)))

    def check(self) -> None:
        with Border(self.id), self._pool() as ioctx:
            ioctx.get_stats()

    @contextlib.contextmanager
    def _pool(self, pool: str | None = None) -> Iterator[Any]:
        driver = self._driver()
        with (
            driver.get_connection(conffile=driver.conf_file, rados_id=driver.user) as connection,
            connection.open_ioctx(pool or driver.pool) as ioctx,
        ):
            yield ioctx

    def _read(self, place: Any, offset: int) -> Iterator[bytes]:
        with (
            self._pool(place.pool) as ioctx,
            driver_module.rbd.Image(ioctx, place.image, snapshot=place.snapshot, read_only=True) as image,
        ):
            size = image.size()
            while offset < size:
                data = image.read(offset, min(self._driver().READ_CHUNKSIZE, size - offset))
                offset += len(data)
                yield data
