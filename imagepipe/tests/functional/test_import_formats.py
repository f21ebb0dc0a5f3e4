"""Real images through the whole pipeline: every input format, both methods, converted and not.

What is downloaded is what is stored is what the digests say, and qemu-img finds the disk that
went in. Images are those of tests/fixtures/images.py: partitioned disks with file systems, and
a bootable ISO.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping

import testscenarios
import testtools

from imagepipe.tests.fixtures import commands, images
from imagepipe.tests.fixtures.databases import KINDS
from imagepipe.tests.fixtures.pipeline import PipelineFixture

#: Disk format to qemu-img's name of it.
QEMU = {'raw': 'raw', 'qcow2': 'qcow2', 'vmdk': 'vmdk', 'vhd': 'vpc', 'vhdx': 'vhdx', 'vdi': 'vdi'}
#: Where one image goes at the same time: as it comes and converted, to one store and to two.
LAYOUTS = (['fast'], ['fast', 'cheap'], ['other'], ['other', 'fast'])
DETECTED = {'raw': 'gpt', 'raw-mbr': 'gpt', 'vmdk-stream': 'vmdk', 'vmdk-footer': 'vmdk'}
METHODS = ('glance-direct', 'web-download')


def converted(disk_format: str) -> str:
    """What the store 'other' holds: ISOs are not converted."""
    return {'raw': 'qcow2', 'iso': 'iso'}.get(disk_format, 'raw')


def same_format(formats: Mapping[str, str]) -> set[str]:
    """The stores that the image shows: those that hold it in the format of the first one."""
    first = next(iter(formats.values()))
    return {store for store, disk_format in formats.items() if disk_format == first}


def digests(data: bytes) -> dict[str, str]:
    """What the service computes over everything."""
    return {name: hashlib.new(name, data).hexdigest() for name in ('md5', 'sha256', 'sha512')}


class Case(testtools.TestCase):
    """Imports, and what must be true of a successful one."""

    def pipeline(self, *, kind='sqlite', stores=('fast', 'cheap', 'other'), **overrides):
        images.needs(self, 'qcow2', 'iso')
        self.pipe = self.useFixture(PipelineFixture(self, kind=kind, stores=stores, overrides=overrides))
        return self.pipe

    def begin(self, method: str, disk_format: str, data: bytes, **how: object) -> str:
        """The id of an import of this data into a new image."""
        image_id = self.pipe.image(disk_format)
        if method == 'web-download':
            return self.pipe.start(image_id, uri=self.pipe.serve(image_id, data), **how)
        self.pipe.stage(image_id, data)
        return self.pipe.start(image_id, **how)

    def check(self, found: Mapping, disk_format: str, data: bytes, formats: Mapping[str, str]) -> None:
        """An import of `data` has succeeded. formats: what each store holds."""
        self.assertEqual((len(data), digests(data)), (found['source']['size'], found['source']['digests']))
        self.assertEqual({'done'}, {step['state'] for step in found['steps']})
        self.assertEqual(
            [(store, held, 'ok', 'active') for store, held in formats.items()],
            [
                (each['store'], each['disk_format'], each['status'], each['location_state'])
                for each in found['stores']
            ],
        )
        held = self.check_stores(found)
        for store, stored in held.items():
            self.check_same_disk(data, disk_format, stored, formats[store])
        first = next(iter(formats))
        self.check_image(found['image_id'], formats[first], held[first], same_format(formats))

    def check_stores(self, found: Mapping) -> dict[str, bytes]:
        """The bytes in each store, which are those that the import tells of."""
        held = {}
        for row in self.pipe.locations(found['image_id']):
            held[row.store] = pathlib.Path(row.url.removeprefix('file://')).read_bytes()
        for each in found['stores']:
            stored = held[each['store']]
            self.assertEqual((len(stored), digests(stored)), (each['size'], each['digests']), each['store'])
        return held

    def check_image(self, image_id: str, disk_format: str, stored: bytes, stores: set[str]) -> None:
        """The image shows what is stored, and gives exactly that."""
        image = self.pipe.show(image_id)
        known = digests(stored)
        self.assertEqual(
            ('active', disk_format, 'bare', len(stored), known['md5'], 'sha512', known['sha512'], '', ''),
            tuple(
                image[name]
                for name in (
                    'status',
                    'disk_format',
                    'container_format',
                    'size',
                    'checksum',
                    'os_hash_algo',
                    'os_hash_value',
                    'os_glance_importing_to_stores',
                    'os_glance_failed_import',
                )
            ),
        )
        self.assertEqual(stores, set(image['stores'].split(',')))
        self.assertEqual(self.virtual_size(stored, disk_format), image['virtual_size'])
        self.assertEqual(stored, self.pipe.download(image_id))
        middle, end = len(stored) // 2, len(stored)
        for start, stop in (
            (0, 1),
            (0, 4096),
            (middle - 7, middle + 65_541),
            (end - 1, end),
            (end - 512, end),
        ):
            part = self.pipe.download(image_id, f'bytes={start}-{stop - 1}')
            self.assertEqual(stored[start:stop], part, (start, stop))
        self.assertEqual(stored[middle:], self.pipe.download(image_id, f'bytes={middle}-'))

    def virtual_size(self, data: bytes, disk_format: str) -> int:
        """What qemu-img says; it knows no ISO, whose disk is the file."""
        if disk_format not in QEMU:
            return len(data)
        info = commands.run(
            self, 'qemu-img', 'info', '--output=json', '-f', QEMU[disk_format], self.file('info', data)
        )
        return json.loads(info)['virtual-size']

    def check_same_disk(self, data: bytes, disk_format: str, stored: bytes, stored_format: str) -> None:
        """qemu-img finds the same content; without conversion the bytes are the same."""
        if stored_format == disk_format:
            self.assertEqual(data, stored)
            return
        source, target = self.file('source', data), self.file('target', stored)
        said = commands.run(
            self, 'qemu-img', 'compare', '-f', QEMU[disk_format], '-F', QEMU[stored_format], source, target
        )
        self.assertIn('Images are identical', said)

    def file(self, name: str, data: bytes) -> pathlib.Path:
        path = pathlib.Path(self.pipe.root, name)
        path.write_bytes(data)
        return path


class EveryFormatTestCase(testscenarios.WithScenarios, Case):
    """Each kind of image by each method: four imports at a time, one for each layout."""

    scenarios = testscenarios.multiply_scenarios(
        [(kind, {'kind': kind}) for kind in images.GOOD],
        [(method, {'method': method}) for method in METHODS],
    )

    def test_imported_as_it_is_and_converted_into_one_and_two_stores(self):
        disk_format, data = images.GOOD[self.kind], images.content(self.kind)
        other = converted(disk_format)
        pipe = self.pipeline(**{'import_flow.target_formats': f'other:{"raw" if other == "iso" else other}'})
        formats = {'fast': disk_format, 'cheap': disk_format, 'other': other}
        started = [self.begin(self.method, disk_format, data, stores=stores) for stores in LAYOUTS]
        for import_id, stores in zip(started, LAYOUTS, strict=True):
            found = pipe.succeed(import_id)
            self.assertEqual(DETECTED.get(self.kind, disk_format), found['detected_format'])
            self.check(found, disk_format, data, {store: formats[store] for store in stores})
        pipe.check_records()
        for import_id in started:
            pipe.delete(pipe.import_(import_id)['image_id'])
        self.assertEqual({'fast': [], 'cheap': [], 'other': []}, pipe.objects())
        self.assertEqual((0, 0), pipe.used())


class EveryTargetTestCase(testscenarios.WithScenarios, Case):
    """One import into a store of each format: every format that is written, in one flow."""

    scenarios = [(method, {'method': method}) for method in METHODS]

    def test_every_format_is_written_once_and_holds_the_same_disk(self):
        targets = {f'to-{disk_format}': disk_format for disk_format in QEMU}
        wanted = ','.join(f'{store}:{disk_format}' for store, disk_format in targets.items())
        pipe = self.pipeline(stores=tuple(targets), **{'import_flow.target_formats': wanted})
        data = images.content('vmdk-stream')
        found = pipe.succeed(self.begin(self.method, 'vmdk', data, all_stores=True))
        self.check(found, 'vmdk', data, targets)
        pipe.check_records()


class CompressedTestCase(testscenarios.WithScenarios, Case):
    """Packed images, unpacked on their way where the operator wants it."""

    scenarios = testscenarios.multiply_scenarios(
        [(kind, {'kind': kind}) for kind in images.COMPRESSED],
        [(method, {'method': method}) for method in METHODS],
    )

    def test_unpacked_stored_and_converted(self):
        disk_format, packed = self.kind.split('.')[0], images.content(self.kind)
        plain = images.content(disk_format)
        other = converted(disk_format)
        pipe = self.pipeline(
            **{
                'import_flow.target_formats': f'other:{other}',
                'import_flow.decompress_methods': ','.join(METHODS),
            }
        )
        found = pipe.succeed(
            self.begin(
                self.method,
                disk_format,
                packed,
                stores=['fast', 'other'],
                expected={'sha256': digests(packed)['sha256'], 'size': len(packed)},
            )
        )
        self.assertEqual(
            (len(packed), digests(packed)), (found['source']['size'], found['source']['digests'])
        )
        self.assertEqual(images.COMPRESSED[self.kind], found['detected_format'])
        held = self.check_stores(found)
        self.assertEqual(plain, held['fast'])
        self.check_same_disk(plain, disk_format, held['other'], other)
        self.check_image(found['image_id'], disk_format, plain, {'fast'})
        pipe.check_records()

    def test_what_is_not_packed_passes_as_it_is(self):
        if self.kind != 'raw.gz':
            self.kind = 'qcow2'
        disk_format = self.kind.split('.')[0]
        pipe = self.pipeline(**{'import_flow.decompress_methods': self.method})
        data = images.content(disk_format)
        found = pipe.succeed(self.begin(self.method, disk_format, data))
        self.check(found, disk_format, data, {'fast': disk_format})


class DatabasesTestCase(testscenarios.WithScenarios, Case):
    """A selection on every database: packed, converted, two stores, both methods, at the same time."""

    scenarios = [(kind, {'database': kind}) for kind in KINDS]

    def test_several_imports_at_once(self):
        pipe = self.pipeline(
            kind=self.database,
            **{
                'import_flow.target_formats': 'other:raw',
                'import_flow.decompress_methods': 'web-download',
            },
        )
        qcow2, vhdx = images.content('qcow2'), images.content('vhdx')
        staged = self.begin('glance-direct', 'vhdx', vhdx, stores=['cheap', 'other'])
        fetched = self.begin('web-download', 'qcow2', images.content('qcow2.gz'), all_stores=True)
        self.check(pipe.succeed(staged), 'vhdx', vhdx, {'cheap': 'vhdx', 'other': 'raw'})
        found = pipe.succeed(fetched)
        self.assertEqual(qcow2, self.check_stores(found)['cheap'])
        self.check_image(found['image_id'], 'qcow2', qcow2, {'fast', 'cheap'})
        pipe.check_records()
