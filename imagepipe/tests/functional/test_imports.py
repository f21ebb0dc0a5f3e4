"""Imports from the request to the end: what was expected of the data, what is seen, what happens beside."""

import hashlib
import threading

import testscenarios
import testtools

from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.fetching import some_bytes
from imagepipe.tests.fixtures.pipeline import PipelineFixture, step

DATA = some_bytes(2_500_000)
METHODS = ('glance-direct', 'web-download')
STEPS = ['stage', 'introspect', 'verify:raw', 'store:fast', 'store:cheap', 'activate', 'notify', 'discard']


def begin(pipe: PipelineFixture, method: str, data: bytes = DATA, **how: object) -> str:
    """The id of an import of raw data into a new image."""
    image_id = pipe.image('raw')
    if method == 'web-download':
        return pipe.start(image_id, uri=pipe.serve(image_id, data), **how)
    pipe.stage(image_id, data)
    return pipe.start(image_id, **how)


class ExpectedTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """What the request expects of the source, by every kind of algorithm and by both methods."""

    scenarios = testscenarios.multiply_scenarios(
        [(method, {'method': method}) for method in METHODS],
        # md5, sha256 and sha512 are computed anyway, the others because they are asked for.
        [(name, {'algorithm': name}) for name in ('md5', 'sha1', 'sha256', 'sha512', 'sha3_256', 'blake2b')],
    )

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self))
        self.right = hashlib.new(self.algorithm, DATA).hexdigest()

    def test_the_right_digest_is_confirmed(self):
        expected = {self.algorithm: self.right.upper(), 'size': len(DATA)}
        found = self.pipe.succeed(begin(self.pipe, self.method, expected=expected))
        self.assertEqual({self.algorithm: self.right, 'size': len(DATA)}, found['expected'])
        self.assertEqual(self.right, found['source']['digests'][self.algorithm])
        self.assertEqual(self.right, found['stores'][0]['digests'][self.algorithm])
        self.pipe.check_records()

    def test_a_wrong_digest_is_terminal_and_says_what_was_found(self):
        wrong = hashlib.new(self.algorithm, DATA[:-1]).hexdigest()
        import_id = begin(self.pipe, self.method, expected={self.algorithm: wrong}, stores=['fast', 'cheap'])
        found = self.pipe.fail(import_id, 'imagepipe.data.digest_mismatch', step='introspect')
        self.assertEqual(
            f'The {self.algorithm} of the data is {self.right}, {wrong} was expected.',
            found['error']['message'],
        )
        self.assertEqual(1, step(found, 'stage')['attempt'])


class ExpectedTogetherTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """The size that the request expects, and several digests."""

    scenarios = [(method, {'method': method}) for method in METHODS]

    def test_another_size_is_terminal(self):
        pipe = self.useFixture(PipelineFixture(self))
        for size in (len(DATA) - 1, len(DATA) + 1, 0):
            import_id = begin(pipe, self.method, expected={'size': size})
            found = pipe.fail(
                import_id, 'imagepipe.data.expected_size_mismatch', step='introspect', again=None
            )
            self.assertEqual(
                f'The data has {len(DATA)} bytes, {size} were expected.', found['error']['message']
            )

    def test_one_wrong_digest_among_right_ones_is_enough(self):
        pipe = self.useFixture(PipelineFixture(self))
        expected = {'sha256': hashlib.sha256(DATA).hexdigest(), 'sha224': 'a' * 56, 'size': len(DATA)}
        pipe.fail(begin(pipe, self.method, expected=expected), 'imagepipe.data.digest_mismatch', again=None)


class LifeTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """One import, looked at before, during and after, on every database."""

    scenarios = testscenarios.multiply_scenarios(
        [(kind, {'database': kind}) for kind in KINDS], [(method, {'method': method}) for method in METHODS]
    )

    def test_accepted_then_run_then_seen_for_ever(self):
        pipe = self.useFixture(PipelineFixture(self, kind=self.database, works=False))
        import_id = begin(pipe, self.method, all_stores=True, headers={'X-Openstack-Request-ID': 'req-mine'})
        found = pipe.import_(import_id)
        image_id = found['image_id']
        self.assertEqual(('accepted', 'importing'), (found['state'], pipe.show(image_id)['status']))
        self.assertEqual(STEPS, [each['name'] for each in found['steps']])
        self.assertEqual({('pending', 0)}, {(each['state'], each['attempt']) for each in found['steps']})
        pipe.work()
        found = pipe.succeed(import_id)
        self.assertEqual({('done', 1)}, {(each['state'], each['attempt']) for each in found['steps']})
        self.assertEqual(1, len({each['worker'] for each in found['steps']}))
        moved = [(step(found, name)['bytes_done'], step(found, name)['bytes_total']) for name in STEPS[:1]]
        self.assertEqual([(len(DATA), len(DATA))], moved)
        for each in found['steps']:
            self.assertTrue(each['started_at'] <= each['updated_at'] <= each['finished_at'], each)
        self.assertTrue(found['created_at'] <= found['started_at'] <= found['finished_at'])
        self.assertEqual('req-mine', found['request_id'])
        (listed,) = pipe.call('GET', f'/v2/images/{image_id}/imports').json['imports']
        self.assertEqual(found, listed)
        (task,) = pipe.call('GET', f'/v2/images/{image_id}/tasks').json['tasks']
        self.assertEqual(
            ('success', 'req-mine', '', {'image_id': image_id}),
            (task['status'], task['request_id'], task['message'], task['result']),
        )
        self.assertEqual(DATA, pipe.download(image_id))
        pipe.check_records()
        pipe.delete(image_id)
        self.assertEqual('succeeded', pipe.import_(import_id)['state'])
        pipe.check_records()

    def test_many_at_once_by_two_workers(self):
        pipe = self.useFixture(PipelineFixture(self, kind=self.database))
        pipe.work()
        wrong = {'sha256': '0' * 64}
        data = [some_bytes(10_000 + number) for number in range(5)]
        good = [begin(pipe, self.method, each, all_stores=True) for each in data]
        bad = [begin(pipe, self.method, each, expected=wrong) for each in data]
        for import_id, each in zip(good, data, strict=True):
            found = pipe.succeed(import_id)
            self.assertEqual({1}, {one['attempt'] for one in found['steps']})
            self.assertEqual(each, pipe.download(found['image_id']))
        for import_id in bad:
            pipe.wait(import_id)
        for import_id in bad:
            pipe.fail(import_id, 'imagepipe.data.digest_mismatch', again=None)
        pipe.check_records()


class ChoiceTestCase(testtools.TestCase):
    """Which stores an import writes to."""

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self))

    def check(self, wanted: list[str], **how: object) -> None:
        found = self.pipe.succeed(begin(self.pipe, 'glance-direct', b'data', **how))
        self.assertEqual(wanted, [each['store'] for each in found['stores']])
        self.assertEqual(set(wanted), set(self.pipe.show(found['image_id'])['stores'].split(',')))
        self.pipe.check_records()

    def test_none_named_is_the_default_one(self):
        self.check(['fast'])

    def test_by_the_header(self):
        self.check(['cheap'], headers={'X-Image-Meta-Store': 'cheap'})

    def test_in_the_order_named_and_each_once(self):
        self.check(['cheap', 'fast'], stores=['cheap', 'fast', 'cheap'])

    def test_all_of_them(self):
        self.check(['fast', 'cheap'], all_stores=True)


