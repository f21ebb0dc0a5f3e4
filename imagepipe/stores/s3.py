"""The S3 store: reading at an offset, listing, and the end of open multipart uploads."""

import contextlib
import io
import math
from collections.abc import Iterator
from concurrent import futures
from typing import Any

from imagepipe import errors
from imagepipe.stores.glance import ChunkReader, GlanceStore, Shown, Source
from imagepipe.stores.refusals import Border
from imagepipe.stores.sections import Section
from imagepipe.stores.streams import CHUNK, Cancelled, Reader, never

#: Parts of a stream held in memory at once; parts of a staged file are read from it while they are sent.
PARTS_IN_MEMORY = 4
MOST_PARTS = 10000
#: S3 takes no more than this in one request, whatever s3_store_large_object_size says, in bytes.
MOST_AT_ONCE = 5 << 30


class S3Store(GlanceStore):
    """Writes itself: the driver reads a stream ahead without bound, and a short one at once.

    Needs the size, which decides the size of the parts (at most 10,000).
    s3_store_thread_pools parts of a staged file are sent at a time, and
    PARTS_IN_MEMORY of a stream. Nothing is hashed here.
    """

    schemes = ('s3', 's3+http', 's3+https')
    needs_size = True
    shown = (
        Shown('s3_store_large_object_size', 's3_store_large_object_size', 1 << 20),
        Shown('s3_store_large_object_chunk_size', 's3_store_large_object_chunk_size', 1 << 20),
        Shown('s3_store_thread_pools', 's3_store_thread_pools'),
    )

    def open(self, url: str, offset: int = 0, *, cancelled: Cancelled = never) -> Reader:
        """Asks S3 for the range, so that an offset costs nothing."""
        if offset == 0:
            return super().open(url)
        with Border(self.id):
            client, bucket, key = self._addressed(url)
            if offset >= client.head_object(Bucket=bucket, Key=key)['ContentLength']:
                return ChunkReader([], self.id)
            body = client.get_object(Bucket=bucket, Key=key, Range=f'bytes={offset}-')['Body']
        return ChunkReader(body.iter_chunks(CHUNK), self.id)

    def discard(self, name: str) -> None:
        with Border(self.id):
            client, bucket = self._client()
            with self._absent_is_fine():
                for upload in _uploads(client, bucket, name):
                    if upload['Key'] == name:
                        client.abort_multipart_upload(Bucket=bucket, Key=name, UploadId=upload['UploadId'])
                client.delete_object(Bucket=bucket, Key=name)

    def names(self, prefix: str = '') -> Iterator[str]:
        with Border(self.id):
            client, bucket = self._client()
            found: set[str] = set()
            for page in client.get_paginator('list_objects_v2').paginate(Bucket=bucket, Prefix=prefix):
                found.update(entry['Key'] for entry in page.get('Contents', ()))
            found.update(upload['Key'] for upload in _uploads(client, bucket, prefix))
        return iter(sorted(found))

    def check(self) -> None:
        """The bucket answers; without it, s3_store_create_bucket_on_put may still make it."""
        try:
            with Border(self.id):
                client, bucket = self._client()
                client.head_bucket(Bucket=bucket)
        except errors.StoreObjectMissing:
            if not self._driver()._option_get('s3_store_create_bucket_on_put'):
                raise errors.StoreDenied(store=self.id) from None

    def _add(self, name: str, source: Source, size: int | None) -> str:
        client, bucket = self._client()
        self._need_bucket(client, bucket)
        driver = self._driver()
        part_size = max(driver.s3_store_large_object_chunk_size, math.ceil(size / MOST_PARTS))
        most = driver.s3_store_large_object_size if source.staged else part_size
        if size <= min(most, MOST_AT_ONCE):
            self._send_whole(client, bucket, name, source, size)
        else:
            self._send_parts(client, bucket, name, _parts(source, size, part_size))
        place = driver.get_store_location_class()(
            {'scheme': driver.scheme, 'bucket': bucket, 'key': name, 's3serviceurl': driver.full_s3_host},
            self._conf,
            backend_group=self._group,
        )
        return place.get_uri()

    def _send_whole(self, client: Any, bucket: str, name: str, source: Source, size: int) -> None:
        (part,) = list(_parts(source, size, size)) if size else [_Part(1, b'', source)]
        with part.body() as body:
            client.put_object(Bucket=bucket, Key=name, Body=body, ContentLength=size)
        part.done(size)

    def _send_parts(self, client: Any, bucket: str, name: str, parts: 'Iterator[_Part]') -> None:
        upload = {'Bucket': bucket, 'Key': name}
        upload['UploadId'] = client.create_multipart_upload(**upload)['UploadId']
        try:
            tags = self._sent(client, upload, parts)
            client.complete_multipart_upload(**upload, MultipartUpload={'Parts': tags})
        except BaseException:
            with contextlib.suppress(errors.ImagepipeError), Border(self.id):
                client.abort_multipart_upload(**upload)
            raise

    def _sent(self, client: Any, upload: dict[str, str], parts: 'Iterator[_Part]') -> list[dict[str, Any]]:
        """Send with a bounded number in flight; what they are called is for the end of the upload."""

        def send(part: '_Part') -> tuple['_Part', str]:
            with part.body() as body:
                return part, client.upload_part(**upload, PartNumber=part.number, Body=body)['ETag']

        tags: list[dict[str, Any]] = []
        waiting: set[futures.Future[tuple[_Part, str]]] = set()
        with futures.ThreadPoolExecutor(self._driver().s3_store_thread_pools) as threads:
            for part in parts:
                waiting.add(threads.submit(send, part))
                while len(waiting) >= part.in_flight(self._driver().s3_store_thread_pools):
                    waiting = _collect(waiting, tags)
            while waiting:
                waiting = _collect(waiting, tags)
        return sorted(tags, key=lambda tag: tag['PartNumber'])

    def _need_bucket(self, client: Any, bucket: str) -> None:
        driver = self._driver()
        if driver._bucket_exists(client, bucket):
            return
        if not driver._option_get('s3_store_create_bucket_on_put'):
            raise errors.StoreDenied(store=self.id)
        driver._create_bucket(client, driver.s3_host, bucket, driver.region_name)

    def _client(self) -> tuple[Any, str]:
        driver = self._driver()
        return driver._create_s3_client(), driver.bucket

    def _addressed(self, url: str) -> tuple[Any, str, str]:
        return self._driver()._operation_set(self._location(url).store_location)

    @contextlib.contextmanager
    def _absent_is_fine(self) -> Iterator[None]:
        with contextlib.suppress(errors.StoreObjectMissing), Border(self.id):
            yield


