"""Sources on the network: what is refused, what is tried again, and what is continued.

`python -m imagepipe.tests.functional.test_web_download` prints the table of everything refused:
requests, images, sources.
"""

import dataclasses
import os
import pathlib
import sys
import threading
from collections.abc import Mapping

import sqlalchemy as sa
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.db import schema
from imagepipe.db.transaction import Transaction
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.fetching import some_bytes
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture, step
from imagepipe.tests.fixtures.workers import WorkersFixture, wait_until
from imagepipe.tests.functional import test_import_refusals as refusals

MIB = 1 << 20
SOME = some_bytes(3 * MIB + 17)
#: Spellings of addresses that no tenant may reach, and of names that lead there.
FORBIDDEN_HOSTS = (
    '127.0.0.1',
    '127.1',
    '127.0.0.2',
    '0.0.0.0',
    '0',
    '2130706433',
    '0x7f000001',
    '0x7f.0.0.1',
    '017700000001',
    '0177.0.0.1',
    '127.0.0.1.',
    '127.000.000.001',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    'localhost',
    'LOCALHOST',
    'localhost.',
    '\uff11\uff12\uff17.0.0.1',
    '127\u30020\u30020\u30021',
    '169.254.169.254',
    '2852039166',
    '0xa9fea9fe',
    '[::ffff:169.254.169.254]',
    '[fe80::1]',
    '[fd00::1]',
    '[fd00:ec2::254]',
    '10.0.0.1',
    '10.1',
    '172.16.0.1',
    '192.168.0.1',
    '192.168.257',
    '100.64.0.1',
    '198.18.0.1',
    '192.0.2.1',
    '224.0.0.1',
    '255.255.255.255',
    '[ff02::1]',
    '[2001:db8::1]',
)


class ForbiddenHostTestCase(testtools.TestCase):
    """The POST refuses, with one sentence that says nothing of what stands behind an address."""

    def test_every_spelling_is_refused_in_the_same_words(self):
        pipe = self.useFixture(
            PipelineFixture(
                self,
                works=False,
                overrides={
                    'import_filtering_opts.allowed_networks': '',
                    'import_filtering_opts.allowed_ports': '80,443',
                },
            )
        )
        image_id = pipe.image('raw')
        for host in FORBIDDEN_HOSTS:
            for uri in (f'http://{host}/disk', f'https://{host}:443/latest/meta-data/?token=hidden'):
                response = pipe.ask(image_id, uri=uri)
                self.assertEqual(400, response.status_int, (uri, response.text))
                error = response.json['error']
                self.assertEqual(
                    (
                        'imagepipe.source.refused',
                        f"The source URL for host '{host}' does not pass filtering.",
                    ),
                    (error['error_code'], error['message']),
                )
        response = pipe.ask(image_id, uri=f'http://127.0.0.1:{pipe.source.port}/disk')
        self.assertEqual('imagepipe.source.refused', response.json['error']['error_code'])
        self.assertEqual([], pipe.source.requests)
        pipe.check_records()

    def test_a_redirect_to_any_of_them_is_refused_in_the_same_words(self):
        pipe = self.useFixture(PipelineFixture(self))
        found = set()
        # 127.0.0.0/8 is allowed here, for the server itself is there.
        for host in (
            '169.254.169.254',
            '[::1]',
            '10.0.0.1',
            '0xa9fea9fe',
            '[::ffff:10.0.0.1]',
            'no.such.host.invalid',
        ):
            image_id = pipe.image('raw')
            uri = pipe.serve(image_id, b'', Fault(redirect=f'http://{host}:{pipe.source.port}/x'))
            failed = pipe.fail(
                pipe.start(image_id, uri=uri), 'imagepipe.source.refused', step='stage', again=None
            )
            found.add(failed['error']['message'])
        self.assertEqual({"The source URL for host '127.0.0.1' does not pass filtering."}, found)
        self.assertEqual(6, len(pipe.source.requests))
        pipe.retry(image_id, SOME)

    def test_a_redirect_to_an_allowed_place_is_followed(self):
        pipe = self.useFixture(PipelineFixture(self))
        pipe.source.serve('/disk', SOME)
        image_id = pipe.image('raw')
        pipe.succeed(pipe.start(image_id, uri=pipe.serve(image_id, b'', Fault(redirect='/disk'))))
        self.assertEqual(SOME, pipe.download(image_id))


