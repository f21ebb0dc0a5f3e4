"""Version documents and what a path means; health; who is let in."""

import fixtures
import testtools
import webob

from imagepipe import errors
from imagepipe.api.app import Application
from imagepipe.tests.fixtures.api import ApiFixture

OLD = [f'v2.{minor}' for minor in range(7, -1, -1)]


class VersionsCase(testtools.TestCase):
    overrides = {}
    stores = ('fast', 'cheap')

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(ApiFixture(self, stores=self.stores, overrides=self.overrides))

    def assert_document(self, status, path, method='GET', **headers):
        response = self.api.call(method, path, as_=None, headers=headers)
        self.assertEqual(status, response.status_int)
        self.assertNotIn('x-openstack-request-id', response.headers)
        return response


class DocumentTest(VersionsCase):
    def test_the_document(self):
        versions = self.assert_document(300, '/').json['versions']
        self.assertEqual(
            ['v2.15', 'v2.13', 'v2.12', 'v2.11', 'v2.10', 'v2.9', 'v2.8', 'v2.17', *OLD],
            [version['id'] for version in versions],
        )
        self.assertEqual(['v2.17'], [each['id'] for each in versions if each['status'] == 'CURRENT'])
        for version in versions:
            self.assertEqual([{'rel': 'self', 'href': 'http://localhost/v2/'}], version['links'])
            self.assertEqual({'id', 'status', 'links'}, set(version))

    def test_where_it_is(self):
        for path in ('/', '/v1/images', '/v3', '/images', '/v2.18/images', '/v2.16/', '/v20/images', '//'):
            self.assert_document(300, path)
        for path in ('/versions', '/versions/', '/versions/x/y', '//versions'):
            self.assert_document(200, path)
        self.assert_document(300, '/', method='POST')
        response = self.assert_document(300, '/', method='HEAD')
        self.assertEqual('application/json', response.headers['Content-Type'])
        self.assertEqual(b'', response.body)

    def test_negotiation_by_accept(self):
        vendor = 'application/vnd.openstack.images-'
        response = self.api.call('GET', '/images', headers={'Accept': f'{vendor}v2.3'})
        self.assertEqual(200, response.status_int)
        self.assert_document(300, '/images', Accept=f'{vendor}v9')
        self.assertEqual(
            404, self.api.call('GET', '/v2/images', headers={'Accept': f'{vendor}v2'}).status_int
        )

    def test_every_version_is_the_same(self):
        for version in ('v2', 'v2.0', 'v2.17', 'v2.12'):
            response = self.api.call('GET', f'/{version}//images')
            self.assertEqual((200, '/v2/images'), (response.status_int, response.json['first']))
            root = self.api.call('GET', f'/{version}')
            self.assertEqual((302, 'http://localhost/v2/'), (root.status_int, root.headers['Location']))
            self.assertEqual(404, self.api.call('GET', f'/{version}/').status_int)

    def test_no_token(self):
        for path in ('/v2', '/v2/images', '/v2/no/such/path'):
            response = self.api.call('GET', path, as_=None)
            self.assertEqual(401, response.status_int)
            self.assertEqual(
                'Keystone uri="http://keystone.invalid/v3"', response.headers['WWW-Authenticate']
            )
            self.assertNotIn('x-openstack-request-id', response.headers)
            self.assertEqual('imagepipe.request.not_authenticated', response.json['error']['error_code'])
        self.assertEqual(401, self.api.call('GET', '/v2/images', as_='forged').status_int)

    def test_identity_headers_of_clients_count_for_nothing(self):
        forged = {'X-Identity-Status': 'Confirmed', 'X-Roles': 'admin', 'X-Project-Id': 'p', 'X-User-Id': 'u'}
        self.assertEqual(401, self.api.call('GET', '/v2/images', as_=None, headers=forged).status_int)
        image = self.api.create(visibility='private', as_='theirs')
        response = self.api.call('GET', f'/v2/images/{image["id"]}', headers=forged)
        self.assertEqual(404, response.status_int)

    def test_health(self):
        response = self.api.call('GET', '/healthcheck', as_=None, headers={'Accept': 'text/plain'})
        self.assertEqual((200, 'OK'), (response.status_int, response.text))
        response = self.api.call('GET', '/healthcheck', as_=None)
        self.assertEqual({'detailed': False, 'reasons': ['OK']}, response.json)
        self.assertEqual(204, self.api.call('HEAD', '/healthcheck', as_=None).status_int)