class _Part:
    """One part: bytes, or a section of the staged file."""

    def __init__(
        self, number: int, data: bytes | None, source: Source, start: int = 0, length: int = 0
    ) -> None:
        self.number = number
        self._data = data
        self._source = source
        self._start = start
        self.length = length

    def in_flight(self, threads: int) -> int:
        return threads if self._data is None else min(threads, PARTS_IN_MEMORY)

    def body(self) -> io.BufferedIOBase:
        """What boto reads, and reads again when it repeats a request."""
        if self._data is not None:
            return io.BytesIO(self._data)
        return io.BufferedReader(Section(self._source.staged.path, self._start, self.length), CHUNK)

    def done(self, count: int) -> None:
        """The part was sent; for a staged file, that is what counts as read."""
        if self._data is None:
            self._source.staged.advance(count)
            self._source.passed(count)


def _parts(source: Source, size: int, part_size: int) -> Iterator[_Part]:
    for number, start in enumerate(range(0, size, part_size), 1):
        length = min(part_size, size - start)
        if source.staged is not None:
            yield _Part(number, None, source, start, length)
            continue
        data = bytearray()
        while len(data) < length:
            data += source.read(length - len(data))
        yield _Part(number, bytes(data), source, start, length)


def _collect(
    waiting: 'set[futures.Future[tuple[_Part, str]]]', tags: list[dict[str, Any]]
) -> 'set[futures.Future[tuple[_Part, str]]]':
    done, rest = futures.wait(waiting, return_when=futures.FIRST_COMPLETED)
    for each in done:
        part, tag = each.result()
        part.done(part.length)
        tags.append({'PartNumber': part.number, 'ETag': tag})
    return rest


def _uploads(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator('list_multipart_uploads').paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get('Uploads', ())