class BesideTestCase(testtools.TestCase):
    """What else happens to an image while it is imported."""

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self, memory=('slow',)))
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        self.pipe.memory['slow'].hang_on_put(self.gate)

    def hanging(self, **how: object) -> tuple[str, str]:
        """The ids of an image and of its import, which is in the middle of its store."""
        import_id = begin(self.pipe, 'glance-direct', stores=['slow'], **how)
        self.assertTrue(self.pipe.memory['slow'].hanging.wait(60))
        return self.pipe.import_(import_id)['image_id'], import_id

    def test_its_owner_changes_it_and_both_changes_stay(self):
        image_id, import_id = self.hanging()
        response = self.pipe.patch(
            image_id,
            {'op': 'add', 'path': '/colour', 'value': 'red'},
            {'op': 'replace', 'path': '/name', 'value': 'renamed'},
        )
        self.assertEqual(200, response.status_int, response.text)
        self.gate.set()
        self.pipe.succeed(import_id)
        image = self.pipe.show(image_id)
        self.assertEqual(
            ('active', 'red', 'renamed', len(DATA)),
            (image['status'], image['colour'], image['name'], image['size']),
        )

    def test_its_formats_are_fixed_and_it_takes_no_other_data(self):
        image_id, import_id = self.hanging()
        response = self.pipe.patch(image_id, {'op': 'replace', 'path': '/disk_format', 'value': 'qcow2'})
        self.assertEqual(403, response.status_int, response.text)
        for to in ('file', 'stage'):
            response = self.pipe.put(image_id, b'other', to=to)
            self.assertEqual(
                (409, 'imagepipe.image.invalid_transition'),
                (response.status_int, response.json['error']['error_code']),
            )
        self.assertIn(self.pipe.call('GET', f'/v2/images/{image_id}/file').status_int, (204, 403, 409))
        self.gate.set()
        self.pipe.succeed(import_id)
        self.assertEqual(DATA, self.pipe.download(image_id))
        self.pipe.check_records()

    def test_properties_stay_when_it_fails(self):
        image_id = self.pipe.image('qcow2', colour='red', tags=['blue'])
        self.pipe.stage(image_id, DATA)
        import_id = self.pipe.start(image_id)
        self.pipe.fail(import_id, 'imagepipe.format.mismatch', again=None)
        image = self.pipe.show(image_id)
        self.assertEqual(('red', ['blue'], 'qcow2'), (image['colour'], image['tags'], image['disk_format']))


class AgainTestCase(testtools.TestCase):
    """After a failure, by whatever way."""

    def setUp(self):
        super().setUp()
        images.needs(self, 'qcow2')
        self.pipe = self.useFixture(PipelineFixture(self))
        self.image_id = self.pipe.image('qcow2')
        self.pipe.stage(self.image_id, DATA)
        self.first = self.pipe.start(self.image_id)
        self.pipe.fail(self.first, 'imagepipe.format.mismatch', again=None)
        self.good = images.content('qcow2')

    def check(self, failed: str = '') -> None:
        image = self.pipe.show(self.image_id)
        self.assertEqual(('active', failed), (image['status'], image['os_glance_failed_import']))
        self.assertEqual(self.good, self.pipe.download(self.image_id))
        self.pipe.check_records()

    def test_the_other_method_works(self):
        second = self.pipe.start(self.image_id, uri=self.pipe.serve(self.image_id, self.good))
        self.pipe.succeed(second)
        self.check()
        listed = self.pipe.call('GET', f'/v2/images/{self.image_id}/imports').json['imports']
        self.assertEqual(
            [(second, 'succeeded'), (self.first, 'failed')], [(each['id'], each['state']) for each in listed]
        )

    def test_an_upload_works(self):
        self.assertEqual(204, self.pipe.put(self.image_id, self.good).status_int)
        self.check(failed='fast')

    def test_other_formats_work(self):
        response = self.pipe.patch(self.image_id, {'op': 'replace', 'path': '/disk_format', 'value': 'raw'})
        self.assertEqual(200, response.status_int, response.text)
        self.good = DATA
        self.pipe.stage(self.image_id, DATA)
        self.pipe.succeed(self.pipe.start(self.image_id))
        self.check()


class EmptyTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """No bytes are an image too, as with an upload."""

    scenarios = [(method, {'method': method}) for method in METHODS]

    def test_an_image_of_no_bytes(self):
        pipe = self.useFixture(PipelineFixture(self))
        found = pipe.succeed(begin(pipe, self.method, b''))
        image = pipe.show(found['image_id'])
        self.assertEqual(
            ('active', 0, hashlib.md5(b'').hexdigest()), (image['status'], image['size'], image['checksum'])
        )
        pipe.check_records()
