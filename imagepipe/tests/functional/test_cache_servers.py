"""The image cache under each WSGI server, whose processes share one directory."""

import os
import pathlib
import tempfile

from imagepipe.cache.files import INCOMPLETE
from imagepipe.tests.fixtures.caching import NODE
from imagepipe.tests.fixtures.raw_http import RawRequest
from imagepipe.tests.functional.test_servers import MIB, ServerCase

#: More than sockets buffer, so that a client that stops reading stops the server.
LARGE = 24 * MIB


class CacheTest(ServerCase):
    def settings(self) -> dict[str, object]:
        directory = tempfile.TemporaryDirectory(prefix='imagepipe-cache-')
        type(self).addClassCleanup(directory.cleanup)
        os.chmod(directory.name, 0o777)
        self.directories[self.server_kind] = pathlib.Path(directory.name)
        named = {'image_cache_dir': directory.name, 'worker_self_reference_url': NODE}
        return super().settings() | named | {'api.workers': 2}

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.directories: dict[str, pathlib.Path] = {}

    def path(self, image_id: str) -> pathlib.Path:
        return self.directories[self.server_kind] / image_id

    def writing(self) -> list[pathlib.Path]:
        return list(self.path(INCOMPLETE).iterdir())

    def image(self, data: bytes) -> str:
        image_id = self.client.create()
        self.assertEqual(204, self.client.upload(image_id, data).status)
        return image_id

    def lose_stores(self) -> None:
        for path in pathlib.Path(self.parts.path('stores')).rglob('*'):
            if path.is_file():
                path.unlink()

    def test_a_download_makes_the_copy_that_answers_the_next(self) -> None:
        data = os.urandom(3 * MIB + 17)
        image_id = self.image(data)
        self.assertEqual(data, self.client.download(image_id).content)
        self.until(self.path(image_id).exists, 'the image cached')
        self.lose_stores()
        for _ in range(3):
            answer = self.client.download(image_id)
            self.assertEqual((200, data), (answer.status, answer.content))
        answer = self.client.download(image_id, 'bytes=1000000-1999999')
        self.assertEqual((206, data[1000000:2000000]), (answer.status, answer.content))

    def test_the_processes_fetch_what_is_queued(self) -> None:
        images = {self.image(data): data for data in (b'1' * MIB, b'2' * MIB, b'3' * MIB)}
        for image_id in images:
            self.assertEqual(202, self.client.call('PUT', f'/v2/cache/{image_id}').status)
        self.until(lambda: all(self.path(image_id).exists() for image_id in images), 'the images cached')
        self.lose_stores()
        for image_id, data in images.items():
            self.assertEqual(data, self.client.download(image_id).content)

    def test_a_client_that_is_gone_leaves_nothing(self) -> None:
        image_id = self.image(bytes(LARGE))
        request = RawRequest(self.server.port, 'GET', f'/v2/images/{image_id}/file', {})
        self.addCleanup(request.close)
        self.assertTrue(request.waiting(20))
        self.until(self.writing, 'the copy begun')
        request.close()
        self.until(lambda: not self.writing(), 'the copy given up')
        self.assertFalse(self.path(image_id).exists())
