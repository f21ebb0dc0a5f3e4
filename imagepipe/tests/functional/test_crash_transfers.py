"""The process that takes an upload in is killed in the middle of it: nothing is left for ever.

First the whole API server, under gunicorn, with half of a body received; then a process that runs
the operation itself and ends at a line of its own.
"""

import io
import os
import pathlib
import time

import sqlalchemy as sa
import testscenarios
import testtools
from oslo_utils import uuidutils

from imagepipe import quota
from imagepipe.db import schema
from imagepipe.domain.image import Image, Status
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import data
from imagepipe.services import Services
from imagepipe.sources.intake import Intake
from imagepipe.stores import file, streams
from imagepipe.tests.fixtures import crashing, images
from imagepipe.tests.fixtures.raw_http import OCTETS, RawRequest
from imagepipe.tests.fixtures.servers import ServerFixture
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.stories import ADMIN, OWNER
from imagepipe.tests.fixtures.workers import WorkersFixture, wait_until

KINDS = [('sqlite', {'kind': 'sqlite'}), ('postgresql', {'kind': 'postgresql'})]
CALLS = [('file', {'call': 'file'}), ('stage', {'call': 'stage'})]


class Transfers(testscenarios.WithScenarios, testtools.TestCase):
    """An image, and the parts that a transfer of its data leaves something in."""

    scenarios = testscenarios.multiply_scenarios(KINDS, CALLS)
    kind: str
    call: str

    def setUp(self) -> None:
        super().setUp()
        images.needs(self, 'qcow2')
        self.body = images.content('qcow2')
        self.cloud = self.useFixture(
            ServicesFixture(
                self,
                kind=self.kind,
                overrides={'transfers.lease_seconds': 600, 'staging.grace': 300},
            )
        )
        self.services = self.cloud.services
        self.image_id = uuidutils.generate_uuid()
        self.services.db.run(
            lambda tx: tx.images.add(
                Image(
                    id=self.image_id,
                    owner=OWNER,
                    name='disk',
                    disk_format='qcow2',
                    container_format='bare',
                )
            )
        )

    def image(self) -> Image:
        return self.services.db.read(lambda tx: tx.images.find(self.image_id))

    def files(self, *parts: str) -> list[pathlib.Path]:
        found = pathlib.Path(self.cloud.path(*parts)).rglob('*')
        return sorted(path for path in found if path.is_file())

    def sweep(self) -> None:
        """The lease of whoever is dead runs out, files grow old, and a sweeper comes by."""
        self.services.db.run(
            lambda tx: tx.connection.execute(
                sa.update(schema.transfers).where(schema.transfers.c.expires.is_not(None)).values(expires=0.0)
            )
        )
        for path in self.files('staging'):
            os.utime(path, (time.time() - 1000,) * 2)
        Sweeper(self.services, interval=3600).sweep()

    def nothing_left(self) -> None:
        """The image is queued as if nothing had come, and can take its data."""
        image = self.image()
        self.assertEqual((Status.QUEUED, None, None), (image.status, image.size, image.checksum))
        self.assertEqual([], self.files('staging') + self.files('stores'))
        self.assertEqual((0, 0), self.used())
        self.assertEqual([], self.services.db.read(lambda tx: tx.transfers.of_image(self.image_id)))
        data.upload(
            self.services,
            ADMIN,
            self.image_id,
            io.BytesIO(self.body),
            content_length=len(self.body),
            announced_size=None,
            store=None,
        )
        self.active()

    def active(self) -> None:
        image = self.image()
        self.assertEqual((Status.ACTIVE, len(self.body)), (image.status, image.size))
        self.assertEqual(1, len(self.files('stores')))
        self.assertEqual([], self.files('staging'))
        self.assertEqual((len(self.body), 0), self.used())

    def used(self) -> tuple[int, int]:
        return self.services.db.snapshot(
            lambda tx: (
                tx.usages.used(quota.project(OWNER), quota.BYTES),
                tx.usages.used(quota.STAGING, quota.BYTES),
            )
        )


class ServerKilledTestCase(Transfers):
    """SIGKILL for every process of the API while a client sends."""

    def test_in_the_middle_of_a_body(self) -> None:
        server = self.useFixture(ServerFixture(self, 'gunicorn', self.cloud.path('etc')))
        request = RawRequest(
            server.port,
            'PUT',
            f'/v2/images/{self.image_id}/{self.call}',
            OCTETS | {'Content-Length': str(4 << 20)},
        )
        self.addCleanup(request.close)
        request.send(self.body[: len(self.body) // 2] * 5)
        wait_until(lambda: any(path.stat().st_size for path in self.files('staging')), 'bytes are in staging')
        self.assertIn(self.image().status, (Status.SAVING, Status.UPLOADING))
        server.kill()
        self.assertEqual(1, len(self.services.db.read(lambda tx: tx.transfers.of_image(self.image_id))))
        self.sweep()
        self.nothing_left()


#: Where the process ends; after the first four, the image must be queued again.
POINTS = [(name, {'point': name}) for name in ('body', 'chunk', 'judged', 'uncommitted', 'put', 'committed')]


class ProcessKilledTestCase(Transfers):
    """SIGKILL at a line of the operation."""

    scenarios = [
        (name, settings)
        for name, settings in testscenarios.multiply_scenarios(KINDS, CALLS, POINTS)
        if settings['call'] == 'file' or settings['point'] not in ('put', 'judged')
    ]
    point: str

    def test_the_sweeper_ends_what_was_begun_and_leaves_what_is_done(self) -> None:
        workers = self.useFixture(WorkersFixture(self, self.cloud))
        workers.run(_transfer, self.call, self.point, self.image_id, self.body).wait_killed()
        self.sweep()
        if self.point != 'committed':
            self.nothing_left()
        elif self.call == 'file':
            self.active()
        else:
            self.assertEqual(Status.UPLOADING, self.image().status)
            self.assertEqual(1, len(self.files('staging')))


class _Body(io.BytesIO):
    """A client's data; the process ends when it reads for the second time."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._reads = 0

    def read(self, size: int = -1) -> bytes:
        self._reads += 1
        if self._reads == 2:
            crashing.killing()()
        return super().read(size)


def _transfer(services: Services, call: str, point: str, image_id: str, body: bytes) -> None:
    """Take data in, as a request does, up to the point."""
    hit = crashing.killing()
    _arm(point, hit)
    reader = _Body(body) if point == 'body' else io.BytesIO(body)
    options = {'content_length': len(body), 'announced_size': None}
    if call == 'file':
        data.upload(services, ADMIN, image_id, reader, store=None, **options)
    else:
        data.stage(services, ADMIN, image_id, reader, **options)


def _arm(point: str, hit: crashing.Hit) -> None:
    def after(target: object, name: str) -> None:
        original = getattr(target, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            result = original(*args, **kwargs)
            hit()
            return result

        setattr(target, name, wrapped)

    def half(sink: streams.FileSink, chunk: bytes) -> None:
        write(sink, chunk[: len(chunk) // 2])
        hit()

    write = streams.FileSink.write
    match point:
        case 'chunk':
            streams.FileSink.write = half
        case 'judged':
            after(Intake, 'judge')
        case 'put':
            after(file.FileStore, '_take_over')
        case 'uncommitted':
            after(data, '_activate')
            after(data, '_settle')
        case 'committed':
            Intake.discard_staged = lambda *_args: hit()
            after(data, '_receive_staged')
