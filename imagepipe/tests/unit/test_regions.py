"""Image services of other regions: what they are asked, and what becomes of whatever they answer."""

import testtools

from imagepipe import errors
from imagepipe.domain.remote import Description
from imagepipe.sources.regions import ImageService, Regions
from imagepipe.tests.fixtures.fetching import FetcherTestCase, some_bytes
from imagepipe.tests.fixtures.http_server import Fault, HttpServer
from imagepipe.tests.fixtures.signing import SigningFixture

IMAGE = '2b3c0f7e-5a35-4d3c-9a3a-0d6c3f1b7a11'
DATA = some_bytes(300_000)


class Catalog:
    """Rights in memory: endpoints by region, and a new token for each request."""

    def __init__(self, **endpoints: str) -> None:
        self.endpoints = endpoints
        self.given: list[str] = []

    def __call__(self, trust_id: str) -> 'Catalog':
        return self

    def token(self) -> str:
        self.given.append(f'token-{len(self.given)}')
        return self.given[-1]

    def endpoint(self, region: str, interface: str) -> str:
        return self.endpoints[region]


class RegionsTestCase(FetcherTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = f'/image/v2/images/{IMAGE}'
        self.catalog = Catalog(
            bare=self.server.url('/image'), slashed=self.server.url('/image/'),
            v2=self.server.url('/image/v2'), minor=self.server.url('/image/v2.15/'),
        )  # fmt: skip

    def service(self, region: str = 'bare', *, trusted: bool = True) -> ImageService:
        """An image service, by a fetcher that may go nowhere by itself."""
        fetcher = self.fetcher(rules={'allowed_ports': (80, 443), 'allowed_networks': ()})
        regions = Regions(fetcher, self.catalog, trusted=trusted)
        return regions.service('trust', region=region, interface='public')

    def describe(self, region: str = 'bare', **more: object) -> object:
        return self.service(region, **more).describe(IMAGE, cancelled=self.cancel.is_set)

    def data(self, *, offset: int = 0, unchanging: bool = True) -> bytes:
        download = self.service().open(
            IMAGE, offset=offset, unchanging=unchanging, cancelled=self.cancel.is_set, limit=1 << 30
        )
        self.addCleanup(download.close)
        return download.read()

    def test_endpoints_with_and_without_a_version(self) -> None:
        self.server.serve(self.path, b'{"status": "active"}')
        for region in self.catalog.endpoints:
            self.assertEqual({'status': 'active'}, self.describe(region))
        self.assertEqual({self.path}, {request.path for request in self.server.requests})

    def test_each_request_has_a_fresh_token(self) -> None:
        self.server.serve(f'{self.path}/file', DATA, fault=Fault(cut_after=1000))
        self.assertEqual(DATA, self.data())
        sent = [request.headers['x-auth-token'] for request in self.server.requests]
        self.assertEqual(['token-0', 'token-1'], sent)

    def test_a_catalog_that_is_not_trusted_is_filtered(self) -> None:
        self.assertRaises(errors.SourceRefused, self.describe, trusted=False)

    def test_a_redirect_is_followed_with_the_token_on_the_same_server_only(self) -> None:
        self.server.serve(self.path, fault=Fault(redirect='/moved'))
        self.server.serve('/moved', b'{}')
        self.assertEqual({}, self.describe())
        self.assertTrue(all('x-auth-token' in request.headers for request in self.server.requests))
        other = self.useFixture(HttpServer())
        self.server.serve(self.path, fault=Fault(redirect=other.url('/image')))
        self.assertRaises(errors.SourceRefused, self.describe)
        self.assertEqual([], other.requests)

    def test_what_has_a_digest_is_continued_without_a_validator(self) -> None:
        self.server.serve(f'{self.path}/file', DATA, fault=Fault(etag='', last_modified='', cut_after=1000))
        self.assertEqual(DATA, self.data())
        self.assertEqual([None, 'bytes=1000-'], [request.range for request in self.server.requests])
        self.assertEqual(DATA[7:], self.data(offset=7))

    def test_what_has_none_is_not(self) -> None:
        cut = Fault(etag='', last_modified='', cut_after=1000)
        self.server.serve(f'{self.path}/file', DATA, fault=cut)
        self.assertRaises(errors.SourceTruncated, self.data, unchanging=False)
        self.assertRaises(errors.SourceChanged, self.data, offset=7, unchanging=False)

    def test_a_source_that_cannot_continue_is_to_be_read_anew(self) -> None:
        self.server.serve(f'{self.path}/file', DATA, fault=Fault(etag='', last_modified='', ranges=False))
        self.assertRaises(errors.SourceChanged, self.data, offset=7)

    def test_answers_that_are_no_image(self) -> None:
        for status, error in (
            (401, errors.RemoteImageDenied), (403, errors.RemoteImageDenied),
            (404, errors.RemoteImageNotFound),
            (300, errors.SourceNotFound), (500, errors.SourceUnavailable),
        ):  # fmt: skip
            self.server.serve(self.path, fault=Fault(status=status))
            self.assertRaises(error, self.describe)
        for body in (b'', b'{', b'\xff', b'[' * 200_000):
            self.server.serve(self.path, body)
            self.assertRaises(errors.RemoteImageUnusable, self.describe)


ACTIVE = {'status': 'active', 'disk_format': 'qcow2', 'container_format': 'bare'}
PREFIXES = ('hw_', 'os_', 'trait:')


class DescriptionTestCase(testtools.TestCase):
    def read(self, **said: object) -> Description:
        return Description.read({**ACTIVE, **said}, PREFIXES)

    def test_what_is_read(self) -> None:
        found = self.read(
            size=5, os_hash_algo='sha512', os_hash_value='AB' * 64, checksum='0' * 32, hw_id='x', other='y',
        )  # fmt: skip
        self.assertEqual(('qcow2', 'bare'), (found.disk_format, found.container_format))
        self.assertEqual({'size': 5, 'sha512': 'ab' * 64}, found.expected)
        self.assertEqual({'hw_id': 'x'}, found.properties)

    def test_the_digest_is_one_that_can_be_computed(self) -> None:
        md5 = {'checksum': '0' * 32}
        for said, wanted in (
            ({}, set()), (md5, {'md5'}),
            ({'os_hash_algo': 'unheard-of', 'os_hash_value': '0' * 128, **md5}, {'md5'}),
            ({'os_hash_algo': 'shake_128', 'os_hash_value': '0' * 128, **md5}, {'md5'}),
            ({'os_hash_algo': 'sha256', 'os_hash_value': '0' * 128, **md5}, {'md5'}),
            ({'os_hash_algo': ['sha256'], 'os_hash_value': 5, **md5}, {'md5'}),
            ({'os_hash_algo': 'sha256', 'os_hash_value': None}, set()),
            ({'checksum': 'x' * 32}, set()),
        ):  # fmt: skip
            found = self.read(**said)
            self.assertEqual(wanted, set(found.expected), said)
            self.assertEqual(bool(wanted), found.unchanging)

    def test_sizes_that_are_none(self) -> None:
        for size in (None, -1, True, '5', 1.5):
            self.assertEqual({}, self.read(size=size).expected)

    def test_attributes_are_no_properties(self) -> None:
        said = {'os_hidden': True, 'os_hash_algo': None, 'os_glance_failed_import': 'all', 'os_type': 'linux'}
        self.assertEqual({'os_type': 'linux'}, dict(self.read(**said).properties))

    def test_signatures_are_not_copied_nor_who_deletes_the_key(self) -> None:
        signed = self.useFixture(SigningFixture()).sign(b'data')
        options = {'mask_gen_algorithm': 'MGF1', 'pss_salt_length': '32'}
        policy = {'cinder_encryption_key_deletion_policy': 'on_image_deletion'}
        others = {'cinder_encryption_key_id': 'x', 'img_config_drive': 'optional', 'pss': 'x'}
        document = {**ACTIVE, **signed, **options, **policy, **others}
        found = Description.read(document, ('img_', 'cinder_', 'mask_', 'pss'))
        self.assertEqual(others, dict(found.properties))

    def test_what_cannot_be_used(self) -> None:
        for said in (
            {'disk_format': None}, {'disk_format': ''}, {'disk_format': ['raw']}, {'container_format': None},
            {'hw_a': 5}, {'hw_a': None}, {'hw_a': 'a\0b'}, {'hw_a': '\ud800'}, {'hw_a': '\U0001f600'},
            {'hw_' + 'a' * 255: 'x'}, {'hw_\0': 'x'},
        ):  # fmt: skip
            self.assertRaises(errors.RemoteImageUnusable, self.read, **said)
        for document in ([], 'active', None):
            self.assertRaises(errors.RemoteImageUnusable, Description.read, document, PREFIXES)

    def test_only_active_images(self) -> None:
        for status in ('queued', 'deactivated', None, ['active'], 'a\nb'):
            error = self.assertRaises(errors.RemoteImageNotActive, self.read, status=status)
            self.assertNotIn('\n', error.message)