@dataclasses.dataclass(frozen=True)
class Bad:
    """A source that gives no image. attempts: how often it is tried."""

    case: str
    fault: Fault
    code: str
    sentence: str
    attempts: int = 1
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)


_CAP = {'image_size_cap': 2 * MIB}
# fmt: off
BAD = (
    Bad('404', Fault(status=404), 'imagepipe.source.not_found',
        'The source answered 404 instead of the image.'),
    Bad('403', Fault(status=403), 'imagepipe.source.not_found',
        'The source answered 403 instead of the image.'),
    Bad('a web page with status 200', Fault(content_type='text/html; charset=utf-8'),
        'imagepipe.source.unusable',
        'The source cannot be used: it sent a document of a type that is no image, such as a web page'),
    Bad('503 for ever', Fault(status=503), 'imagepipe.source.unavailable',
        'The source could not be read: it asked to come back later', 3),
    Bad('503 for ever, one attempt allowed', Fault(status=503), 'imagepipe.source.unavailable',
        'The source could not be read: it asked to come back later', 1, {'import_flow.fetch_attempts': 1}),
    Bad('500 for ever', Fault(status=500), 'imagepipe.source.unavailable',
        'The source could not be read: it answered with a server error', 3),
    Bad('ends early each time', Fault(short_by=MIB), 'imagepipe.source.truncated',
        'The source ended after 2097169 of 3145745 bytes.', 3),
    Bad('breaks and cannot continue', Fault(cut_after=MIB, cuts=99, ranges=False, etag='', last_modified=''),
        'imagepipe.source.truncated', 'The source ended after 1048576 of 3145745 bytes.', 3),
    Bad('changes whenever it is continued', Fault(cut_after=MIB, cuts=99, changed_on_resume='data'),
        'imagepipe.source.changed', 'The source changed while it was being read.', 3),
    Bad('stalls', Fault(stall_after=MIB), 'imagepipe.source.stalled',
        'The source sent too little data: nothing arrived for too long', 2,
        {'web_download.read_timeout': 0.3, 'web_download.max_reconnects': 0,
         'import_flow.fetch_attempts': 2}),
    Bad('never answers', Fault(stall_after=0), 'imagepipe.source.stalled',
        'The source sent too little data: …', 2,
        {'web_download.read_timeout': 0.3, 'import_flow.fetch_attempts': 2}),
    Bad('drips', Fault(drip=(1, 0.01)), 'imagepipe.source.stalled',
        'The source sent too little data: less than the lowest allowed rate arrived', 1,
        {'web_download.min_rate': 10000, 'web_download.min_rate_window': 0.3,
         'import_flow.fetch_attempts': 1}),
    Bad('takes too long', Fault(drip=(1000, 0.01)), 'imagepipe.source.timeout',
        'The source could not be read within 1.0 seconds.', 1,
        {'web_download.total_timeout': 1, 'web_download.min_rate': 0}),
    Bad('never ends', Fault(endless=True), 'imagepipe.data.size_cap_exceeded',
        'The data is larger than the 2097152 bytes that an image may have.', 1, _CAP),
    Bad('announces more than the cap', Fault(), 'imagepipe.data.size_cap_exceeded',
        'The data is larger than the 2097152 bytes that an image may have.', 1, _CAP),
    Bad('sends more than the cap', Fault(chunked=True), 'imagepipe.data.size_cap_exceeded',
        'The data is larger than the 2097152 bytes that an image may have.', 1, _CAP),
    Bad('announces more than staging has', Fault(), 'imagepipe.staging.full',
        'The staging area has no room for this image.', 1, {'staging.capacity': 2 * MIB}),
    Bad('sends more than staging has', Fault(chunked=True), 'imagepipe.staging.full',
        'The staging area has no room for this image.', 1, {'staging.capacity': 2 * MIB}),
    Bad('redirects in a circle', Fault(redirect='?'), 'imagepipe.source.redirects',
        'The source redirected more than 5 times.'),
    Bad('is no HTTP', Fault(raw=b'220 smtp.example ESMTP\r\n'), 'imagepipe.source.unusable',
        'The source cannot be used: its answer is not valid HTTP'),
    Bad('is packed for the way', Fault(content_encoding='gzip'), 'imagepipe.source.unusable',
        'The source cannot be used: it sent the data with a content encoding that was not asked for'),
)
# fmt: on


class BadSourceTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """Each bad source: its code, how often it was tried, nothing left, and then data that is small works."""

    scenarios = [(bad.case, {'bad': bad}) for bad in BAD]

    def test_fails_and_leaves_nothing(self):
        bad = self.bad
        pipe = self.useFixture(PipelineFixture(self, overrides=bad.options))
        image_id = pipe.image('raw')
        import_id = pipe.start(image_id, uri=pipe.serve(image_id, SOME, bad.fault), stores=['fast', 'cheap'])
        found = pipe.fail(import_id, bad.code, step='stage', again=None)
        refusals.expect(self, bad.sentence.rstrip('.'), found['error']['message'].rstrip('.'))
        self.assertEqual(bad.attempts, step(found, 'stage')['attempt'])
        pipe.source.release.set()
        pipe.retry(image_id, b'a small raw image')


class RecoveryTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """What passes by itself: the import succeeds, and how often it was tried is seen."""

    scenarios = [
        ('503, then fine', {'fault': Fault(flaky=(1, 1000)), 'attempts': 2}),
        ('503 twice, then fine', {'fault': Fault(flaky=(2, 1000)), 'attempts': 3}),
        ('breaks once, continued by Range', {'fault': Fault(cut_after=MIB), 'attempts': 1}),
        ('reset once, continued by Range', {'fault': Fault(cut_after=MIB, reset=True), 'attempts': 1}),
        (
            'breaks and cannot continue, read anew',
            {'fault': Fault(cut_after=MIB, ranges=False, etag='', last_modified=''), 'attempts': 2},
        ),
        (
            'changed when continued, read anew',
            {'fault': Fault(cut_after=MIB, changed_on_resume='data'), 'attempts': 2},
        ),
        ('chunked', {'fault': Fault(chunked=True), 'attempts': 1}),
        ('framed by the connection', {'fault': Fault(unframed=True), 'attempts': 1}),
        ('drips, but enough', {'fault': Fault(drip=(64 * 1024, 0.001)), 'attempts': 1}),
        ('HEAD forbidden', {'fault': Fault(head_forbidden=True), 'attempts': 1}),
    ]

    def test_succeeds(self):
        pipe = self.useFixture(PipelineFixture(self))
        image_id = pipe.image('raw')
        found = pipe.succeed(pipe.start(image_id, uri=pipe.serve(image_id, SOME, self.fault)))
        self.assertEqual(
            (self.attempts, 'done'), (step(found, 'stage')['attempt'], step(found, 'stage')['state'])
        )
        self.assertEqual(SOME, pipe.download(image_id))
        self.check_requests(pipe.source.requests)
        pipe.check_records()

    def check_requests(self, requests):
        """What broke once was continued where it broke; after a reset, where the bytes that came end."""
        if self.attempts == 1 and self.fault.cut_after is not None:
            first, second = requests
            self.assertEqual((None, None), (first.range, first.headers.get('if-range')))
            self.assertRegex(second.range, f'^bytes={"[1-9][0-9]*" if self.fault.reset else MIB}-$')
            self.assertIn('if-range', second.headers)


class SmallStagingTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """Room is reserved ahead of data of unknown length, as far as there is some."""

    scenarios = [
        (name, {'fault': fault})
        for name, fault in (('chunked', Fault(chunked=True)), ('unframed', Fault(unframed=True)))
    ]

    def test_data_that_fits_is_taken(self):
        pipe = self.useFixture(PipelineFixture(self, overrides={'staging.capacity': len(SOME)}))
        image_id = pipe.image('raw')
        pipe.succeed(pipe.start(image_id, uri=pipe.serve(image_id, SOME, self.fault)))
        pipe.check_records()

    def test_what_was_reserved_ahead_is_given_back_when_the_length_is_known(self):
        pipe = self.useFixture(PipelineFixture(self, memory=('slow',)))
        gate = threading.Event()
        self.addCleanup(gate.set)
        pipe.memory['slow'].hang_on_put(gate)
        image_id = pipe.image('raw')
        import_id = pipe.start(image_id, uri=pipe.serve(image_id, SOME, self.fault), stores=['slow'])
        self.assertTrue(pipe.memory['slow'].hanging.wait(60))
        self.assertEqual((len(SOME), len(SOME)), pipe.used())
        gate.set()
        pipe.succeed(import_id)
        pipe.check_records()


class DeadWorkerTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """The worker dies in the middle of the fetch, and another one goes on."""

    scenarios = [(kind, {'database': kind}) for kind in KINDS]

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(
            PipelineFixture(
                self,
                kind=self.database,
                works=False,
                overrides={'conductor.lease': 60},
            )
        )
        self.image_id = self.pipe.image('raw')

    def die(self, fault: Fault | None = None) -> tuple[str, int]:
        """A worker that was killed while it fetched; the import, and how many bytes it left."""
        pipe = self.pipe
        workers = self.useFixture(WorkersFixture(self, pipe.cloud))
        import_id = pipe.start(self.image_id, uri=pipe.serve(self.image_id, SOME, fault))
        workers.start(point='stage:execute.inside').wait_killed()
        (name,) = pipe.staged()
        left = os.path.getsize(pipe.cloud.path('staging', name))
        self.assertTrue(0 < left < len(SOME), left)
        return import_id, left

    def expire(self) -> None:
        """The dead worker's claim runs out."""

        def change(tx: Transaction) -> None:
            tx.connection.execute(sa.update(schema.imports).values(claim_expires=0.0))

        self.pipe.services.db.run(change)

    def go_on(self, import_id: str) -> Mapping[str, object]:
        """Another worker ends the import."""
        self.expire()
        self.pipe.work()
        return self.pipe.succeed(import_id)

    def known(self, import_id: str) -> Mapping[str, object] | None:
        """What continues the download."""
        return self.pipe.services.db.read(lambda tx: tx.imports.get(import_id)).source_resume

    def die_again(self, import_id: str, data: bytes, fault: Fault) -> None:
        """One more worker, killed when it knows the source's version and has written none of its data."""
        pipe = self.pipe
        self.expire()
        pipe.serve(self.image_id, data, fault)
        version = pipe.source.resources[f'/{self.image_id}'].etag or None
        worker = self.useFixture(WorkersFixture(self, pipe.cloud)).start()
        wait_until(lambda: (self.known(import_id) or {}).get('validator') == version, 'it knows the version')
        worker.kill()

    def test_the_next_one_continues_and_hashes_what_was_there(self):
        import_id, left = self.die()
        found = self.go_on(import_id)
        first, second = self.pipe.source.requests_to(f'/{self.image_id}')
        etag = self.pipe.source.resources[f'/{self.image_id}'].etag
        self.assertEqual(
            (None, f'bytes={left}-', etag), (first.range, second.range, second.headers['if-range'])
        )
        self.check(found, SOME)

    def test_a_source_that_changed_meanwhile_is_read_anew(self):
        import_id, left = self.die()
        other = some_bytes(2 * MIB + 5)
        self.pipe.serve(self.image_id, other)
        found = self.go_on(import_id)
        ranges = [request.range for request in self.pipe.source.requests_to(f'/{self.image_id}')]
        self.assertEqual([None, f'bytes={left}-', None], ranges)
        self.check(found, other)

    def test_two_versions_are_not_joined_whoever_dies_meanwhile(self):
        import_id, left = self.die()
        (first,) = self.pipe.staged()
        other = some_bytes(2 * MIB + 5)
        self.die_again(import_id, other, Fault(stall_after=1000))
        self.assertNotIn(first, self.pipe.staged())
        # As if the first one had only been frozen.
        pathlib.Path(self.pipe.cloud.path('staging', first)).write_bytes(SOME[:left])
        self.pipe.serve(self.image_id, other)
        found = self.go_on(import_id)
        self.assertIsNone(self.pipe.source.requests_to(f'/{self.image_id}')[-1].range)
        self.check(found, other)

    def test_a_version_that_cannot_be_known_again_is_joined_to_nothing(self):
        import_id, _ = self.die()
        fault = Fault(stall_after=1000, etag='', last_modified='')
        self.die_again(import_id, some_bytes(2 * MIB + 5), fault)
        self.pipe.serve(self.image_id, SOME)
        found = self.go_on(import_id)
        self.assertIsNone(self.pipe.source.requests_to(f'/{self.image_id}')[-1].range)
        self.check(found, SOME)

    def test_a_source_without_validator_is_read_anew(self):
        import_id, _ = self.die(Fault(etag='', last_modified=''))
        found = self.go_on(import_id)
        ranges = [request.range for request in self.pipe.source.requests_to(f'/{self.image_id}')]
        self.assertEqual([None, None], ranges)
        self.check(found, SOME)

    def check(self, found: Mapping[str, object], data: bytes) -> None:
        self.assertEqual(data, self.pipe.download(self.image_id))
        image = self.pipe.show(self.image_id)
        self.assertEqual(found['source']['digests']['md5'], image['checksum'])
        self.assertEqual(found['source']['digests']['sha512'], image['os_hash_value'])
        self.pipe.check_records()