class SingleStoreTest(VersionsCase):
    overrides = {'public_endpoint': 'https://images.example.org/image/'}

    def setUp(self):
        super().setUp()
        self.api.services.stores.multi = False
        self.api.application = Application(self.api.services)

    def test_the_document_without_stores_and_behind_a_public_endpoint(self):
        versions = self.assert_document(300, '/').json['versions']
        self.assertEqual(['v2.15', 'v2.9', 'v2.17', *OLD], [version['id'] for version in versions])
        self.assertEqual('https://images.example.org/image/v2/', versions[0]['links'][0]['href'])
        self.assert_document(300, '/v2.8/images')
        self.assertEqual(404, self.api.call('GET', '/v2/info/stores').status_int)


class CachedTest(VersionsCase):
    def setUp(self):
        self.overrides = {
            'image_cache_dir': self.useFixture(fixtures.TempDir()).path,
            'worker_self_reference_url': 'http://node.example.org',
        }
        super().setUp()

    def test_the_document_with_an_image_cache(self):
        new = [f'v2.{minor}' for minor in range(18, 7, -1)]
        for multi, listed in (
            (True, new),
            (False, ['v2.18', 'v2.17', 'v2.16', 'v2.15', 'v2.14', 'v2.9']),
        ):
            self.api.services.stores.multi = multi
            self.api.application = Application(self.api.services)
            versions = self.assert_document(300, '/').json['versions']
            self.assertEqual([*listed, *OLD], [version['id'] for version in versions])
            self.assertEqual(['v2.18'], [each['id'] for each in versions if each['status'] == 'CURRENT'])
            for version in ('v2.14', 'v2.16', 'v2.18'):
                self.assertEqual(200, self.api.call('GET', f'/{version}/images').status_int)
        self.assert_document(300, '/v2.8/images')


class MethodsTest(VersionsCase):
    def test_unknown_paths_and_methods(self):
        image = self.api.create()
        path = f'/v2/images/{image["id"]}'
        for method in ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH'):
            self.assertEqual(404, self.api.call(method, '/v2/nothing').status_int, method)
        for trailing in ('/v2/images/', f'{path}/', f'{path}/file/'):
            self.assertEqual(404, self.api.call('GET', trailing).status_int, trailing)
        self.assertEqual(501, self.api.call('BREW', '/v2/nothing').status_int)
        for method, found, allow in (
            ('PUT', '/v2/images', 'GET, POST'),
            ('HEAD', '/v2/images', 'GET, POST'),
            ('BREW', path, 'GET, PATCH, DELETE'),
            ('HEAD', path, 'GET, PATCH, DELETE'),
            ('POST', f'{path}/file', 'GET, PUT'),
            ('GET', f'{path}/stage', 'PUT'),
            ('GET', f'{path}/import', 'POST'),
            ('POST', '/v2/schemas/image', 'GET'),
            ('PUT', '/v2/tasks/x', 'GET, DELETE'),
            ('DELETE', '/v2/info/import', 'GET'),
        ):
            response = self.api.call(method, found)
            self.assertEqual((405, allow), (response.status_int, response.headers['Allow']), found)

    def test_options_is_answered_to_everybody(self):
        for path in ('/', '/v2/images', '/v2/nothing', '/v2/images/x/file'):
            response = self.api.call('OPTIONS', path, as_=None)
            self.assertEqual((200, b''), (response.status_int, response.body), path)

    def test_bodies_where_there_may_be_none(self):
        image = self.api.create()
        for method, path in (
            ('GET', f'/v2/images/{image["id"]}'),
            ('DELETE', f'/v2/images/{image["id"]}'),
            ('GET', '/v2/info/import'),
            ('GET', '/v2/schemas/image'),
            ('GET', '/v2/imports'),
        ):
            response = self.api.call(method, path, {'a': 1})
            self.assertEqual('imagepipe.request.body_not_allowed', response.json['error']['error_code'], path)
        self.assertEqual(200, self.api.call('GET', '/v2/images', {'a': 1}).status_int)


