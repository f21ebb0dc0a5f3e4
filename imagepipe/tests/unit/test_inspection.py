"""What inspection recognises, and what it finds wrong: every kind of image, good and hostile."""

import gc
import json
import tracemalloc

import testtools

from imagepipe import errors
from imagepipe.formats import capture, examiners, inspection, library
from imagepipe.formats.inspection import Rules, Verdict, inspect_file, judge
from imagepipe.tests.fixtures import disks, images

MIB = 1024 * 1024


def verdict_of(*chunks: bytes) -> Verdict:
    inspector = inspection.Inspector()
    for chunk in chunks:
        inspector.write(chunk)
    inspector.close()
    return inspector.verdict


def judged(verdict: Verdict, disk_format: str) -> int | None:
    return judge(verdict, disk_format=disk_format, container_format='bare', rules=Rules())


class GoodImages(testtools.TestCase):
    def setUp(self):
        super().setUp()
        images.needs(self, *images.GOOD)

    def test_each_format_is_recognised_and_allowed(self):
        for kind, disk_format in images.GOOD.items():
            verdict = inspect_file(images.built(kind))
            self.assertEqual((), verdict.findings, kind)
            size = judged(verdict, disk_format)
            expected = images.built(kind).stat().st_size if disk_format == 'iso' else disks.DISK_SIZE
            self.assertEqual(expected, size, kind)

    def test_a_partitioned_disk_is_gpt_and_counts_as_raw(self):
        for kind in ('raw', 'raw-mbr'):
            self.assertEqual('gpt', inspect_file(images.built(kind)).format)

    def test_a_create_type_is_told(self):
        self.assertEqual('monolithicsparse', inspect_file(images.built('vmdk')).subformat)
        self.assertEqual('streamoptimized', inspect_file(images.built('vmdk-stream')).subformat)

    def test_compressed_data_is_raw_and_says_so(self):
        for kind, compression in images.COMPRESSED.items():
            verdict = inspect_file(images.built(kind))
            self.assertEqual(('raw', compression), (verdict.format, verdict.compression), kind)
        self.assertIsNone(inspect_file(images.built('qcow2')).compression)

    def test_luks_1_passes(self):
        verdict = inspect_file(images.built('luks1'))
        self.assertEqual(('luks', ()), (verdict.format, verdict.findings))
        self.assertEqual(2 * MIB - 8 * 512, verdict.virtual_size)


class HostileImages(testtools.TestCase):
    def setUp(self):
        super().setUp()
        images.needs(self, *images.UNSAFE)

    def test_each_is_refused_for_what_is_wrong_with_it(self):
        for kind, (disk_format, check) in images.UNSAFE.items():
            verdict = inspect_file(images.built(kind))
            self.assertIn(check, [finding.check for finding in verdict.findings], kind)
            self.assertRaises(errors.FormatUnsafe, judged, verdict, disk_format)

    def test_each_passes_where_it_was_not_changed(self):
        """The table above would also hold for a check that refuses everything."""
        for kind in ('qcow2', 'vmdk', 'vmdk-footer', 'vhd', 'vhdx', 'vdi', 'raw', 'raw-mbr', 'luks1'):
            self.assertEqual((), inspect_file(images.built(kind)).findings, kind)

    def test_extended_l2_is_named(self):
        verdict = inspect_file(images.built('qcow2-extended-l2'))
        self.assertIn('extended L2', verdict.findings[0].reason)

    def test_no_finding_tells_what_the_image_says(self):
        for kind in images.UNSAFE:
            for finding in inspect_file(images.built(kind)).findings:
                self.assertNotIn('passwd', finding.reason)
                self.assertThat(finding.reason, testtools.matchers.EndsWith('.'))

    def test_every_finding_is_ours_where_the_library_is_silent(self):
        """oslo.utils looks neither for parents in VHD, VHDX, VDI nor at a VMDK's parent hint."""
        for kind in ('vhd-differencing', 'vhdx-parent', 'vdi-differencing', 'vmdk-parent'):
            silent = [opinion for opinion in self.opinions_on(kind) if opinion.matches]
            self.assertEqual([], [list(opinion.findings()) for opinion in silent if list(opinion.findings())])

    def opinions_on(self, kind: str) -> list[library.Opinion]:
        opinions = library.opinions()
        data = images.content(kind)
        for start in range(0, len(data), inspection.BLOCK):
            for opinion in opinions:
                opinion.eat(data[start : start + inspection.BLOCK])
        for opinion in opinions:
            opinion.finish()
        return opinions

    def test_ours_do_not_rely_on_the_library(self):
        for kind, (_disk_format, check) in images.UNSAFE.items():
            if check != 'mbr':
                checks = [finding.check for found in self.examined(kind) for finding in found.findings]
                self.assertIn(check, checks, kind)

    def examined(self, kind: str) -> list[examiners.Examination]:
        inspector = inspection.Inspector()
        inspector.write(images.content(kind))
        inspector._block(bytes(inspector._pending))
        found = [each.examine(inspector._seen) for each in examiners.ALL]
        return [each for each in found if each is not None]

    def test_qed_is_refused_whatever_it_is_declared_as(self):
        verdict = inspect_file(images.built('qed'))
        self.assertEqual('qed', verdict.format)
        for disk_format in ('raw', 'qcow2', 'ami'):
            self.assertRaises(errors.FormatMismatch, judged, verdict, disk_format)
        self.assertRaises(errors.FormatUnsafe, judged, verdict, 'qed')

    def test_two_formats_at_once_are_ambiguous(self):
        for kind in ('qcow2-vdi', 'qcow2-iso', 'qcow2-iso-gpt'):
            verdict = inspect_file(images.built(kind))
            self.assertIsNone(verdict.format, kind)
            for disk_format in ('raw', 'qcow2', 'vdi', 'iso', 'ami'):
                self.assertRaises(errors.FormatAmbiguous, judged, verdict, disk_format)


