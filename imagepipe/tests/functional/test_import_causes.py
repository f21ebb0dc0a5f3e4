"""Twenty-odd causes for which imports fail, and what a tenant is told of each by the openstack client.

`python -m imagepipe.tests.functional.test_import_causes` has each import fail and prints what was told:
cause, code, sentence.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import sys
import threading
import unittest
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar
from wsgiref import simple_server

import fixtures
import testscenarios
import testtools

from imagepipe import errors
from imagepipe.stores.memory import InMemoryStore
from imagepipe.tests.fixtures import commands, images
from imagepipe.tests.fixtures.fetching import some_bytes
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.pipeline import PipelineFixture
from imagepipe.tests.fixtures.shells import Shells
from imagepipe.tests.fixtures.signing import SigningFixture

MIB = 1 << 20
DATA = some_bytes(3 * MIB + 17)
SMALL = b'a small raw image'
#: A frame of zstd, of one block that is not packed.
ZSTD = b'\x28\xb5\x2f\xfd\x20\x11\x89\x00\x00' + SMALL
PAGE = (commands.PROJECT / 'doc' / 'source' / 'user' / 'failed-imports.rst').read_text()
UNPACK = {'import_flow.decompress_methods': 'web-download'}
#: What the run of this module told: cause, code, sentence.
TOLD: list[tuple[str, str, str]] = []


@dataclasses.dataclass(frozen=True)
class Cause:
    """`begins` starts the import that must fail; in the sentence … stands for what differs.

    state: in which the import ends; None where the request for it is refused.
    """

    case: str
    begins: Callable[['CausesTest'], str]
    error: type[errors.ImagepipeError]
    sentence: str
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)
    state: str | None = 'failed'


def fetched(
    data: bytes = DATA, fault: Fault | None = None, *, disk_format: str = 'raw', **asked: object
) -> Callable[['CausesTest'], str]:
    """An import of this data by web-download."""

    def begin(test: 'CausesTest') -> str:
        test.image_id = test.pipe.image(disk_format)
        return test.pipe.start(test.image_id, uri=test.pipe.serve(test.image_id, data, fault), **asked)

    return begin


def fetched_image(kind: str, disk_format: str, **asked: object) -> Callable[['CausesTest'], str]:
    """An import of an image of fixtures.images."""

    def begin(test: 'CausesTest') -> str:
        return fetched(images.content(kind), disk_format=disk_format, **asked)(test)

    return begin


def fetched_from(url: str) -> Callable[['CausesTest'], str]:
    """An import from a place that has nothing; {port} is that of the loopback server."""

    def begin(test: 'CausesTest') -> str:
        test.image_id = test.pipe.image()
        return test.pipe.start(test.image_id, uri=url.format(port=test.pipe.source.port))

    return begin


def signed_otherwise(test: 'CausesTest') -> str:
    signed = test.pipe.image(**test.signing.sign(SMALL))
    return test.pipe.start(signed, uri=test.pipe.serve(signed, SMALL[:-1]))


def cancelled(test: 'CausesTest') -> str:
    import_id = fetched(fault=Fault(stall_after=MIB))(test)
    test.assertTrue(test.pipe.source.stalled.wait(60))
    test.assertEqual(202, test.pipe.call('POST', f'/v2/imports/{import_id}/cancel').status_int)
    return import_id


def deleted(test: 'CausesTest') -> str:
    import_id = fetched(fault=Fault(stall_after=MIB))(test)
    test.assertTrue(test.pipe.source.stalled.wait(60))
    test.pipe.delete(test.image_id)
    return import_id


def lost(test: 'CausesTest') -> str:
    image_id = test.pipe.image()
    test.pipe.stage(image_id, SMALL)
    for name in test.pipe.staged():
        os.unlink(test.pipe.cloud.path('staging', name))
    return test.pipe.start(image_id)


# fmt: off
CAUSES = (
    Cause('bad digest', fetched(SMALL, expected={'sha256': '0' * 64}), errors.DigestMismatch,
          'The sha256 of the data is …, 0000…0000 was expected.'),
    Cause('other size than expected', fetched(SMALL, expected={'size': 18}), errors.ExpectedSizeMismatch,
          'The data has 17 bytes, 18 were expected.'),
    Cause('wrong format', fetched_image('qcow2', 'raw'), errors.FormatMismatch,
          "The image is declared as 'raw' but its content is 'qcow2'."),
    Cause('URL answers 404', fetched(fault=Fault(status=404)), errors.SourceNotFound,
          'The source answered 404 instead of the image.'),
    Cause('URL answers 500 for ever', fetched(fault=Fault(status=500)), errors.SourceUnavailable,
          'The source could not be read: it answered with a server error'),
    Cause('URL is a web page', fetched(fault=Fault(content_type='text/html')), errors.SourceUnusable,
          'The source cannot be used: it sent a document of a type that is no image, such as a web page'),
    Cause('unreachable host', fetched_from('http://127.0.0.2:{port}/disk'), errors.SourceUnavailable,
          'The source could not be read: no connection could be made'),
    Cause('refused host', fetched_from('http://169.254.169.254:{port}/disk'), errors.SourceRefused,
          "The source URL for host '169.254.169.254' does not pass filtering.", state=None),
    Cause('redirect to a refused host', fetched(fault=Fault(redirect='http://169.254.169.254/')),
          errors.SourceRefused, "The source URL for host '127.0.0.1' does not pass filtering."),
    Cause('redirects in a circle', fetched(fault=Fault(redirect='?')), errors.TooManyRedirects,
          'The source redirected more than 5 times.'),
    Cause('body cut off', fetched(fault=Fault(short_by=MIB)), errors.SourceTruncated,
          'The source ended after 2097169 of 3145745 bytes.'),
    Cause('source stalls', fetched(fault=Fault(stall_after=MIB)), errors.SourceStalled,
          'The source sent too little data: nothing arrived for too long',
          {'web_download.read_timeout': 0.3, 'web_download.max_reconnects': 0,
           'import_flow.fetch_attempts': 1}),
    Cause('larger than the cap', fetched(), errors.SizeCapExceeded,
          'The data is larger than the 2097152 bytes that an image may have.',
          {'image_size_cap': 2 * MIB}),
    Cause('quota', fetched(), errors.StagedQuotaExceeded,
          'The data does not fit into what the project may have in the staging area: … bytes more than the … '
          'allowed bytes minus 0 used. Import or delete images that are staged.',
          {'user_staging_quota': '1MB'}),
    Cause('staging full', fetched(), errors.StagingFull, 'The staging area has no room for this image.',
          {'staging.capacity': 2 * MIB}),
    Cause('staged data gone', lost, errors.StagingLost,
          'The staged data of image … is no longer there; stage or upload it again.'),
    Cause('store full', fetched(stores=['full']), errors.StoreFull,
          "Store 'full' has no room for this image."),
    Cause('store denied', fetched(stores=['denied']), errors.StoreDenied,
          "Store 'denied' denied the service access."),
    Cause('backing file in qcow2', fetched_image('qcow2-backing-file', 'qcow2'), errors.FormatUnsafe,
          'The image fails the safety check backing_file: A qcow2 image must not have a backing file.'),
    Cause('encrypted qcow2 that is to be converted',
          fetched_image('qcow2-encrypted', 'qcow2', stores=['cheap']), errors.ConversionEncrypted,
          'The image is encrypted; only a disk without encryption can be converted here.',
          {'import_flow.target_formats': 'cheap:raw'}),
    Cause('corrupt gzip', fetched_image('corrupt.gz', 'raw'), errors.DecompressionFailed,
          'The compressed image could not be unpacked: it is damaged or not what it claims to be.', UNPACK),
    Cause('bomb', fetched_image('bomb.gz', 'raw'), errors.DecompressionBomb,
          'The compressed image unpacks to more than the allowed 250 times its size.', UNPACK),
    Cause('unknown compression', fetched(ZSTD), errors.DecompressionFailed,
          'The compressed image could not be unpacked: zstd is not supported here.', UNPACK),
    Cause('virtual disk too large', fetched_image('qcow2-huge', 'qcow2'), errors.VirtualSizeExceeded,
          'The virtual disk has 4611686018427387904 bytes, 104857600 are allowed.',
          {'image_format.max_virtual_size': 100 * MIB}),
    Cause('signature wrong', signed_otherwise, errors.SignatureInvalid,
          'The data does not have the signature that the properties img_signature* of the image name, '
          'checked with certificate ….'),
    Cause('cancelled', cancelled, errors.ImportCancelled, 'The import was cancelled.', state='cancelled'),
    Cause('image deleted meanwhile', deleted, errors.ImageDeletedDuringImport,
          'The image was deleted while it was being imported.'),
)
# fmt: on


class CausesTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [(cause.case, {'cause': cause}) for cause in CAUSES]
    cause: Cause
    shells: ClassVar[Shells]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.shells = Shells()
        cls.addClassCleanup(cls.shells.cleanUp)
        cls.shells.setUp()

    def setUp(self) -> None:
        super().setUp()
        images.needs(self)
        self.signing = self.useFixture(SigningFixture())
        full, denied = InMemoryStore('full', capacity=1000), InMemoryStore('denied')
        denied.fail_on_put(errors.StoreDenied)
        overrides = {**self.signing.options(), **self.cause.options}
        self.pipe = self.useFixture(PipelineFixture(self, memory=[full, denied], overrides=overrides))

    def test_a_tenant_can_act_on_what_is_told(self) -> None:
        cause = self.cause
        code, sentence = self.refused() if cause.state is None else self.failed()
        self.assertEqual(cause.error.code, code)
        wanted = '.+'.join(map(re.escape, cause.sentence.split('…')))
        self.assertRegex(sentence, f'^{wanted}$')
        self.assertNotRegex(sentence, r'Traceback|Error\b|imagepipe|/tmp|\n')
        self.assertIn(f'``{code}``', PAGE, 'the page of failed imports says what to do')
        TOLD.append((cause.case, code, sentence))

    def refused(self) -> tuple[str, str]:
        """Code and sentence of the answer to a request that comes to no import."""
        answers = []
        self.pipe.start = lambda *args, **asked: answers.append(self.pipe.ask(*args, **asked))
        self.cause.begins(self)
        (answer,) = answers
        self.assertEqual(self.cause.error.status, answer.status_int)
        return answer.json['error']['error_code'], answer.json['error']['message']

    def failed(self) -> tuple[str, str]:
        """Code and sentence as `openstack image import watch` prints them."""
        import_id = self.cause.begins(self)
        self.assertEqual(self.cause.state, self.pipe.wait(import_id)['state'])
        with served(self.pipe.application) as url:
            printed = self.openstack(url, 'watch', import_id)
        verdict = {'failed': 'has failed', 'cancelled': 'was cancelled'}[self.cause.state]
        found = re.search(rf'^Import {import_id} {verdict}: (.*) \((.*)\)$', printed, re.MULTILINE)
        self.assertIsNotNone(found, printed)
        self.pipe.check_records()
        return found[2], found[1]

    def openstack(self, url: str, *words: str) -> str:
        """What a command prints that fails."""
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        env = {
            'OS_AUTH_TYPE': 'admin_token',
            'OS_TOKEN': 'ours',
            'OS_ENDPOINT': f'{url}/v2',
            'HOME': str(directory),
        }
        done = self.shells.run('openstack', ['image', 'import', *words], env=env, cwd=directory)
        self.assertEqual(1, done.status, done.printed)
        return done.printed


class TableTest(testtools.TestCase):
    def test_there_are_twenty_and_each_is_told_apart(self) -> None:
        cases = {cause.case for cause in CAUSES}
        self.assertEqual(len(CAUSES), len(cases))
        self.assertGreaterEqual(len(cases), 20)


class _QuietHandler(simple_server.WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def served(application: Callable) -> Iterator[str]:
    """The URL of an application of this process."""
    server = simple_server.make_server('127.0.0.1', 0, application, handler_class=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name='wsgi-server')
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> int:
    """Run the tests and print what was told."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(CausesTest)
    result = unittest.TextTestRunner().run(suite)
    sys.stdout.writelines(' | '.join(row) + '\n' for row in TOLD)
    return 0 if result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
