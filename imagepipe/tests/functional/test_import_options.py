"""What an operator may tune about imports: reliefs, conversion, unpacking, digests. Each option is
seen to matter: with the default the same import goes the other way."""

import subprocess

import testscenarios
import testtools

from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.pipeline import PipelineFixture

MIB = 1 << 20
METHODS = ('glance-direct', 'web-download')


def begin(pipe: PipelineFixture, method: str, disk_format: str, data: bytes, **how: object) -> str:
    """The id of an import into a new image."""
    image_id = pipe.image(disk_format)
    if method == 'web-download':
        return pipe.start(image_id, uri=pipe.serve(image_id, data), **how)
    pipe.stage(image_id, data)
    return pipe.start(image_id, **how)


class ReliefTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """An image that is refused, and the option by which an operator lets it in."""

    scenarios = [
        (kind, {'kind': kind, 'disk_format': disk_format, 'option': option, 'code': code, 'size': size})
        for kind, disk_format, option, code, size in (
            (
                'qcow2',
                'raw',
                ('image_format.allow_raw_containing', 'qcow2'),
                'imagepipe.format.mismatch',
                True,
            ),
            (
                'vdi',
                'raw',
                ('image_format.allow_raw_containing', 'vhd,vdi'),
                'imagepipe.format.mismatch',
                True,
            ),
            (
                'iso-hybrid',
                'raw',
                ('image_format.allow_raw_containing', 'hybrid-iso'),
                'imagepipe.format.ambiguous',
                True,
            ),
            (
                'gpt-extra-partition',
                'raw',
                ('image_format.gpt_safety_checks_nonfatal', 'mbr'),
                'imagepipe.format.unsafe',
                True,
            ),
            (
                'vhdx',
                'vhd',
                ('image_format.require_image_format_match', 'false'),
                'imagepipe.format.mismatch',
                False,
            ),
        )
    ]

    def test_refused_by_default_and_let_in_by_its_option(self):
        images.needs(self, 'iso')
        data = images.content(self.kind)
        strict = self.useFixture(PipelineFixture(self))
        for method in METHODS:
            strict.fail(begin(strict, method, self.disk_format, data), self.code, again=None)
        name, value = self.option
        loose = self.useFixture(PipelineFixture(self, overrides={name: value}))
        for method in METHODS:
            found = loose.succeed(begin(loose, method, self.disk_format, data))
            image = loose.show(found['image_id'])
            self.assertEqual(
                (self.disk_format, len(data) if self.size else None),
                (image['disk_format'], image['virtual_size']),
            )
            self.assertEqual(data, loose.download(found['image_id']))
        loose.check_records()

    def test_a_relief_for_the_content_is_none_for_what_is_unsafe(self):
        pipe = self.useFixture(PipelineFixture(self, overrides=dict([self.option])))
        import_id = begin(pipe, 'glance-direct', 'qcow2', images.content('qcow2-backing-file'))
        pipe.fail(import_id, 'imagepipe.format.unsafe', again=None)


class VMDKTypesTestCase(testtools.TestCase):
    """vmdk_allowed_types."""

    def test_only_the_listed_types_are_taken(self):
        images.needs(self, 'vmdk')
        pipe = self.useFixture(
            PipelineFixture(self, overrides={'image_format.vmdk_allowed_types': 'streamOptimized'})
        )
        pipe.succeed(begin(pipe, 'web-download', 'vmdk', images.content('vmdk-stream')))
        import_id = begin(pipe, 'web-download', 'vmdk', images.content('vmdk'))
        found = pipe.fail(import_id, 'imagepipe.format.unsafe', again=None)
        self.assertIn('create_type', found['error']['message'])


class WhichConvertTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """Which imports are converted."""

    scenarios = [
        (
            'by method',
            {
                'options': {'import_flow.convert_methods': 'web-download'},
                'wanted': {('glance-direct', 'qcow2'): 'qcow2', ('web-download', 'qcow2'): 'raw'},
            },
        ),
        (
            'by format',
            {
                'options': {'import_flow.convert_formats': 'vdi'},
                'wanted': {('glance-direct', 'qcow2'): 'qcow2', ('glance-direct', 'vdi'): 'raw'},
            },
        ),
        (
            'by store',
            {
                'options': {'import_flow.target_formats': 'cheap:raw'},
                'wanted': {('web-download', 'qcow2'): 'qcow2'},
            },
        ),
    ]

    def test_converted_or_not(self):
        images.needs(self, 'qcow2')
        options = {'import_flow.target_formats': 'fast:raw', **self.options}
        pipe = self.useFixture(PipelineFixture(self, overrides=options))
        for (method, disk_format), stored in self.wanted.items():
            found = pipe.succeed(begin(pipe, method, disk_format, images.content(disk_format)))
            converts = [step['name'] for step in found['steps'] if step['name'].startswith('convert:')]
            self.assertEqual([] if stored == disk_format else [f'convert:{stored}'], converts)
            self.assertEqual(stored, pipe.show(found['image_id'])['disk_format'])
        pipe.check_records()

    def test_what_is_not_bare_is_neither_looked_at_nor_converted(self):
        pipe = self.useFixture(PipelineFixture(self, overrides={'import_flow.target_formats': 'fast:raw'}))
        image_id = pipe.create(disk_format='qcow2', container_format='ovf')['id']
        pipe.stage(image_id, b'some descriptor')
        pipe.succeed(pipe.start(image_id))
        self.assertEqual(b'some descriptor', pipe.download(image_id))
        self.assertEqual('ovf', pipe.show(image_id)['container_format'])


