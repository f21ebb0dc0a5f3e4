"""A process that fills the image cache is killed: no copy is served wrongly, and nothing stays for ever."""

import io
import pathlib

import fixtures
import testscenarios
import testtools
from oslo_utils import uuidutils

from imagepipe.cache.files import INCOMPLETE, CacheDirectory, NewCopy
from imagepipe.cache.node import Cache
from imagepipe.domain.image import Image
from imagepipe.operations import data
from imagepipe.services import Services
from imagepipe.tests.fixtures import crashing
from imagepipe.tests.fixtures.caching import NODE
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.stories import ADMIN, OWNER
from imagepipe.tests.fixtures.workers import WorkersFixture
from imagepipe.wsgi.caretaker import Caretaker

BODY = bytes(range(256)) * 8192 + b'end'
WAYS = [('download', {'way': 'download'}), ('prefetch', {'way': 'prefetch'})]
#: Where the process ends: the class and method, whether before or after it, and whether there is a copy then.
POINTS = [
    ('the file is made', {'at': (CacheDirectory, 'begin'), 'after': True, 'copied': False}),
    ('a piece is written', {'at': (NewCopy, 'write'), 'after': True, 'copied': False}),
    ('all is written', {'at': (CacheDirectory, 'finish'), 'after': False, 'copied': False}),
    ('the copy is there', {'at': (CacheDirectory, 'finish'), 'after': True, 'copied': True}),
    ('the copy is recorded', {'at': (Cache, '_record'), 'after': True, 'copied': True}),
]


class KilledTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = testscenarios.multiply_scenarios(WAYS, POINTS)

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        settings = {'image_cache_dir': self.directory, 'worker_self_reference_url': NODE}
        self.cloud = self.useFixture(ServicesFixture(self, overrides=settings))
        self.services = self.cloud.services
        self.image_id = uuidutils.generate_uuid()
        image = Image(id=self.image_id, owner=OWNER, disk_format='raw', container_format='bare')
        self.services.db.run(lambda tx: tx.images.add(image))
        body = io.BytesIO(BODY)
        size = {'content_length': len(BODY), 'announced_size': None}
        data.upload(self.services, ADMIN, self.image_id, body, store=None, **size)

    def test_what_it_leaves(self):
        if self.way == 'prefetch':
            self.services.db.run(lambda tx: tx.cache.enqueue(NODE, self.image_id))
        workers = self.useFixture(WorkersFixture(self, self.cloud))
        workers.run(_fill, self.way, self.at, self.after, self.image_id).wait_killed()
        self.assertEqual(self.copied, (self.directory / self.image_id).exists())
        # Whoever downloads now gets the image, and makes the copy that was not completed.
        self.assertEqual(BODY, self.received())
        Caretaker(self.services).work()
        self.assertEqual([], list((self.directory / INCOMPLETE).iterdir()))
        self.assertEqual(BODY, (self.directory / self.image_id).read_bytes())
        recorded = self.services.db.read(lambda tx: [copy.image_id for copy in tx.cache.of_node(NODE)])
        self.assertEqual([self.image_id], recorded)
        self.assertEqual({}, self.services.db.read(lambda tx: tx.cache.queued(NODE)))
        self.assertEqual(BODY, self.received())

    def received(self):
        sending = data.download(self.services, ADMIN, self.image_id, range_=None)
        received = b''.join(sending)
        tee = sending._tee
        sending.close()
        if tee is not None:
            tee.join(20)
        return received


def _fill(services: Services, way: str, at: tuple[type, str], after: bool, image_id: str) -> None:
    """Fill the cache up to the point."""
    owner, name = at
    original, hit = getattr(owner, name), crashing.killing()

    def killing(*args: object, **kwargs: object) -> object:
        if after:
            original(*args, **kwargs)
        hit()

    setattr(owner, name, killing)
    if way == 'prefetch':
        Caretaker(services).work()
        return
    sending = data.download(services, ADMIN, image_id, range_=None)
    b''.join(sending)
    sending._tee.join(20)
