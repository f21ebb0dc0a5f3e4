"""Callers known by a real Keystone, through keystonemiddleware, to a running imagepipe."""

import testtools

from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.keystone import SERVICE_PASSWORD, KeystoneFixture

DATA = b'an image of ours'


class KeystoneTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.keystone = self.useFixture(KeystoneFixture(self))
        self.member = self.keystone.user('alice', project='ours', roles=['member'])
        self.cloud = self.useFixture(CloudFixture(self, overrides={**self.keystone.options(), 'debug': True}))

    def status(self, method, path, token, **request):
        return self.cloud.call(method, path, token=token, **request).status_code

    def test_who_may_do_what(self):
        member, cloud = self.member, self.cloud
        image_id = cloud.image(token=member, name='ours')
        cloud.stage(image_id, DATA, token=member)
        import_id = cloud.start(image_id, token=member)
        self.assertIs(ImportState.SUCCEEDED, cloud.wait(import_id).state)
        path = f'/v2/images/{image_id}'
        shown = cloud.call('GET', path, token=member).json()
        self.assertEqual(('active', self.keystone.project('ours')), (shown['status'], shown['owner']))
        self.assertEqual(DATA, cloud.call('GET', f'{path}/file', token=member).content)
        self.strangers_see_nothing(path, import_id)
        self.readers_change_nothing(path, import_id)
        self.admins_see_everything(path, image_id, import_id)
        self.nothing_was_told()

    def strangers_see_nothing(self, path, import_id):
        stranger = self.keystone.user('mallory', project='theirs', roles=['member'])
        for method, target in (
            ('GET', path), ('DELETE', path), ('GET', f'{path}/file'), ('GET', f'{path}/imports'),
            ('GET', f'{path}/tasks'), ('GET', f'/v2/imports/{import_id}'),
            ('POST', f'/v2/imports/{import_id}/cancel'),
        ):  # fmt: skip
            self.assertEqual(404, self.status(method, target, stranger), f'{method} {target}')
        self.assertEqual([], self.cloud.call('GET', '/v2/images', token=stranger).json()['images'])
        self.assertEqual([], self.cloud.call('GET', '/v2/imports', token=stranger).json()['imports'])
        nobody = self.keystone.user('nobody', project='ours', roles=['service'])
        self.assertIn(self.status('GET', path, nobody), (403, 404))

    def readers_change_nothing(self, path, import_id):
        reader = self.keystone.user('rita', project='ours', roles=['reader'])
        self.assertEqual(200, self.status('GET', path, reader))
        self.assertEqual(200, self.status('GET', f'/v2/imports/{import_id}', reader))
        for method, target, body in (
            ('POST', '/v2/images', {'name': 'mine'}), ('DELETE', path, None),
            ('POST', f'{path}/import', {'method': {'name': 'glance-direct'}}),
        ):  # fmt: skip
            response = self.cloud.call(method, target, token=reader, json=body)
            self.assertEqual(403, response.status_code, f'{method} {target}')
            self.assertEqual({'error'}, set(response.json()))

    def admins_see_everything(self, path, image_id, import_id):
        admin = self.keystone.admin_token
        self.assertEqual(200, self.status('GET', path, admin))
        imports = self.cloud.call('GET', '/v2/imports', token=admin).json()['imports']
        self.assertEqual([import_id], [found['id'] for found in imports])
        images = self.cloud.call('GET', '/v2/images', token=admin).json()['images']
        self.assertEqual([image_id], [found['id'] for found in images])
        self.assertEqual(204, self.status('DELETE', path, admin))

    def nothing_was_told(self):
        logs = '\n'.join(self.cloud.logs().values())
        self.assertIn('DEBUG', logs)
        for secret in (self.member, self.keystone.admin_token, SERVICE_PASSWORD):
            self.assertNotIn(secret, logs)

    def test_without_a_token_that_is_valid(self):
        revoked = self.keystone.user('robin', project='ours', roles=['member'])
        self.keystone.revoke(revoked)
        for token in (None, 'gAAAAABnotatoken', revoked):
            response = self.cloud.call('GET', '/v2/images', token=token)
            self.assertEqual(401, response.status_code)
            self.assertEqual(f'Keystone uri="{self.keystone.url}"', response.headers['WWW-Authenticate'])
        # What needs no token stays open.
        self.assertEqual(300, self.cloud.call('GET', '/').status_code)
        self.assertEqual(200, self.cloud.call('GET', '/healthcheck').status_code)
        self.assertNotIn('gAAAAABnotatoken', '\n'.join(self.cloud.logs().values()))
        self.while_keystone_is_away()

    def while_keystone_is_away(self):
        known, unknown = self.member, self.keystone.token('alice', 'a-password', 'ours')
        self.assertEqual(200, self.status('GET', '/v2/images', known))
        self.keystone.stop()
        self.assertEqual(200, self.status('GET', '/v2/images', known))  # for token_cache_time
        response = self.cloud.call('GET', '/v2/images', token=unknown)
        self.assertEqual(503, response.status_code)  # not 401: nobody has said that it is not valid
        self.assertEqual('imagepipe.identity.unavailable', response.json()['error']['error_code'])
