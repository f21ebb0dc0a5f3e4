"""glance-download between two running imagepipes, two regions in the catalog of a real Keystone.

A third region is a server that answers as a test wants. In West, nothing may be fetched from loopback
but what the catalog names.
"""

import uuid
from typing import ClassVar

import testtools

from imagepipe.domain.import_ import ImportState
from imagepipe.tests.fixtures.cloud import CloudFixture
from imagepipe.tests.fixtures.http_server import Fault, HttpServer
from imagepipe.tests.fixtures.keystone import SERVICE_PASSWORD, KeystoneFixture
from imagepipe.tests.fixtures.regions import Region
from imagepipe.tests.fixtures.workers import WorkersFixture, wait_until
from imagepipe.tests.functional.test_secrets_nowhere import command_lines, tables

DATA = bytes(range(256)) * 4096
PROPERTIES = {
    'hw_disk_bus': 'virtio',
    'trait:HW_CPU_X86_AVX2': 'required',
    'os_distro': 'debian',
    'ours': 'stays here',
    'hw_licence': 'protected in West',
}
PROTECTION = '"create_image_property:^hw_licence": "role:admin"\n'


class GlanceDownloadTest(testtools.TestCase):
    keystone: ClassVar[KeystoneFixture]
    east: ClassVar[CloudFixture]
    west: ClassVar[CloudFixture]
    odd: ClassVar[Region]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        test = cls('setUpClass')
        cls.keystone = cls.use(KeystoneFixture(test))
        options = cls.keystone.options() | {
            'debug': True,
            'enabled_import_methods': '[glance-direct,web-download,glance-download]',
            'import_filtering_opts.allowed_networks': '',
            'import_filtering_opts.allowed_ports': '80,443',
            'import_flow.target_formats': 'cheap:raw',
            'import_flow.convert_methods': 'glance-download',
        }
        cls.east = cls.use(CloudFixture(test, overrides=options, conducts=False))
        cls.west = cls.use(CloudFixture(test, overrides=options))
        (cls.west.directory / 'policy.yaml').write_text(PROTECTION)
        cls.keystone.image_service('East', cls.east.url)
        cls.keystone.image_service('West', f'{cls.west.url}/v2/')
        cls.odd = cls.use(Region(cls.keystone))
        cls.token = cls.keystone.user('alice', project='ours', roles=['member'])

    @classmethod
    def use(cls, fixture):
        cls.addClassCleanup(fixture.cleanUp)
        fixture.setUp()
        return fixture

    def setUp(self):
        super().setUp()
        self.west.attach_to(self)
        self.odd.server.requests.clear()

    def uploaded(self, cloud, data=DATA, **attributes):
        """An active image of alice's, and its representation."""
        image_id = cloud.image(token=self.token, **attributes)
        self.assertEqual(
            204, cloud.call('PUT', f'/v2/images/{image_id}/file', token=self.token, data=data).status_code
        )
        return image_id

    def shown(self, cloud, image_id):
        return cloud.call('GET', f'/v2/images/{image_id}', token=self.token).json()

    def method(self, image_id, region='East', **more):
        return {'name': 'glance-download', 'glance_region': region, 'glance_image_id': image_id, **more}

    def fetch(self, method, *, token=None, stores=('fast',), **attributes):
        """A new image in West, and the end of its import."""
        token = token or self.token
        image_id = self.west.image(token=token, **attributes)
        started = self.west.start(image_id, token=token, method=method, stores=list(stores))
        record = self.west.wait(started)
        self.trust_ends(record)
        return image_id, record

    def trust_ends(self, record, cloud=None):
        db = (cloud or self.west).parts.services.db
        wait_until(lambda: db.read(lambda tx: tx.imports.get(record.id)).trust_id is None, 'the trust ends')
        self.assertNotIn(record.trust_id, [trust['id'] for trust in self.keystone.trusts()])

    def fails(self, method, code, **more):
        image_id, record = self.fetch(method, **more)
        self.assertEqual((ImportState.FAILED, code), (record.state, record.error_code), record.error_message)
        return image_id, record

    def test_data_formats_and_properties(self):
        source = self.uploaded(self.east, disk_format='ploop', min_disk=3, **PROPERTIES)
        image_id, record = self.fetch(
            self.method(source), stores=('fast', 'cheap'), ours='own', os_distro='fedora'
        )
        self.assertEqual((ImportState.SUCCEEDED, None), (record.state, record.error_message))
        there, here = self.shown(self.east, source), self.shown(self.west, image_id)
        copied = ('disk_format', 'container_format', 'size', 'checksum', 'os_hash_algo', 'os_hash_value')
        for name in (*copied, 'hw_disk_bus', 'trait:HW_CPU_X86_AVX2', 'os_distro'):
            self.assertEqual(there[name], here[name], name)
        self.assertEqual((True, False), ('hw_licence' in there, 'hw_licence' in here))
        # A ploop cannot be converted for 'cheap', so both stores have the same data.
        self.assertEqual(('active', 'own', 0), tuple(here[name] for name in ('status', 'ours', 'min_disk')))
        self.assertEqual({'fast', 'cheap'}, set(here['stores'].split(',')))
        self.assertEqual(DATA, self.west.call('GET', f'/v2/images/{image_id}/file', token=self.token).content)
        self.told(image_id, source, record)

    def told(self, image_id, source, record):
        """What the import, and the task that clients know, say of the source."""
        found = self.west.call('GET', f'/v2/imports/{record.id}', token=self.token).json()
        self.assertEqual({'region': 'East', 'interface': 'public', 'id': source}, found['source']['image'])
        self.assertEqual('describe', found['steps'][0]['name'])
        self.assertEqual(['ploop', 'ploop'], [store['disk_format'] for store in found['stores']])
        (task,) = self.west.call('GET', f'/v2/images/{image_id}/tasks', token=self.token).json()['tasks']
        self.assertEqual(
            self.method(source, glance_service_interface='public'), task['input']['import_req']['method']
        )

    def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on(self):
        source = self.uploaded(self.west)
        image_id = self.east.image(token=self.token)
        workers = self.useFixture(WorkersFixture(self, self.east.parts))
        import_id = self.east.start(image_id, token=self.token, method=self.method(source, 'West'))
        workers.start(point='stage:execute.inside').wait_killed()
        worker = workers.start()
        record = self.east.wait(import_id)
        self.trust_ends(record, self.east)
        worker.kill()
        self.assertEqual((ImportState.SUCCEEDED, None), (record.state, record.error_message))
        self.assertEqual(2, record.epoch)
        log = self.west.logs()[self.west.server.log.name]
        path = f'GET /v2/images/{source}/file '
        answers = [line.split(path)[1].split()[0] for line in log.splitlines() if path in line]
        self.assertEqual(['200', '206'], answers)
        self.assertEqual(DATA, self.east.call('GET', f'/v2/images/{image_id}/file', token=self.token).content)

    def test_each_user_brings_over_what_he_sees(self):
        source = self.uploaded(self.east, visibility='private')
        mallory = self.keystone.user('mallory', project='theirs', roles=['member'])
        code = 'imagepipe.source.image_not_found'
        _, record = self.fails(self.method(source), code, token=mallory)
        self.assertEqual(f"Image {source} could not be found in region 'East'.", record.error_message)
        # The role admin is none that is handed on, so no import acts as an administrator.
        self.fails(self.method(source), code, token=self.keystone.admin_token)

    def test_sources_that_there_are_not(self):
        queued, nowhere = self.east.image(token=self.token), 'imagepipe.source.region_unknown'
        for method, code in (
            (self.method(queued, 'North'), nowhere),
            (self.method(queued, glance_service_interface='internal'), nowhere),
            (self.method(queued), 'imagepipe.source.image_not_active'),
        ):
            image_id, record = self.fails(method, code, hw_disk_bus='ide')
            self.assertEqual('describe', record.error_step)
            shown = self.shown(self.west, image_id)
            self.assertEqual(('queued', None, 'raw', 'ide', 'fast'), tuple(
                shown[name]
                for name in ('status', 'size', 'disk_format', 'hw_disk_bus', 'os_glance_failed_import')
            ))  # fmt: skip
            (task,) = self.west.call('GET', f'/v2/images/{image_id}/tasks', token=self.token).json()['tasks']
            self.assertEqual(('failure', record.error_message), (task['status'], task['message']))

    def test_a_cancel_and_a_delete_end_the_trust(self):
        remote = str(uuid.uuid4())
        method = self.odd.serve(remote, DATA, fault=Fault(stall_after=1000))
        self.addCleanup(self.odd.server.release.set)
        for end in (
            lambda _, import_id: ('POST', f'/v2/imports/{import_id}/cancel'),
            lambda image_id, _: ('DELETE', f'/v2/images/{image_id}'),
        ):
            self.odd.server.stalled.clear()
            image_id = self.west.image(token=self.token)
            import_id = self.west.start(image_id, token=self.token, method=method)
            self.assertEqual(1, len(self.keystone.trusts()))
            self.assertTrue(self.odd.server.stalled.wait(60))
            response = self.west.call(*end(image_id, import_id), token=self.token)
            self.assertIn(response.status_code, (202, 204))
            self.trust_ends(self.west.wait(import_id))

    def refused(self, status, image_id, method, *, token=None, **body):
        """The error of a request that is not accepted."""
        path = f'/v2/images/{image_id}/import'
        response = self.west.call('POST', path, token=token or self.token, json={'method': method, **body})
        self.assertEqual(status, response.status_code, response.text)
        return response.json()['error']

    def nothing_was_recorded(self, image_id):
        path = f'/v2/images/{image_id}/imports'
        self.assertEqual([], self.west.call('GET', path, token=self.token).json()['imports'])
        self.assertEqual('queued', self.shown(self.west, image_id)['status'])
        self.assertEqual([], self.keystone.trusts())

    def test_whose_rights_cannot_be_handed_on(self):
        image_id, method = self.west.image(token=self.token), self.method(str(uuid.uuid4()))
        for unrestricted in (False, True):
            token = self.keystone.application_credential(self.token, unrestricted=unrestricted)
            error = self.refused(403, image_id, method, token=token)
            self.assertEqual('imagepipe.identity.delegation_refused', error['error_code'])
        self.nothing_was_recorded(image_id)

    def test_a_request_that_is_refused_leaves_no_trust(self):
        image_id, method = self.west.image(token=self.token), self.method(str(uuid.uuid4()))
        error = self.refused(400, image_id, self.method('foo'))
        self.assertIn('image id does not look like a UUID', error['message'])
        self.refused(409, image_id, method, stores=['nowhere'])
        queued = self.west.image(token=self.token)
        self.west.stage(queued, DATA, token=self.token)
        self.refused(409, queued, method)
        self.nothing_was_recorded(image_id)

    def test_nobody_but_the_endpoint_gets_a_token_and_none_is_left_anywhere(self):
        remote, other = str(uuid.uuid4()), self.useFixture(HttpServer())
        method = self.odd.serve(remote, DATA, fault=Fault(redirect=other.url('/data')))
        other.serve('/data', DATA)
        # It is not the operator who says that data is to be had on loopback.
        self.fails(method, 'imagepipe.source.refused')
        self.assertEqual([], other.requests)
        self.fetch(self.odd.serve(remote, DATA))
        used = {request.headers.get('x-auth-token') for request in self.odd.server.requests}
        self.assertNotIn(None, used)
        self.assertNotIn(self.token, used)
        places = {
            **tables(self.west.parts.services.db.engine),
            **self.west.logs(),
            'command lines': command_lines(self.west.processes()),
            'answers': self.west.call('GET', '/v2/imports', token=self.token).text,
        }
        self.assertIn(remote, places['imports'])
        self.assertIn('task.failure', places['outbox'])
        self.assertIn('DEBUG', places['conductor.log'])
        for secret in (self.token, SERVICE_PASSWORD, *used):
            self.assertEqual([], [name for name, text in places.items() if secret in text])
