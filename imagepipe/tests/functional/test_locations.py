"""Images whose data others keep: POST and GET locations, and the import behind them."""

import hashlib
import os
import sys

import fixtures
import testtools
from oslo_utils import uuidutils

from imagepipe.operations import removals
from imagepipe.stores.memory import InMemoryStore
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.workers import wait_until

DATA = os.urandom(3 << 20)
SHA256, SHA512, MD5 = (hashlib.new(name, DATA).hexdigest() for name in ('sha256', 'sha512', 'md5'))
#: The import filter sees no more of a URL with a query than this.
PATH = '/disk.raw'
#: A connection that breaks each time, to a server that cannot tell whether its data is the same as before.
BROKEN = Fault(cut_after=9, cuts=99, etag='', last_modified='')


class LocationCase(testtools.TestCase):
    """A pipeline with an http store `web`, and `vault`, whose objects only services know."""

    overrides: dict[str, object] = {}
    kind = 'sqlite'

    def setUp(self) -> None:
        super().setUp()
        self.vault = InMemoryStore('vault')
        self.pipeline = self.useFixture(
            PipelineFixture(
                self,
                kind=self.kind,
                memory=[self.vault],
                overrides={
                    'enabled_backends': 'fast:file,cheap:file,web:http',
                    'import_flow.backoff': 0.01,
                    **self.overrides,
                },
            )
        )
        self.source = self.pipeline.source
        self.source.serve(PATH, DATA)
        self.url = self.source.url(PATH)

    def post(self, image_id: str, body: object = None, *, as_: str = 'ours', **fields: object) -> object:
        asked = {'url': self.url, **fields} if body is None else body
        return self.pipeline.call('POST', f'/v2/images/{image_id}/locations', asked, as_=as_)

    def add(self, image_id: str, *, as_: str = 'ours', **fields: object) -> str:
        """POST locations, which is accepted; the id of its import."""
        response = self.post(image_id, as_=as_, **fields)
        self.assertEqual((202, b''), (response.status_int, response.body), response.text)
        return response.headers['OpenStack-image-import-task-id']

    def listed(self, image_id: str, *, as_: str = 'service') -> object:
        return self.pipeline.call('GET', f'/v2/images/{image_id}/locations', as_=as_)

    def keep(self, data: bytes = DATA) -> str:
        """The URL of an object that a service has put into its store by itself."""
        name = uuidutils.generate_uuid()
        self.vault.contents[name] = data
        return self.vault.url(name)