class BodiesTest(VersionsCase):
    overrides = {'api.max_json_body': 65536}

    def assert_refused(self, code, raw, status=400):
        response = self.api.call('POST', '/v2/images', raw=raw)
        self.assertEqual(
            (status, code), (response.status_int, response.json['error']['error_code']), raw[:50]
        )

    def test_what_is_no_json_object(self):
        for raw in (
            b'',
            b'{',
            b'[]',
            b'"x"',
            b'5',
            b'null',
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'\xff',
            b'{"a": "\x00"}',
            b'{"a": "\\u0000"}',
            b'{"\\ud800": "a"}',
            b'{"tags": ["\\u0000"]}',
            b'[' * 60000,
            b'1' * 5000,
            '{"name": "x"}'.encode('utf-16'),
        ):
            self.assert_refused('imagepipe.request.invalid_body', raw)
        self.assert_refused('imagepipe.request.body_too_large', b' ' * 65537 + b'{}', status=413)

    def test_a_chunked_body(self):
        response = self.api.chunked('POST', '/v2/images', b'{"name": "x"}')
        self.assertEqual((201, 'x'), (response.status_int, response.json['name']))
        response = self.api.chunked('POST', '/v2/images', b'')
        self.assertEqual(400, response.status_int)
        response = self.api.chunked('POST', '/v2/images', b' ' * 70000)
        self.assertEqual(413, response.status_int)

    def test_the_content_type_does_not_matter(self):
        response = self.api.call('POST', '/v2/images', {'name': 'x'}, headers={'Content-Type': 'text/csv'})
        self.assertEqual(201, response.status_int)


class RequestIdsTest(VersionsCase):
    def id_for(self, given):
        headers = {} if given is None else {'X-Openstack-Request-ID': given}
        return self.api.call('GET', '/v2/images', headers=headers)

    def test_the_clients_own_id_is_taken_over(self):
        self.assertEqual('req-abc', self.id_for('req-abc').headers['x-openstack-request-id'])
        self.assertEqual('req-abc', self.id_for('abc').headers['x-openstack-request-id'])
        for given in (None, '', 'a b', 'é'):
            self.assertRegex(self.id_for(given).headers['x-openstack-request-id'], '^req-[0-9a-f-]{36}$')
        self.assertEqual(200, self.id_for('x' * 64).status_int)
        self.assertEqual(431, self.id_for('x' * 65).status_int)
        self.assertEqual(404, self.api.call('GET', '/v2/nothing').status_int)
        self.assertIn('x-openstack-request-id', self.api.call('GET', '/v2/nothing').headers)


class AnonymousTest(VersionsCase):
    overrides = {'allow_anonymous_access': True}

    def test_an_anonymous_caller_reads_at_most(self):
        response = self.api.call('POST', '/v2/images', {}, as_=None)
        self.assertEqual('imagepipe.request.read_only', response.json['error']['error_code'])
        self.assertEqual(403, self.api.call('GET', '/v2/images', as_=None).status_int)
        image = self.api.create(visibility='public', as_='admin')
        self.assertEqual(404, self.api.call('GET', f'/v2/images/{image["id"]}', as_=None).status_int)
        self.assertEqual(200, self.api.call('GET', '/v2/schemas/image', as_=None).status_int)


class NoKeystoneTest(VersionsCase):
    overrides = {'api.auth_strategy': 'none'}

    def test_everybody_is_an_administrator_without_a_project(self):
        image = self.api.create(visibility='public', as_=None)
        self.assertIsNone(image['owner'])
        self.assertEqual(1, len(self.api.call('GET', '/v2/images', as_=None).json['images']))


class UnexpectedTest(VersionsCase):
    def test_a_defect_is_logged_once_and_names_its_request(self):
        self.api.services.db.engine.dispose()
        self.useFixture(_Broken(self.api.services.policy, ZeroDivisionError('secret')))
        response = self.unexpected('/v2/images')
        self.assertEqual(500, response.status_int)
        error = response.json['error']
        self.assertEqual('imagepipe.internal', error['error_code'])
        self.assertEqual(response.headers['x-openstack-request-id'], error['request_id'])
        self.assertNotIn('secret', response.text)
        self.assertEqual(1, self.api.log.output.count('Traceback'))

    def test_a_line_break_in_a_path_begins_no_line_of_the_log(self):
        self.assertEqual(404, self.unexpected('/v2/images/%0Aforged').status_int)
        for status, trouble in ((500, ZeroDivisionError()), (503, errors.DatabaseUnavailable())):
            self.useFixture(_Broken(self.api.services.policy, trouble))
            self.assertEqual(status, self.unexpected('/v2/tasks/%0Aforged').status_int)
        told = [line for line in self.api.log.output.splitlines() if 'forged' in line]
        self.assertEqual(5, len(told), told)
        for line in told:
            self.assertRegex(line, '^GET /v2/(images|tasks)/%0Aforged( |:)')

    def unexpected(self, path):
        """Not by call(), which knows of no such answers."""
        headers = {'Accept': 'application/json', 'X-Auth-Token': 'ours'}
        return webob.Request.blank(path, headers=headers).get_response(self.api.application)


class _Broken(fixtures.MockPatchObject):
    """A policy that meets this trouble."""

    def __init__(self, policy, trouble):
        super().__init__(policy, 'authorize', side_effect=trouble)