class CancelledFetchTestCase(testtools.TestCase):
    """What ends a fetch from outside."""

    def setUp(self):
        super().setUp()
        self.pipe = self.useFixture(PipelineFixture(self))
        self.image_id = self.pipe.image('raw')

    def stalled(self) -> str:
        uri = self.pipe.serve(self.image_id, SOME, Fault(stall_after=MIB))
        import_id = self.pipe.start(self.image_id, uri=uri)
        self.assertTrue(self.pipe.source.stalled.wait(60))
        return import_id

    def test_cancelled_while_it_waits_for_bytes(self):
        import_id = self.stalled()
        response = self.pipe.call('POST', f'/v2/imports/{import_id}/cancel')
        self.assertEqual(202, response.status_int, response.text)
        self.pipe.fail(import_id, 'imagepipe.import.cancelled', state='cancelled')

    def test_image_deleted_while_it_waits_for_bytes(self):
        import_id = self.stalled()
        self.pipe.delete(self.image_id)
        self.assertEqual(404, self.pipe.call('GET', f'/v2/images/{self.image_id}').status_int)
        found = self.pipe.wait(import_id)
        self.assertEqual(
            ('failed', 'imagepipe.import.image_deleted'), (found['state'], found['error']['code'])
        )
        wait_until(lambda: not self.pipe.staged(), 'staging is empty')
        self.pipe.check_records()

    def test_progress_is_seen_while_it_waits(self):
        import_id = self.stalled()
        found = self.pipe.wait_for(
            import_id, lambda now: step(now, 'stage')['bytes_done'], 'bytes of the stage step are seen'
        )
        seen = step(found, 'stage')
        self.assertEqual(('running', 1, len(SOME)), (seen['state'], seen['attempt'], seen['bytes_total']))
        self.assertTrue(0 < seen['bytes_done'] <= MIB, seen)
        self.pipe.call('POST', f'/v2/imports/{import_id}/cancel')
        self.pipe.wait(import_id)


class SharedImageTestCase(testtools.TestCase):
    """Whoever shares an image sees how its import goes, and never where its bytes come from."""

    def test_a_member_sees_the_import_and_not_its_source(self):
        images.needs(self, 'qcow2')
        pipe = self.useFixture(PipelineFixture(self))
        image_id = pipe.image('raw')
        uri = f'{pipe.serve(image_id, SOME)}?signature=hidden'
        import_id = pipe.start(image_id, uri=uri)
        pipe.succeed(import_id)
        self.assertEqual(404, pipe.call('GET', f'/v2/imports/{import_id}', as_='theirs').status_int)
        pipe.share(image_id, 'theirs')
        self.assertEqual(uri.partition('?')[0], pipe.import_(import_id)['source']['url'])
        for path in (f'/v2/imports/{import_id}', f'/v2/images/{image_id}/imports'):
            response = pipe.call('GET', path, as_='theirs')
            self.assertEqual(200, response.status_int)
            self.assertIn('succeeded', response.text)
            for secret in ('hidden', '127.0.0.1', str(pipe.source.port)):
                self.assertNotIn(secret, response.text)


class TableTestCase(testtools.TestCase):
    """The table that is printed."""

    def test_every_row_has_a_registered_code_and_a_case_of_its_own(self):
        rows = table()
        self.assertEqual(set(), {code for _, _, code, _ in rows} - set(errors.REGISTRY))
        cases = [case for case, *_ in rows]
        self.assertEqual(sorted(set(cases)), sorted(cases))


def table() -> list[tuple[str, str, str, str]]:
    """Case, HTTP status (202 where the import is accepted and fails), error code, sentence."""
    sources = [(f'source: {bad.case}', '202', bad.code, bad.sentence) for bad in BAD]
    return [*refusals.table(), *sources]


if __name__ == '__main__':
    sys.stdout.writelines(' | '.join(row) + '\n' for row in table())