class AddTest(LocationCase):
    def test_an_image_boots_from_its_owners_url_and_is_hashed_afterwards(self) -> None:
        gate = Fault(stall_after=1 << 20)
        self.source.serve(PATH, DATA, fault=gate)
        image_id = self.pipeline.image()
        import_id = self.add(image_id)
        shown = self.pipeline.wait_step(import_id, 'hash')
        image = self.pipeline.show(image_id)
        self.assertEqual(
            ('active', len(DATA), None, None, 'web'),
            (image['status'], image['size'], image['checksum'], image['os_hash_value'], image['stores']),
        )
        self.assertEqual('committed', shown['state'])
        self.source.release.set()
        found = self.pipeline.succeed(import_id)
        self.assertEqual(['check', 'activate', 'notify', 'hash'], [step['name'] for step in found['steps']])
        image = self.pipeline.show(image_id)
        self.assertEqual(
            (MD5, 'sha512', SHA512), (image['checksum'], image['os_hash_algo'], image['os_hash_value'])
        )
        self.assertEqual(DATA, self.pipeline.download(image_id))
        self.assertEqual(DATA[100:200], self.pipeline.download(image_id, 'bytes=100-199'))

    def test_with_validation_data_it_is_read_before_anybody_can_use_it(self) -> None:
        image_id = self.pipeline.image()
        import_id = self.add(
            image_id, validation_data={'os_hash_algo': 'sha256', 'os_hash_value': SHA256.upper()}
        )
        found = self.pipeline.succeed(import_id)
        self.assertEqual(['check', 'hash', 'activate', 'notify'], [step['name'] for step in found['steps']])
        self.assertEqual(len(DATA), found['steps'][1]['bytes_done'])
        image = self.pipeline.show(image_id)
        self.assertEqual(
            ('active', len(DATA), MD5, 'sha256', SHA256, None),
            tuple(
                image[name]
                for name in ('status', 'size', 'checksum', 'os_hash_algo', 'os_hash_value', 'virtual_size')
            ),
        )
        self.assertEqual(
            [{'url': self.url, 'metadata': {'store': 'web'}}], self.listed(image_id, as_='admin').json
        )

    def test_a_wrong_digest_leaves_the_image_queued_and_nothing_that_points_to_the_data(self) -> None:
        image_id = self.pipeline.image()
        import_id = self.add(
            image_id, validation_data={'os_hash_algo': 'sha256', 'os_hash_value': SHA512[:64]}
        )
        self.pipeline.fail(import_id, 'imagepipe.data.digest_mismatch', step='hash')

    def test_the_task_of_it(self) -> None:
        given = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
        image_id = self.pipeline.image()
        import_id = self.add(image_id, url=self.url, validation_data=given)
        self.pipeline.succeed(import_id)
        (task,) = self.pipeline.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
        self.assertEqual(
            (
                'location_import',
                'success',
                {'image_id': image_id, 'loc_url': self.url, 'validation_data': given},
            ),
            (task['type'], task['status'], task['input']),
        )
        self.assertEqual(
            ['location_import'], [payload['type'] for payload in self.pipeline.told('task.success')]
        )

    def test_what_the_source_can_do_wrong(self) -> None:
        for fault, data, code, step in (
            (Fault(status=404), DATA, 'imagepipe.store.object_missing', 'check'),
            (Fault(status=403), DATA, 'imagepipe.store.denied', 'check'),
            (Fault(status=503), DATA, 'imagepipe.store.transient', 'check'),
            (Fault(chunked=True), DATA, 'imagepipe.store.permanent', 'check'),
            (Fault(), b'', 'imagepipe.location.refused', 'check'),
            (Fault(redirect='http://169.254.169.254/'), DATA, 'imagepipe.store.permanent', 'check'),
            (BROKEN, DATA, 'imagepipe.store.transient', 'hash'),
        ):  # fmt: skip
            self.source.serve(PATH, data, fault=fault)
            image_id = self.pipeline.image()
            given = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
            self.pipeline.fail(self.add(image_id, validation_data=given), code, step=step, again=None)

    def test_what_passes_by_itself_is_tried_again(self) -> None:
        self.source.serve(PATH, DATA, fault=Fault(flaky=(1, 2)))
        image_id = self.pipeline.image()
        given = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
        found = self.pipeline.succeed(self.add(image_id, validation_data=given))
        self.assertEqual([2, 2], [step['attempt'] for step in found['steps'][:2]])

    def test_an_image_that_is_active_stays_so_when_it_cannot_be_hashed(self) -> None:
        self.source.serve(PATH, DATA, fault=BROKEN)
        image_id = self.pipeline.image()
        found = self.pipeline.succeed(self.add(image_id))
        hashed = found['steps'][-1]
        self.assertEqual(
            ('hash', 'failed', 3, 'imagepipe.store.transient'),
            (hashed['name'], hashed['state'], hashed['attempt'], hashed['error_code']),
        )
        image = self.pipeline.show(image_id)
        self.assertEqual(('active', None), (image['status'], image['os_hash_value']))

    def test_it_counts_in_the_quota_and_is_given_back(self) -> None:
        image_id = self.pipeline.image()
        self.pipeline.succeed(self.add(image_id))
        self.assertEqual((len(DATA), 0), self.pipeline.used())
        self.pipeline.delete(image_id)
        self.assertEqual((0, 0), self.pipeline.used())
        self.assertEqual([], self.pipeline.locations())


