"""Bad requests and bad images, each refused with its code and its sentence, and nothing left behind.

The tables are what the documentation shows (test_web_download prints them all). In a sentence, … stands
for a part that differs from case to case.
"""

import dataclasses
import json
import re
from collections.abc import Mapping

import testscenarios
import testtools
import webob

from imagepipe import errors
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.api import new_id
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.pipeline import PipelineFixture

MIB = 1 << 20
DATA = b'the data of a raw image, ' * 40
UNPACK = {'import_flow.decompress_methods': 'glance-direct,web-download'}


def expect(test: testtools.TestCase, wanted: str, sentence: str) -> None:
    """The sentence is the wanted one, … being anything."""
    test.assertRegex(sentence, '^' + '.+'.join(map(re.escape, wanted.split('…'))) + '$')


@dataclasses.dataclass(frozen=True)
class Bad:
    """An image that an import must not make active. step: where it fails."""

    case: str
    kind: str
    disk_format: str
    error: type[errors.ImagepipeError]
    sentence: str
    step: str = 'introspect'
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.error.code


UNSAFE = errors.FormatUnsafe
# fmt: off
BAD = (
    Bad('qcow2 declared as raw', 'qcow2', 'raw', errors.FormatMismatch,
        "The image is declared as 'raw' but its content is 'qcow2'."),
    Bad('vmdk declared as raw', 'vmdk', 'raw', errors.FormatMismatch,
        "The image is declared as 'raw' but its content is 'vmdk'."),
    Bad('vdi declared as raw', 'vdi', 'raw', errors.FormatMismatch,
        "The image is declared as 'raw' but its content is 'vdi'."),
    Bad('qed declared as raw', 'qed', 'raw', errors.FormatMismatch,
        "The image is declared as 'raw' but its content is 'qed'."),
    Bad('raw declared as qcow2', 'raw', 'qcow2', errors.FormatMismatch,
        "The image is declared as 'qcow2' but its content is 'gpt'."),
    Bad('vhdx declared as vhd', 'vhdx', 'vhd', errors.FormatMismatch,
        "The image is declared as 'vhd' but its content is 'vhdx'."),
    Bad('qcow2 declared as iso', 'qcow2', 'iso', errors.FormatMismatch,
        "The image is declared as 'iso' but its content is 'qcow2'."),
    Bad('gzip where nothing is unpacked', 'qcow2.gz', 'qcow2', errors.FormatMismatch,
        "The image is declared as 'qcow2' but its content is 'gzip'."),
    Bad('qcow2 with a backing file', 'qcow2-backing-file', 'qcow2', UNSAFE,
        'The image fails the safety check backing_file: …'),
    Bad('qcow2 with an external data file', 'qcow2-data-file', 'qcow2', UNSAFE,
        'The image fails the safety check data_file: …'),
    Bad('qcow2 with an unknown feature', 'qcow2-unknown-feature', 'qcow2', UNSAFE,
        'The image fails the safety check unknown_features: …'),
    Bad('qcow2 with extended L2 entries', 'qcow2-extended-l2', 'qcow2', UNSAFE,
        'The image fails the safety check unknown_features: …'),
    Bad('qcow2 that ends in its header', 'qcow2-stump', 'qcow2', UNSAFE,
        'The image fails the safety check truncated: …'),
    Bad("VMDK with an extent that is a host's file", 'vmdk-foreign-extent', 'vmdk', UNSAFE,
        'The image fails the safety check extents: …'),
    Bad('VMDK descriptor without data', 'vmdk-flat', 'vmdk', UNSAFE,
        'The image fails the safety check create_type: …'),
    Bad('VMDK with a parent', 'vmdk-parent', 'vmdk', UNSAFE, 'The image fails the safety check parent: …'),
    Bad('VMDK whose footer differs', 'vmdk-footer-differs', 'vmdk', UNSAFE,
        'The image fails the safety check footer: …'),
    Bad('VHD with a parent', 'vhd-differencing', 'vhd', UNSAFE, 'The image fails the safety check parent: …'),
    Bad('VHD that names a parent', 'vhd-parent-name', 'vhd', UNSAFE,
        'The image fails the safety check parent: …'),
    Bad('VHDX with a parent', 'vhdx-parent', 'vhdx', UNSAFE, 'The image fails the safety check parent: …'),
    Bad('VHDX with a log to replay', 'vhdx-log', 'vhdx', UNSAFE, 'The image fails the safety check log: …'),
    Bad('VDI with a parent', 'vdi-differencing', 'vdi', UNSAFE, 'The image fails the safety check parent: …'),
    Bad('VDI that names a parent', 'vdi-parent-uuid', 'vdi', UNSAFE,
        'The image fails the safety check parent: …'),
    Bad('partition table that hides a partition', 'gpt-extra-partition', 'raw', UNSAFE,
        'The image fails the safety check mbr: …'),
    Bad('qcow2 and VDI at once', 'qcow2-vdi', 'qcow2', errors.FormatAmbiguous,
        'The content of the image is of several formats at once: qcow2, vdi.'),
    Bad('qcow2 and ISO at once', 'qcow2-iso', 'iso', errors.FormatAmbiguous,
        'The content of the image is of several formats at once: iso, qcow2.'),
    Bad('disk larger than max_virtual_size', 'qcow2-huge', 'qcow2', errors.VirtualSizeExceeded,
        'The virtual disk has 4611686018427387904 bytes, 104857600 are allowed.',
        options={'image_format.max_virtual_size': 100 * MIB}),
    Bad('packed disk larger than max_virtual_size', 'raw.xz', 'raw', errors.VirtualSizeExceeded,
        'The virtual disk has 6291456 bytes, 5242880 are allowed.', step='decompress',
        options={'image_format.max_virtual_size': 5 * MIB, **UNPACK}),
    Bad('bomb: gzip, by its ratio', 'bomb.gz', 'raw', errors.DecompressionBomb,
        'The compressed image unpacks to more than the allowed 250 times its size.', step='decompress',
        options=UNPACK),
    Bad('bomb: xz, by its ratio', 'bomb.xz', 'raw', errors.DecompressionBomb,
        'The compressed image unpacks to more than the allowed 250 times its size.', step='decompress',
        options=UNPACK),
    Bad('bomb: bzip2, by its size', 'bomb.bz2', 'raw', errors.DecompressionBomb,
        'The compressed image unpacks to more than the allowed 20971520 bytes.', step='decompress',
        options={'image_size_cap': 20 * MIB, **UNPACK}),
    Bad('bomb: zip, by its size', 'bomb.zip', 'raw', errors.DecompressionBomb,
        'The compressed image unpacks to more than the allowed 20971520 bytes.', step='decompress',
        options={'image_size_cap': 20 * MIB, **UNPACK}),
    Bad('truncated gzip', 'truncated.gz', 'raw', errors.DecompressionFailed,
        'The compressed image could not be unpacked: it ends in the middle.', step='decompress',
        options=UNPACK),
    Bad('damaged gzip', 'corrupt.gz', 'raw', errors.DecompressionFailed,
        'The compressed image could not be unpacked: it is damaged or not what it claims to be.',
        step='decompress', options=UNPACK),
    Bad('zip of two files', 'two.zip', 'raw', errors.DecompressionFailed,
        'The compressed image could not be unpacked: a zip file must hold exactly one member.',
        step='decompress', options=UNPACK),
    Bad('gzip with another behind it', 'two.gz', 'raw', errors.DecompressionFailed,
        'The compressed image could not be unpacked: it holds more than one member, or other data behind it.',
        step='decompress', options=UNPACK),
    Bad('packed qcow2 declared as raw', 'qcow2.gz', 'raw', errors.FormatMismatch,
        "The image is declared as 'raw' but its content is 'qcow2'.", step='decompress', options=UNPACK),
    Bad('conversion without room', 'qcow2', 'qcow2', errors.ConversionNoSpace,
        'The staging area has no room for the converted image.', step='convert:raw',
        options={'import_flow.target_formats': 'cheap:raw', 'staging.capacity': 2 * MIB}),
)
# fmt: on


class BadImageTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """Each bad image by both methods, one after the other into the same image; then a good one."""

    scenarios = [(bad.case, {'bad': bad}) for bad in BAD]

    def test_refused_and_nothing_left(self):
        bad = self.bad
        images.needs(self, 'iso')
        pipe = self.useFixture(PipelineFixture(self, overrides=bad.options))
        data = images.content(bad.kind)
        image_id = pipe.image(bad.disk_format)
        uri = pipe.serve(image_id, data)
        fetched = pipe.start(image_id, uri=uri, stores=['fast', 'cheap'])
        self.check(pipe.fail(fetched, bad.code, step=bad.step, again=None))
        pipe.stage(image_id, data)
        staged = pipe.start(image_id, stores=['fast', 'cheap'])
        self.check(pipe.fail(staged, bad.code, step=bad.step, again=self.good()))

    def good(self):
        """What the image is made of in the end; small where the options leave no room."""
        return DATA if self.bad.disk_format == 'raw' else images.content(self.bad.disk_format)

    def check(self, found):
        expect(self, self.bad.sentence, found['error']['message'])
        steps = {step['name']: (step['state'], step['error_code']) for step in found['steps']}
        self.assertEqual(('reverted', self.bad.code), steps.pop(self.bad.step))
        self.assertEqual({('reverted', None), ('skipped', None)}, set(steps.values()))


class OtherDatabasesTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """A selection on every database: refused in different steps at the same time."""

    scenarios = [(kind, {'database': kind}) for kind in KINDS]

    def test_several_bad_images_at_once(self):
        chosen = [
            bad
            for bad in BAD
            if bad.case
            in (
                'qcow2 declared as raw',
                'bomb: gzip, by its ratio',
                'zip of two files',
                'VHD with a parent',
            )
        ]
        self.assertEqual(4, len(chosen))
        pipe = self.useFixture(PipelineFixture(self, kind=self.database, overrides=UNPACK))
        started = []
        for bad in chosen:
            image_id = pipe.image(bad.disk_format)
            started.append(pipe.start(image_id, uri=pipe.serve(image_id, images.content(bad.kind))))
        for import_id in started:
            pipe.wait(import_id)
        for bad, import_id in zip(chosen, started, strict=True):
            pipe.fail(import_id, bad.code, step=bad.step, again=None)


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A request that is refused at once. `ask` names a method of RefusedRequestTestCase."""

    case: str
    ask: str
    error: type[errors.ImagepipeError]
    sentence: str
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def code(self) -> str:
        return self.error.code


# fmt: off
REFUSED = (
    Refusal('malformed JSON', 'malformed', errors.InvalidBody,
        'The request body is not valid: it is not JSON (…)'),
    Refusal('no body', 'no_body', errors.InvalidBody, 'The request body is not valid: there is none'),
    Refusal('a list instead of an object', 'a_list', errors.InvalidBody,
        'The request body is not valid: an object is expected'),
    Refusal('method without a name', 'nameless', errors.InvalidBody,
        "The request body is not valid: method: 'name' is a required property"),
    Refusal('stores that are no list', 'stores_text', errors.InvalidBody,
        "The request body is not valid: stores: … is not of type 'array', 'null'"),
    Refusal('all_stores that is no boolean', 'all_stores_text', errors.InvalidBody,
        "The request body is not valid: all_stores: 'true' is not of type 'boolean'"),
    Refusal('uri that is no string', 'uri_number', errors.InvalidBody,
        "The request body is not valid: method.uri: 7 is not of type 'string', 'null'"),
    Refusal('expected digest that is none', 'short_digest', errors.InvalidBody,
        "The request body is not valid: expected.sha256: 'abc' does not match '^[0-9a-fA-F]{64}$'"),
    Refusal('expected digest of an unknown algorithm', 'crc32', errors.InvalidBody,
        "The request body is not valid: expected: Additional properties are not allowed ('crc32' was …)"),
    Refusal('unknown method', 'teleport', errors.ImportMethodDisabled,
        "Import method 'teleport' is unknown or not enabled."),
    Refusal('method not enabled', 'fetch', errors.ImportMethodDisabled,
        "Import method 'web-download' is unknown or not enabled.",
        {'enabled_import_methods': '[glance-direct]'}),
    Refusal('staging where glance-direct is not enabled', 'stage', errors.StagingDisabled,
        'Staging is not enabled at this site.', {'enabled_import_methods': '[web-download]'}),
    Refusal('unknown image', 'unknown_image', errors.ImageNotFound, 'Image … could not be found.'),
    Refusal('unknown store', 'moon', errors.UnknownImportStore, "Store 'moon' is not known."),
    Refusal('store that takes no data', 'read_only', errors.UnknownImportStore, "Store 'web' is not known.",
        {'enabled_backends': 'fast:file,cheap:file,web:http'}),
    Refusal('stores and all_stores', 'both', errors.StoresConflict,
        "'all_stores' and 'stores' cannot be used together."),
    Refusal('stores and X-Image-Meta-Store', 'with_header', errors.StoresConflict,
        "'stores' and X-Image-Meta-Store cannot be used together."),
    Refusal('glance-direct without staged data', 'direct', errors.ImportWrongStatus,
        "Image status is 'queued'; import method glance-direct needs 'uploading'."),
    Refusal('web-download into an image with staged data', 'fetch_into_staged', errors.ImportWrongStatus,
        "Image status is 'uploading'; import method web-download needs 'queued'."),
    Refusal('import into an active image', 'into_active', errors.ImportWrongStatus,
        "Image status is 'active'; import method web-download needs 'queued'."),
    Refusal('import twice', 'twice', errors.ImportInProgress, 'Image … is being imported by import ….'),
    Refusal('formats not set', 'formatless', errors.FormatsNotSetForImport,
        'Properties disk_format, container_format must be set prior to importing data.'),
    Refusal('web-download without a URL', 'no_uri', errors.SourceInvalid,
        "The source URL is not valid: the method web-download needs a 'uri'"),
    Refusal('password in the URL', 'userinfo', errors.SourceInvalid,
        'The source URL is not valid: a user name or password in it is not allowed.'),
    Refusal('URL that is none', 'no_scheme', errors.SourceInvalid,
        'The source URL is not valid: it has no scheme.'),
    Refusal('file URL', 'file_url', errors.SourceRefused,
        "The source URL for host '' does not pass filtering."),
    Refusal('private address', 'private', errors.SourceRefused,
        "The source URL for host '10.0.0.1' does not pass filtering."),
    Refusal('digest required, none given', 'fetch', errors.ExpectedRequired,
        "An import by web-download needs 'expected' with one of: md5, sha512, sha256.",
        {'import_flow.expected_required': 'web-download'}),
    Refusal('digest required, a size given', 'fetch_sized', errors.ExpectedRequired,
        "An import by web-download needs 'expected' with one of: md5, sha512, sha256.",
        {'import_flow.expected_required': 'web-download'}),
    Refusal('storage quota does not hold it', 'direct_staged', errors.QuotaExceeded,
        'The image does not fit into the storage quota of the project: '
        '2000 bytes more than the 1500 allowed bytes minus 0 used.', {'user_storage_quota': '1500B'}),
    Refusal('storage quota is used up', 'fetch_without_quota', errors.QuotaExceeded,
        'The image does not fit into the storage quota of the project: '
        '1 bytes more than the 1000 allowed bytes minus 1000 used.', {'user_storage_quota': '1000B'}),
    Refusal('staging: over image_size_cap', 'stage', errors.SizeCapExceeded,
        'The data is larger than the 999 bytes that an image may have.', {'image_size_cap': 999}),
    Refusal('staging chunks: over image_size_cap', 'stage_chunked', errors.SizeCapExceeded,
        'The data is larger than the 999 bytes that an image may have.', {'image_size_cap': 999}),
    Refusal('upload: over image_size_cap', 'upload', errors.SizeCapExceeded,
        'The data is larger than the 999 bytes that an image may have.', {'image_size_cap': 999}),
    Refusal('upload of chunks: over image_size_cap', 'upload_chunked', errors.SizeCapExceeded,
        'The data is larger than the 999 bytes that an image may have.', {'image_size_cap': 999}),
    Refusal('staging: no room', 'stage', errors.StagingFull, 'The staging area has no room for this image.',
        {'staging.capacity': 999}),
    Refusal('staging chunks: no room', 'stage_chunked', errors.StagingFull,
        'The staging area has no room for this image.', {'staging.capacity': 999}),
    Refusal('upload: client gone', 'upload_truncated', errors.DataTruncated,
        'The data ended early, after 1000 bytes.'),
    Refusal('staging: client gone', 'stage_truncated', errors.DataTruncated,
        'The data ended early, after 1000 bytes.'),
    Refusal('upload: longer than announced', 'upload_long', errors.SizeMismatch,
        'The data has 1000 bytes, 999 were announced.'),
    Refusal('upload of chunks: longer than announced', 'upload_long_chunked', errors.SizeMismatch,
        'The data has more than 999 bytes, 999 were announced.'),
    Refusal('staging chunks: longer than announced', 'stage_long_chunked', errors.SizeMismatch,
        'The data has more than 999 bytes, 999 were announced.'),
    Refusal('staging chunks: shorter than announced', 'stage_short_chunked', errors.SizeMismatch,
        'The data has 1000 bytes, 1001 were announced.'),
    Refusal('upload: lying disk_format', 'upload_lie', errors.FormatMismatch,
        "The image is declared as 'vmdk' but its content is 'raw'."),
    Refusal('upload: unknown store', 'upload_moon', errors.UnknownStore, "Store 'moon' is not known."),
    Refusal('upload: store that takes no data', 'upload_read_only', errors.StoreReadOnly,
        "Store 'web' takes no data.", {'enabled_backends': 'fast:file,cheap:file,web:http'}),
)
# fmt: on

_URI = 'http://192.0.2.1/disk'


class RefusedRequestTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """Each request that is refused at once: the image is as it was, and good data comes in after it."""

    scenarios = [(refusal.case, {'refusal': refusal}) for refusal in REFUSED]

    def setUp(self):
        super().setUp()
        # Nothing runs before the refusal: an accepted import stays as it is.
        networks = {'import_filtering_opts.allowed_networks': '127.0.0.0/8,192.0.2.0/24'}
        self.pipe = self.useFixture(
            PipelineFixture(self, works=False, overrides={**networks, **self.refusal.options})
        )
        self.image_id = self.pipe.image('raw')

    def test_refused(self):
        response = getattr(self, f'ask_{self.refusal.ask}')()
        self.check(response)
        self.pipe.work()
        self.finish()
        self.pipe.check_records()

    def check(self, response: webob.Response) -> None:
        refusal = self.refusal
        self.assertEqual(refusal.error.status, response.status_int, response.text)
        self.assertEqual(['error'], list(response.json))
        error = response.json['error']
        self.assertEqual(
            (refusal.error.status, refusal.code, response.headers['x-openstack-request-id']),
            (error['code'], error['error_code'], error['request_id']),
        )
        expect(self, refusal.sentence, error['message'])

    def finish(self) -> None:
        """Nothing changed: the image takes what it was meant to take."""
        image = self.pipe.show(self.image_id)
        if image['status'] == 'queued' and image['disk_format'] == 'raw':
            self.pipe.check_records()
            small = b'small'
            response = self.pipe.put(self.image_id, small)
            self.assertIn(response.status_int, (204, 413), response.text)
            self.assertEqual(response.status_int == 413, self.refusal.ask == 'fetch_without_quota')
            if response.status_int == 204:
                self.assertEqual(small, self.pipe.download(self.image_id))
        elif image['status'] == 'importing':
            (found,) = self.pipe.call('GET', f'/v2/images/{self.image_id}/imports').json['imports']
            self.pipe.succeed(found['id'])
            self.assertEqual(DATA, self.pipe.download(self.image_id))

    # Requests.

    def post(self, raw: bytes) -> webob.Response:
        return self.pipe.call('POST', f'/v2/images/{self.image_id}/import', raw=raw)

    def body(self, **body: object) -> webob.Response:
        return self.post(json.dumps(body).encode())

    def put(self, data: bytes = DATA, **how: object) -> webob.Response:
        return self.pipe.put(self.image_id, data, **how)

    def staged(self, **how: object) -> webob.Response:
        self.pipe.stage(self.image_id, DATA)
        return self.pipe.ask(self.image_id, **how)

    def ask_malformed(self):
        return self.post(b'{"method": {"name": "glance-direct"')

    def ask_no_body(self):
        return self.pipe.call('POST', f'/v2/images/{self.image_id}/import')

    def ask_a_list(self):
        return self.post(b'["glance-direct"]')

    def ask_nameless(self):
        return self.body(method={})

    def ask_stores_text(self):
        return self.body(method={'name': 'glance-direct'}, stores='fast')

    def ask_all_stores_text(self):
        return self.body(method={'name': 'glance-direct'}, all_stores='true')

    def ask_uri_number(self):
        return self.body(method={'name': 'web-download', 'uri': 7})

    def ask_short_digest(self):
        return self.staged(expected={'sha256': 'abc'})

    def ask_crc32(self):
        return self.staged(expected={'crc32': 'abcdef01'})

    def ask_teleport(self):
        return self.staged(method='teleport')

    def ask_fetch(self):
        return self.pipe.ask(self.image_id, uri=_URI)

    def ask_fetch_sized(self):
        return self.pipe.ask(self.image_id, uri=_URI, expected={'size': 1})

    def ask_stage(self):
        return self.put(to='stage')

    def ask_stage_chunked(self):
        return self.put(to='stage', chunked=True)

    def ask_upload(self):
        return self.put()

    def ask_upload_chunked(self):
        return self.put(chunked=True)

    def ask_unknown_image(self):
        return self.pipe.ask(new_id())

    def ask_moon(self):
        return self.staged(stores=['fast', 'moon'])

    def ask_read_only(self):
        return self.staged(stores=['web'])

    def ask_both(self):
        return self.staged(stores=['fast'], all_stores=True)

    def ask_with_header(self):
        return self.staged(stores=['fast'], headers={'X-Image-Meta-Store': 'cheap'})

    def ask_direct(self):
        return self.pipe.ask(self.image_id)

    def ask_direct_staged(self):
        return self.staged(stores=['fast', 'cheap'])

    def ask_fetch_into_staged(self):
        return self.staged(uri=_URI)

    def ask_into_active(self):
        self.assertEqual(204, self.put().status_int)
        return self.ask_fetch()

    def ask_fetch_without_quota(self):
        self.assertEqual(204, self.pipe.put(self.pipe.image('raw'), DATA).status_int)
        return self.ask_fetch()

    def ask_twice(self):
        self.assertEqual(202, self.staged().status_int)
        return self.pipe.ask(self.image_id)

    def ask_formatless(self):
        self.image_id = self.pipe.image(None)
        return self.staged()

    def ask_no_uri(self):
        return self.pipe.ask(self.image_id, method='web-download')

    def ask_userinfo(self):
        return self.pipe.ask(self.image_id, uri='http://me:secret@192.0.2.1/disk')

    def ask_no_scheme(self):
        return self.pipe.ask(self.image_id, uri='disk.img')

    def ask_file_url(self):
        return self.pipe.ask(self.image_id, uri='file:///etc/passwd')

    def ask_private(self):
        return self.pipe.ask(self.image_id, uri='http://10.0.0.1/disk')

    def ask_upload_truncated(self):
        return self.put(length=len(DATA) + 1)

    def ask_stage_truncated(self):
        return self.put(to='stage', length=len(DATA) + 1)

    def ask_upload_long(self):
        return self.put(announced=len(DATA) - 1)

    def ask_upload_long_chunked(self):
        return self.put(chunked=True, announced=len(DATA) - 1)

    def ask_stage_long_chunked(self):
        return self.put(to='stage', chunked=True, announced=len(DATA) - 1)

    def ask_stage_short_chunked(self):
        return self.put(to='stage', chunked=True, announced=len(DATA) + 1)

    def ask_upload_lie(self):
        return self.pipe.put(self.pipe.image('vmdk'), DATA)

    def ask_upload_moon(self):
        return self.put(store='moon')

    def ask_upload_read_only(self):
        return self.put(store='web')


class TableTestCase(testtools.TestCase):
    """The tables themselves."""

    def test_every_request_of_the_table_is_made_and_no_other(self):
        asked = {f'ask_{refusal.ask}' for refusal in REFUSED}
        known = {name for name in dir(RefusedRequestTestCase) if name.startswith('ask_')}
        self.assertEqual(known, asked)

    def test_cases_are_told_apart(self):
        cases = [each.case for each in (*BAD, *REFUSED)]
        self.assertEqual(sorted(set(cases)), sorted(cases))


def table() -> list[tuple[str, str, str, str]]:
    """Case, HTTP status (202 where the import is accepted and fails), error code, sentence."""
    return [(each.case, str(each.error.status), each.code, each.sentence) for each in REFUSED] + [
        (each.case, '202', each.code, each.sentence) for each in BAD
    ]