class ConversionTestCase(testtools.TestCase):
    """Conversions that end badly."""

    def fail(self, data: bytes, code: str, **options: object) -> None:
        """Both methods fail in the step that converts."""
        images.needs(self, 'qcow2')
        overrides = {'import_flow.target_formats': 'fast:raw', **options}
        pipe = self.useFixture(PipelineFixture(self, overrides=overrides))
        for method in METHODS:
            import_id = begin(pipe, method, 'qcow2', data, stores=['fast', 'cheap'])
            pipe.fail(import_id, code, step='convert:raw', again=None)

    def test_damaged_where_no_inspector_looks(self):
        data = bytearray(images.content('qcow2'))
        table = int.from_bytes(data[40:48], 'big')
        data[table : table + 8] = (1 << 63 | 512).to_bytes(8, 'big')
        self.fail(bytes(data), 'imagepipe.conversion.failed')

    def test_no_converter_on_the_host(self):
        self.fail(
            images.content('qcow2'),
            'imagepipe.conversion.converter_missing',
            **{'conversion.qemu_img': '/nowhere/qemu-img'},
        )

    def test_a_disk_larger_than_any_file_may_be(self):
        pipe = self.useFixture(PipelineFixture(self, works=False))
        path = pipe.cloud.path('large')
        images.needs(self, 'qcow2')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '2G'], check=True)
        with open(path, 'rb') as file:
            data = file.read()
        self.fail(data, 'imagepipe.conversion.limit', **{'conversion.file_size_limit': 1})


class UnpackTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """decompress_methods and decompress_formats."""

    scenarios = [
        ('not for this method', {'options': {'import_flow.decompress_methods': 'web-download'}}),
        (
            'not for this format',
            {
                'options': {
                    'import_flow.decompress_methods': 'glance-direct',
                    'import_flow.decompress_formats': 'qcow2',
                }
            },
        ),
        ('by default', {'options': {}}),
    ]

    def test_packed_data_stays_packed(self):
        images.needs(self, 'raw')
        pipe = self.useFixture(PipelineFixture(self, overrides=self.options))
        packed = images.content('raw.gz')
        found = pipe.succeed(begin(pipe, 'glance-direct', 'raw', packed))
        self.assertEqual(packed, pipe.download(found['image_id']))
        self.assertEqual('gzip', found['detected_format'])
        self.assertNotIn('decompress', [step['name'] for step in found['steps']])


class DigestsTestCase(testtools.TestCase):
    """hashing_algorithm, digests, expected_required."""

    def test_the_algorithms_that_are_computed(self):
        pipe = self.useFixture(
            PipelineFixture(
                self, overrides={'hashing_algorithm': 'sha384', 'import_flow.digests': 'sha1,blake2s'}
            )
        )
        found = pipe.succeed(begin(pipe, 'web-download', 'raw', b'data'))
        self.assertEqual({'md5', 'sha384', 'sha1', 'blake2s'}, set(found['source']['digests']))
        image = pipe.show(found['image_id'])
        self.assertEqual(
            ('sha384', found['source']['digests']['sha384']), (image['os_hash_algo'], image['os_hash_value'])
        )
        pipe.check_records()

    def test_a_digest_where_one_is_required(self):
        pipe = self.useFixture(
            PipelineFixture(self, overrides={'import_flow.expected_required': 'web-download'})
        )
        pipe.succeed(begin(pipe, 'glance-direct', 'raw', b'data'))
        right = {'md5': '8d777f385d3dfec8815d20f7496026dc'}
        pipe.succeed(begin(pipe, 'web-download', 'raw', b'data', expected=right))


class CapTestCase(testscenarios.WithScenarios, testtools.TestCase):
    """image_size_cap."""

    scenarios = [(method, {'method': method}) for method in METHODS]

    def test_exactly_the_cap_is_allowed(self):
        pipe = self.useFixture(PipelineFixture(self, overrides={'image_size_cap': MIB}))
        pipe.succeed(begin(pipe, self.method, 'raw', bytes(MIB)))


class OneStoreTestCase(testtools.TestCase):
    """The older configuration of a single store."""

    def test_imported_into_the_only_store(self):
        pipe = self.useFixture(
            PipelineFixture(
                self,
                overrides={
                    'enabled_backends': '',
                    'glance_store.default_backend': '',
                    'glance_store.filesystem_store_datadir': '/dev/null/never',
                },
                works=False,
            )
        )
        self.assertFalse(pipe.services.stores.multi)
        image_id = pipe.image('raw')
        pipe.stage(image_id, b'data')
        response = pipe.ask(image_id, all_stores_must_succeed=False)
        self.assertEqual(
            (400, 'imagepipe.request.invalid_body'),
            (response.status_int, response.json['error']['error_code']),
        )
        import_id = pipe.start(image_id)
        self.assertEqual(['file'], [each['store'] for each in pipe.import_(import_id)['stores']])