class OfServicesTest(LocationCase):
    """Other stores are for services, which come with their own token or beside a user's."""

    def test_who_may_add_what(self) -> None:
        web, vault = self.url, self.keep()
        for caller, url, expected in (
            ('ours', web, 202), ('admin', web, 202), ('service', web, 202), ('reader', web, 403),
            ('theirs', web, 404), ('norole', web, 404),
            ('ours', vault, 403), ('admin', vault, 403), ('service', vault, 202),
            ('ours', 'file:///etc/passwd', 403), ('service', 'file:///etc/passwd', 400),
            ('service', 'filesystem:///etc/passwd', 400), ('service', 'swift+config://ref/c/o', 400),
            ('ours', 'ftp://x/y', 403), ('service', 'ftp://x/y', 400), ('service', 'no url', 400),
            ('ours', 'http://169.254.169.254/', 400), ('service', 'http://127.0.0.1:1/', 400),
            ('ours', 'http://me:secret@127.0.0.1/', 400), ('service', 'memory://me:secret@vault/x', 400),
        ):  # fmt: skip
            image_id = self.pipeline.image(visibility='private')
            response = self.post(image_id, as_=caller, url=url)
            self.assertEqual(expected, response.status_int, f'{caller} {url}: {response.text}')
            self.assertNotIn('secret', response.text)

    def test_a_service_asks_for_a_user(self) -> None:
        image_id = self.pipeline.image(visibility='private')
        response = self.pipeline.call(
            'POST',
            f'/v2/images/{image_id}/locations',
            {'url': self.keep()},
            headers={'X-Service-Token': 'service'},
        )
        self.assertEqual(202, response.status_int, response.text)
        self.pipeline.succeed(response.headers['OpenStack-image-import-task-id'])

    def test_the_owner_is_not_told_where_it_is(self) -> None:
        url = self.keep()
        image_id = self.pipeline.image()
        import_id = self.add(image_id, as_='service', url=url)
        found = self.pipeline.succeed(import_id)
        self.assertIsNone(found['source']['url'])
        for path in (
            f'/v2/images/{image_id}',
            f'/v2/images/{image_id}/tasks',
            f'/v2/images/{image_id}/imports',
        ):
            self.assertNotIn('memory://', self.pipeline.call('GET', path).text)
        self.assertEqual(403, self.listed(image_id, as_='ours').status_int)
        self.assertEqual(404, self.listed(image_id, as_='theirs').status_int)
        self.assertEqual([{'url': url, 'metadata': {'store': 'vault'}}], self.listed(image_id).json)

    def test_what_a_service_has_put_there_is_deleted_with_the_image(self) -> None:
        image_id = self.pipeline.image()
        self.pipeline.succeed(self.add(image_id, as_='service', url=self.keep()))
        self.pipeline.delete(image_id)
        self.assertEqual({}, self.vault.contents)

    def test_a_deactivated_image_shows_none(self) -> None:
        image_id = self.pipeline.image()
        self.pipeline.succeed(self.add(image_id))
        self.pipeline.deactivate(image_id)
        self.assertEqual([], self.listed(image_id).json)
        self.assertEqual(1, len(self.listed(image_id, as_='admin').json))


class RefusedTest(LocationCase):
    def test_bodies(self) -> None:
        image_id = self.pipeline.image()
        digest = {'os_hash_algo': 'sha256', 'os_hash_value': SHA256}
        for body in (
            {}, {'url': 1}, {'url': ''}, {'url': None}, {'url': 'x' * 9000},
            {'url': self.url, 'validation_data': 1},
            {'url': self.url, 'validation_data': {'os_hash_algo': 'sha256'}},
            {'url': self.url, 'validation_data': {'os_hash_value': SHA256}},
            {'url': self.url, 'validation_data': {**digest, 'checksum': MD5}},
            {'url': self.url, 'validation_data': {**digest, 'os_hash_algo': 'sha3_256'}},
            {'url': self.url, 'validation_data': {**digest, 'os_hash_value': 'x' * 64}},
            {'url': self.url, 'validation_data': {**digest, 'os_hash_value': SHA256[1:]}},
            {'url': self.url, 'validation_data': {**digest, 'os_hash_value': '0' * 129}},
        ):  # fmt: skip
            response = self.post(image_id, body)
            self.assertEqual(400, response.status_int, body)
        self.assertEqual('queued', self.pipeline.show(image_id)['status'])
        self.add(image_id, metadata={}, validation_data={}, more='is ignored')

    def test_statuses(self) -> None:
        active, staged = self.pipeline.image(), self.pipeline.image()
        self.pipeline.put(active, b'data')
        self.pipeline.stage(staged, b'data')
        for image_id in (active, staged):
            self.assertEqual(409, self.post(image_id).status_int)
        self.assertEqual(404, self.post(uuidutils.generate_uuid()).status_int)
        self.assertEqual(409, self.post(self.pipeline.image(None)).status_int)

    def test_once_it_is_on_its_way_nothing_else_is(self) -> None:
        self.source.serve(PATH, DATA, fault=Fault(stall_after=1))
        image_id = self.pipeline.image()
        given = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
        self.add(image_id, validation_data=given)
        self.assertEqual(409, self.post(image_id).status_int)
        self.assertEqual(409, self.pipeline.put(image_id, b'data').status_int)
        self.assertEqual('importing', self.pipeline.show(image_id)['status'])

    def test_other_methods(self) -> None:
        response = self.pipeline.call('PUT', f'/v2/images/{self.pipeline.image()}/locations')
        self.assertEqual((405, 'GET, POST'), (response.status_int, response.headers['Allow']))


