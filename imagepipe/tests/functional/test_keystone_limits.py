"""Limits from a real Keystone: read, cached, enforced, told, and missed when it is away."""

from typing import ClassVar

import fixtures
import testtools

from imagepipe import errors
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.usage import MEBIBYTE, Resource
from imagepipe.keystone_limits import KeystoneLimits
from imagepipe.tests.fixtures.api import ApiFixture
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.keystone import KeystoneFixture
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.unified_limits import UnifiedLimitsFixture
from imagepipe.tests.fixtures.workers import wait_until

NAMES = ('image_size_total', 'image_stage_total', 'image_count_total', 'image_count_uploading')
ROOMY = 1000
UNAVAILABLE = 'imagepipe.quota.limits_unavailable'


class KeystoneLimitsTest(testtools.TestCase):
    """Over one Keystone, in which each limit is ROOMY when a test begins.

    Of all tests, only these have it in their own process, for oslo.limit keeps one session there.
    """

    keystone: ClassVar[KeystoneFixture]
    limits: ClassVar[UnifiedLimitsFixture]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.keystone = KeystoneFixture(cls('setUpClass'))
        cls.keystone.setUp()
        cls.addClassCleanup(cls.keystone.cleanUp)
        cls.limits = UnifiedLimitsFixture(cls.keystone)
        cls.limits.setUp()
        cls.addClassCleanup(cls.limits.cleanUp)

    def setUp(self) -> None:
        super().setUp()
        for name in NAMES:
            self.limits.register(name, ROOMY)

    def override(self, project_id: str, name: str, limit: int) -> None:
        self.addCleanup(self.limits.forget, self.limits.override(project_id, name, limit))

    def api(self, **overrides: object) -> ApiFixture:
        """The API with these limits; its tokens are not Keystone's, so registered limits count."""
        return self.useFixture(ApiFixture(self, overrides=self.limits.options() | overrides))

    def source(self, ttl: float = 0, **overrides: object) -> KeystoneLimits:
        options = self.limits.options() | overrides
        return KeystoneLimits(self.useFixture(ServicesFixture(self, overrides=options)).conf, ttl=ttl)

    def refused(self, code: str, status: int, response: object) -> str:
        error = response.json['error']
        self.assertEqual((status, code), (response.status_int, error['error_code']), error)
        return error['message']

    def test_limits_by_their_names(self) -> None:
        source = self.source()
        project = self.keystone.project('special')
        self.limits.register('image_size_total', 7)
        self.limits.register('image_count_total', -1)
        self.override(project, 'image_stage_total', 3)
        self.override(project, 'image_count_uploading', -1)
        ordinary = {
            Resource.SIZE.value: 7 * MEBIBYTE,
            Resource.STAGED.value: ROOMY * MEBIBYTE,
            Resource.UPLOADING.value: ROOMY,
        }
        self.assertEqual(ordinary, source.of(self.keystone.project('ordinary')))
        special = {Resource.SIZE.value: 7 * MEBIBYTE, Resource.STAGED.value: 3 * MEBIBYTE}
        self.assertEqual(special, source.of(project))
        self.assertEqual({}, source.of(None))

    def test_limits_are_kept_for_seconds(self) -> None:
        project = self.keystone.project('kept')
        kept, fresh = self.source(ttl=60), self.source()
        for source in (kept, fresh):
            self.assertEqual(ROOMY, source.of(project)[Resource.IMAGES])
        self.limits.register('image_count_total', 5)
        self.assertEqual((ROOMY, 5), tuple(source.of(project)[Resource.IMAGES] for source in (kept, fresh)))
        short = self.source(ttl=0.2)
        short.of(project)
        self.limits.register('image_count_total', 6)
        wait_until(lambda: short.of(project)[Resource.IMAGES] == 6, 'the change is seen')

    def test_the_endpoint_by_the_name_of_its_service(self) -> None:
        options = self.limits.options() | {'oslo_limit.endpoint_service_type': 'image'}
        del options['oslo_limit.endpoint_id']
        conf = self.useFixture(ServicesFixture(self, overrides=options)).conf
        self.assertEqual(ROOMY, KeystoneLimits(conf, ttl=0).of('anybody')[Resource.IMAGES])

    def test_a_service_that_keystone_does_not_know(self) -> None:
        source = self.source(**{'oslo_limit.endpoint_id': 'nowhere'})
        log = self.useFixture(fixtures.FakeLogger())
        self.assertRaises(errors.LimitsUnavailable, source.of, 'anybody\nforged')
        # An administrator gives images to whomever he names.
        self.assertIn(r"The limits of project 'anybody\nforged' could not be read", log.output)

    def test_what_is_refused_says_used_limit_and_asked(self) -> None:
        api = self.api()
        self.limits.register('image_count_total', 2)
        ids = [api.create(disk_format='raw', container_format='bare')['id'] for _ in range(2)]
        message = self.refused('imagepipe.quota.images', 413, api.call('POST', '/v2/images', {}))
        self.assertEqual('The project may have 2 images and has 2; 1 more was asked for.', message)
        self.limits.register('image_count_uploading', 0)
        upload = {'raw': b'x' * MEBIBYTE, 'headers': {'Content-Type': 'application/octet-stream'}}
        path = f'/v2/images/{ids[0]}'
        self.refused('imagepipe.quota.uploading', 413, api.call('PUT', f'{path}/file', **upload))
        self.limits.register('image_count_uploading', 1)
        self.limits.register('image_size_total', 0)
        message = self.refused('imagepipe.quota.storage', 413, api.call('PUT', f'{path}/file', **upload))
        self.assertIn('1048576 bytes more than the 0 allowed bytes minus 0 used', message)
        self.limits.register('image_stage_total', 0)
        message = self.refused('imagepipe.quota.staged', 413, api.call('PUT', f'{path}/stage', **upload))
        self.assertIn('1048576 bytes more than the 0 allowed bytes minus 0 used', message)
        self.assertEqual('queued', api.call('GET', path).json['status'])

    def test_usage(self) -> None:
        api = self.api()
        self.limits.register('image_size_total', -1)
        first, second = (api.create(disk_format='raw', container_format='bare')['id'] for _ in range(2))
        for image_id, where, size in ((first, 'file', 2 * MEBIBYTE + 1), (second, 'stage', MEBIBYTE)):
            response = api.call(
                'PUT', f'/v2/images/{image_id}/{where}', raw=b'x' * size,
                headers={'Content-Type': 'application/octet-stream'},
            )  # fmt: skip
            self.assertEqual(204, response.status_int, response.text)
        usage = {
            'image_size_total': {'usage': 3, 'limit': -1},
            'image_stage_total': {'usage': 1, 'limit': ROOMY},
            'image_count_total': {'usage': 2, 'limit': ROOMY},
            'image_count_uploading': {'usage': 1, 'limit': ROOMY},
        }
        self.assertEqual({'usage': usage}, api.call('GET', '/v2/info/usage').json)
        theirs = api.call('GET', '/v2/info/usage', as_='theirs').json['usage']
        self.assertEqual({0}, {found['usage'] for found in theirs.values()})
        for method in ('POST', 'PUT', 'DELETE', 'PATCH', 'HEAD'):
            self.assertEqual(404, api.call(method, '/v2/info/usage').status_int, method)

    def test_keystone_is_away(self) -> None:
        api = self.api()
        image = api.create(disk_format='raw', container_format='bare')
        path = f'/v2/images/{image["id"]}'
        octets = {'raw': b'x', 'headers': {'Content-Type': 'application/octet-stream'}}
        fetch = {'method': {'name': 'web-download', 'uri': 'http://192.0.43.8/x'}}
        with self.keystone.away():
            self.refused(UNAVAILABLE, 503, api.call('POST', '/v2/images', {}))
            self.refused(UNAVAILABLE, 503, api.call('PUT', f'{path}/file', **octets))
            self.refused(UNAVAILABLE, 503, api.call('PUT', f'{path}/stage', **octets))
            self.refused(UNAVAILABLE, 503, api.call('POST', f'{path}/import', fetch))
            self.refused(UNAVAILABLE, 503, api.call('GET', '/v2/info/usage'))
            # What needs no limit goes on.
            self.assertEqual('queued', api.call('GET', path).json['status'])
            renamed = api.patch(image['id'], {'op': 'add', 'path': '/name', 'value': 'renamed'})
            self.assertEqual(200, renamed.status_int)
            removed = api.call('DELETE', path)
            self.assertEqual(204, removed.status_int)
        api.create(name='again')

    def test_a_project_with_limits_of_its_own(self) -> None:
        """With real tokens, over processes as they are deployed."""
        keystone = self.keystone
        member = keystone.user('alice', project='limited', roles=['member'])
        for name, limit in (('image_count_total', 2), ('image_size_total', 3), ('image_count_uploading', 1)):
            self.override(keystone.project('limited'), name, limit)
        options = {**keystone.options(), **self.limits.options()}
        cloud = self.useFixture(CloudFixture(self, overrides=options))
        first, second = (cloud.image(token=member) for _ in range(2))
        response = cloud.call('POST', '/v2/images', json={}, token=member)
        self.assertEqual((413, 'imagepipe.quota.images'), self.refusal(response))
        cloud.stage(first, b'x' * (2 * MEBIBYTE), token=member)
        path = f'/v2/images/{second}/stage'
        response = cloud.call('PUT', path, data=b'x', token=member)
        self.assertEqual((413, 'imagepipe.quota.uploading'), self.refusal(response))
        self.assertIs(ImportState.SUCCEEDED, cloud.wait(cloud.start(first, token=member)).state)
        response = cloud.call('PUT', f'/v2/images/{second}/file', data=b'x' * (2 * MEBIBYTE), token=member)
        self.assertEqual((413, 'imagepipe.quota.storage'), self.refusal(response))
        usage = cloud.call('GET', '/v2/info/usage', token=member).json()['usage']
        used = {name: (found['usage'], found['limit']) for name, found in usage.items()}
        self.assertEqual(
            {
                'image_size_total': (2, 3), 'image_stage_total': (0, ROOMY),
                'image_count_total': (2, 2), 'image_count_uploading': (0, 1),
            },
            used,
        )  # fmt: skip
        admin = cloud.call('GET', '/v2/info/usage', token=keystone.admin_token).json()['usage']
        self.assertEqual(0, admin['image_count_total']['usage'])

    def refusal(self, response: object) -> tuple[int, str]:
        return response.status_code, response.json()['error']['error_code']