class OddStreams(testtools.TestCase):
    def test_no_data(self):
        verdict = verdict_of()
        self.assertEqual(('raw', 0, None), (verdict.format, verdict.size, verdict.virtual_size))

    def test_one_byte(self):
        verdict = verdict_of(b'x')
        self.assertEqual(('raw', 1, 1), (verdict.format, verdict.size, verdict.virtual_size))

    def test_a_magic_alone_is_still_that_format(self):
        """The library needs 512 bytes; a reader that guesses needs four."""
        magics = {
            b'QFI\xfb': 'qcow2', b'KDMV': 'vmdk', b'conectix': 'vhd', b'vhdxfile': 'vhdx', b'QED\0': 'qed',
            b'LUKS\xba\xbe': 'luks',
        }  # fmt: skip
        for magic, format_ in magics.items():
            verdict = verdict_of(magic)
            self.assertEqual(format_, verdict.format)
            self.assertNotEqual((), verdict.findings)

    def test_a_text_with_other_line_ends_is_still_a_descriptor(self):
        for text in (b'version=1\n', b'#\xff\n\r\n  \nversion = 2\r\n', b'# x\nVERSION=3'):
            self.assertEqual('vmdk', verdict_of(text).format, text)
        for text in (b'# version=1\n', b'conversion=1\n', b'hello\nversion=1\n'):
            self.assertEqual('raw', verdict_of(text).format, text)

    def test_there_is_no_verdict_before_the_end_nor_after_an_abort(self):
        inspector = inspection.Inspector()
        inspector.write(b'QFI\xfb')
        self.assertRaises(RuntimeError, lambda: inspector.verdict)
        inspector.abort()
        self.assertRaises(RuntimeError, lambda: inspector.verdict)

    def test_memory_is_bounded(self):
        """64 MiB of data, and headers that ask for windows everywhere."""
        images.needs(self, 'vhdx')
        for kind in ('vhdx', 'vmdk-footer', 'vhd', 'luks1', 'kernel'):
            head, rest = images.content(kind), bytes(MIB)
            self.assertLess(self.peak(head, rest), 8 * MIB, kind)

    def peak(self, head: bytes, rest: bytes) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            verdict_of(head, *[rest] * 64)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_a_window_behind_the_stream_is_lost_not_misread(self):
        seen = capture.Capture()
        seen.feed(b'a' * capture.HEAD)
        seen.feed(b'b' * 100)
        seen.want(capture.HEAD + 50, 100)
        seen.feed(b'c' * 200)
        self.assertIsNone(seen.at(capture.HEAD + 50, 100))
        seen.want(capture.HEAD + 300, 4)
        seen.feed(b'dddd')
        self.assertEqual(b'dddd', seen.at(capture.HEAD + 300, 4))

    def test_windows_are_few_and_small(self):
        seen = capture.Capture()
        seen.want(capture.HEAD, capture.WINDOW_MAX + 1)
        self.assertEqual({}, seen._windows)
        for number in range(1000):
            seen.want(capture.HEAD + number * MIB, capture.WINDOW_MAX)
        self.assertEqual(capture.WINDOWS_MAX, len(seen._windows))

    def test_a_verdict_survives_its_record(self):
        images.needs(self, 'vmdk')
        for kind in ('vmdk-flat', 'iso', 'vmdk', 'raw.gz'):
            verdict = inspect_file(images.built(kind))
            plain = json.loads(json.dumps(verdict.as_json()))
            self.assertEqual(verdict, Verdict.from_json({**plain, 'added_later': 1}))


class FaultyInspector:
    """Stands for a defect of the library: raises wherever it is asked."""

    def __init__(self, error: Exception, *, matches: bool) -> None:
        self._error = error
        self.format_match = matches

    def eat_chunk(self, chunk: bytes) -> None:
        raise self._error

    def finish(self) -> None:
        """Nothing to finish."""

    @property
    def complete(self) -> bool:
        raise self._error

    @property
    def virtual_size(self) -> int:
        raise self._error


class LibraryDefects(testtools.TestCase):
    """An exception inside an oslo.utils inspector ends neither the upload nor the inspection."""

    def test_a_matching_inspector_that_fails_is_a_finding(self):
        for error in (ValueError('x'), KeyError('x'), IndexError(), AttributeError(), RuntimeError(),
                      MemoryError(), ZeroDivisionError(), TypeError()):  # fmt: skip
            opinion = library.Opinion('vhdx', FaultyInspector(error, matches=True))
            opinion.eat(b'x')
            opinion.eat(b'y')
            self.assertTrue(opinion.settled)
            self.assertIsNone(opinion.virtual_size)
            self.assertEqual(['malformed'], [finding.check for finding in opinion.findings()])

    def test_another_that_fails_is_no_match(self):
        opinion = library.Opinion('vhdx', FaultyInspector(ValueError(), matches=False))
        opinion.eat(b'x')
        self.assertFalse(opinion.matches)