class EndedTest(LocationCase):
    """While the data is read, somebody does not want it any more."""

    overrides = {'transfers.delete_seconds': 0.1}

    def reading(self, **fields: object) -> tuple[str, str]:
        self.source.serve(PATH, DATA, fault=Fault(stall_after=1 << 20))
        image_id = self.pipeline.image()
        import_id = self.add(image_id, **fields)
        wait_until(self.source.stalled.is_set, 'the data is being read')
        self.pipeline.wait_step(import_id, 'hash')
        return image_id, import_id

    def test_cancelled(self) -> None:
        given = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
        _, import_id = self.reading(validation_data=given)
        self.assertEqual(202, self.pipeline.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
        self.pipeline.fail(import_id, 'imagepipe.import.cancelled', state='cancelled', again=None)

    def test_deleted_before_it_was_active(self) -> None:
        given = {'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
        image_id, import_id = self.reading(validation_data=given)
        self.pipeline.delete(image_id)
        self.assertEqual('imagepipe.import.image_deleted', self.gone(import_id, 'failed')['error']['code'])

    def test_deleted_when_it_was_active_already(self) -> None:
        image_id, import_id = self.reading()
        self.assertEqual(409, self.pipeline.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
        self.pipeline.delete(image_id)
        self.source.release.set()
        hashed = self.gone(import_id, 'succeeded')['steps'][-1]
        self.assertEqual(
            ('failed', 'imagepipe.import.image_deleted'), (hashed['state'], hashed['error_code'])
        )

    def test_a_delete_that_died_is_ended_by_the_sweeper(self) -> None:
        image_id = self.pipeline.image()
        self.pipeline.succeed(self.add(image_id))
        with fixtures.MonkeyPatch(f'{removals.__name__}.remove_bytes', lambda *_: sys.exit()):
            self.assertRaises(SystemExit, self.pipeline.delete, image_id)
        wait_until(lambda: self.pipeline.sweep() or not self.pipeline.locations(), 'the sweeper forgets it')
        self.assertEqual(404, self.pipeline.call('GET', f'/v2/images/{image_id}').status_int)
        self.assertEqual({'GET'}, {request.method for request in self.source.requests})

    def gone(self, import_id: str, state: str) -> dict[str, object]:
        """The import, which has ended and left nothing."""
        ended = ('succeeded', 'failed')
        found = wait_until(
            lambda: (seen := self.pipeline.import_(import_id, as_='admin'))['state'] in ended and seen,
            'the import ends',
        )
        self.assertEqual(state, found['state'])
        self.assertEqual(([], (0, 0)), (self.pipeline.locations(), self.pipeline.used()))
        return found


class UnhashedTest(LocationCase):
    overrides = {'do_secure_hash': False}

    def test_validation_data_is_taken_as_it_comes(self) -> None:
        image_id, plain = self.pipeline.image(), self.pipeline.image()
        given = {'os_hash_algo': 'sha256', 'os_hash_value': SHA512[:64]}
        found = self.pipeline.succeed(self.add(image_id, validation_data=given))
        self.assertEqual(['check', 'activate', 'notify'], [step['name'] for step in found['steps']])
        image = self.pipeline.show(image_id)
        self.assertEqual(
            ('active', None, 'sha256', SHA512[:64]),
            (image['status'], image['checksum'], image['os_hash_algo'], image['os_hash_value']),
        )
        self.pipeline.succeed(self.add(plain))
        self.assertIsNone(self.pipeline.show(plain)['os_hash_algo'])


class QuotaTest(LocationCase):
    overrides = {'user_storage_quota': '3MB', 'image_size_cap': 4 << 20}

    def test_what_does_not_fit_is_not_added(self) -> None:
        self.source.serve(PATH, DATA + b'x')
        self.pipeline.fail(
            self.add(self.pipeline.image()), 'imagepipe.quota.storage', step='check', again=None
        )
        self.source.serve(PATH, DATA)
        self.pipeline.succeed(self.add(self.pipeline.image()))
        self.assertEqual(413, self.post(self.pipeline.image()).status_int)


class OneStoreTest(testtools.TestCase):
    """The older configuration: what is in [glance_store] stores decides whether users may add URLs."""

    def posted(self, stores: str) -> int:
        pipeline = self.useFixture(
            PipelineFixture(
                self,
                overrides={
                    'enabled_backends': '',
                    'glance_store.default_backend': '',
                    'glance_store.stores': stores,
                    'glance_store.filesystem_store_datadir': self.useFixture(fixtures.TempDir()).path,
                },
            )
        )
        pipeline.source.serve(PATH, DATA)
        image_id = pipeline.image()
        path = f'/v2/images/{image_id}/locations'
        response = pipeline.call('POST', path, {'url': pipeline.source.url(PATH)})
        if response.status_int == 202:
            pipeline.succeed(response.headers['OpenStack-image-import-task-id'])
            self.assertEqual(
                [{'url': pipeline.source.url(PATH), 'metadata': {}}],
                pipeline.call('GET', path, as_='admin').json,
            )
            self.assertEqual(DATA, pipeline.download(image_id))
        return response.status_int

    def test_with_and_without_http(self) -> None:
        self.assertEqual(202, self.posted('file,http'))
        self.assertEqual(403, self.posted('file'))
