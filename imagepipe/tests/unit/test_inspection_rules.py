"""Which verdicts are allowed: the equality rules of the Images API, and each relief an operator can name."""

import dataclasses

import testtools
from oslo_config import cfg

from imagepipe import errors
from imagepipe.conf import conversion, image_format
from imagepipe.formats import qemu
from imagepipe.formats.rules import RAW_MAY_CONTAIN, SELF_DESCRIBING, Rules, judge
from imagepipe.formats.verdict import Finding, Verdict

DISK = 10 * 1024**3
MBR = Finding('mbr', 'No partitions.', 'gpt')


def found(*formats: str, findings: tuple[Finding, ...] = (), **changes: object) -> Verdict:
    """A verdict over 1000 bytes that describe a disk of 10 GiB."""
    chosen = formats[0] if len(formats) == 1 else 'iso' if set(formats) == {'iso', 'gpt'} else None
    verdict = Verdict(
        format=chosen,
        formats=tuple(sorted(formats)),
        compression=None,
        virtual_size=1000 if chosen in ('raw', 'gpt') else DISK,
        findings=findings,
        size=1000,
        subformat='monolithicsparse' if chosen == 'vmdk' else None,
    )
    return dataclasses.replace(verdict, **changes)


def allowed(
    verdict: Verdict, disk_format: str, container_format: str = 'bare', **rules: object
) -> int | None:
    return judge(verdict, disk_format=disk_format, container_format=container_format, rules=Rules(**rules))


class Options(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        for module in (image_format, conversion):
            module.register(self.conf)
        self.conf([], default_config_files=[])

    def test_the_defaults_are_the_strict_rules(self):
        group = self.conf.image_format
        rules = Rules(
            require_match=group.require_image_format_match,
            allow_raw_containing=tuple(group.allow_raw_containing),
            vmdk_allowed_types=tuple(group.vmdk_allowed_types),
            gpt_nonfatal=tuple(group.gpt_safety_checks_nonfatal),
            max_virtual_size=group.max_virtual_size,
        )
        self.assertEqual(Rules(), rules)

    def test_every_relief_can_be_named_and_no_other(self):
        for name in RAW_MAY_CONTAIN:
            self.conf.set_override('allow_raw_containing', [name], 'image_format')
        for option in ('allow_raw_containing', 'gpt_safety_checks_nonfatal'):
            self.assertRaises(ValueError, self.conf.set_override, option, ['everything'], 'image_format')

    def test_sandbox_modes_are_those_of_the_converter(self):
        for mode in qemu.SandboxMode:
            self.conf.set_override('sandbox', str(mode), 'conversion')
        self.assertRaises(ValueError, self.conf.set_override, 'sandbox', 'maybe', 'conversion')


class Equality(testtools.TestCase):
    def refused(self, error: type, *args: object, **kwargs: object) -> None:
        self.assertRaises(error, allowed, *args, **kwargs)

    def test_data_of_no_format_is_called_what_it_is(self):
        for changes, content in (({'size': 0}, 'empty'), ({'compression': 'gzip'}, 'gzip'), ({}, 'raw')):
            verdict = found('raw', **changes)
            error = self.assertRaises(errors.FormatMismatch, allowed, verdict, 'qcow2')
            self.assertEqual(
                f"The image is declared as 'qcow2' but its content is '{content}'.", error.message
            )
            allowed(verdict, 'raw')

    def test_equal_formats_are_allowed(self):
        for format_ in ('qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'luks'):
            self.assertEqual(DISK, allowed(found(format_), format_))

    def test_other_formats_are_refused(self):
        for declared in ('qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso'):
            for detected in {'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso', 'luks', 'raw', 'gpt'} - {declared}:
                self.refused(errors.FormatMismatch, found(detected), declared)

    def test_a_difference_is_only_logged_where_no_match_is_required(self):
        self.assertIsNone(allowed(found('qcow2'), 'vmdk', require_match=False))
        self.assertIsNone(allowed(found('raw'), 'qcow2', require_match=False))

    def test_without_required_match_safety_still_holds(self):
        unsafe = found('qcow2', findings=(Finding('data_file', 'No.', 'qcow2'),))
        self.refused(errors.FormatUnsafe, unsafe, 'vmdk', require_match=False)
        self.refused(errors.FormatAmbiguous, found('qcow2', 'vdi'), 'vmdk', require_match=False)
        self.refused(errors.FormatMismatch, found('qcow2'), 'raw', require_match=False)

    def test_raw_takes_what_nobody_opens_by_itself(self):
        for detected in ('raw', 'gpt', 'iso', 'luks'):
            self.assertEqual(1000, allowed(found(detected), 'raw'))

    def test_raw_refuses_what_a_guessing_consumer_would_open(self):
        for detected in SELF_DESCRIBING:
            self.refused(errors.FormatMismatch, found(detected), 'raw')
            others = tuple(name for name in RAW_MAY_CONTAIN if name != detected)
            self.refused(errors.FormatMismatch, found(detected), 'raw', allow_raw_containing=others)

    def test_raw_may_hold_what_the_operator_names(self):
        for detected in SELF_DESCRIBING:
            self.assertEqual(1000, allowed(found(detected), 'raw', allow_raw_containing=(detected,)))

    def test_what_raw_may_hold_must_be_safe(self):
        unsafe = found('qcow2', findings=(Finding('backing_file', 'No.', 'qcow2'),))
        self.refused(errors.FormatUnsafe, unsafe, 'raw', allow_raw_containing=('qcow2',))

    def test_qed_in_raw_is_allowed_by_name_only(self):
        qed = found('qed', findings=(Finding('banned', 'No.', 'qed'),))
        self.assertEqual(1000, allowed(qed, 'raw', allow_raw_containing=('qed',)))
        self.refused(errors.FormatMismatch, qed, 'raw')
        self.refused(errors.FormatUnsafe, qed, 'qed', allow_raw_containing=('qed',))

    def test_formats_nobody_recognises_take_unrecognised_data(self):
        for declared in ('ami', 'aki', 'ari', 'ploop', 'of-the-operator'):
            self.assertIsNone(allowed(found('raw'), declared))
            self.assertIsNone(allowed(found('gpt'), declared))
            self.refused(errors.FormatMismatch, found('qcow2'), declared)

    def test_no_data(self):
        nothing = found('raw', size=0, virtual_size=None)
        self.assertIsNone(allowed(nothing, 'raw'))
        self.refused(errors.FormatMismatch, nothing, 'qcow2')

    def test_only_bare_is_inspected(self):
        bad = found('qcow2', findings=(Finding('data_file', 'No.', 'qcow2'),))
        for container in ('ova', 'ovf', 'ami', 'docker', 'compressed'):
            self.assertIsNone(allowed(bad, 'vmdk', container))


class Several(testtools.TestCase):
    def test_two_are_ambiguous(self):
        for declared in ('raw', 'qcow2', 'iso', 'vdi', 'ami'):
            self.assertRaises(errors.FormatAmbiguous, allowed, found('iso', 'qcow2'), declared)
            self.assertRaises(errors.FormatAmbiguous, allowed, found('gpt', 'iso', 'vhd'), declared)

    def test_an_iso_may_have_a_partition_table(self):
        self.assertEqual(DISK, allowed(found('iso', 'gpt'), 'iso'))
        self.assertEqual(DISK, allowed(found('iso', 'gpt', findings=(MBR,)), 'iso'))

    def test_a_hybrid_iso_is_raw_only_where_the_operator_says_so(self):
        hybrid = found('iso', 'gpt')
        for declared in ('raw', 'qcow2', 'ami'):
            self.assertRaises(errors.FormatAmbiguous, allowed, hybrid, declared)
        self.assertEqual(1000, allowed(hybrid, 'raw', allow_raw_containing=('hybrid-iso',)))
        refused = {'allow_raw_containing': ('hybrid-iso',)}
        self.assertRaises(errors.FormatAmbiguous, allowed, hybrid, 'qcow2', **refused)


class Safety(testtools.TestCase):
    def test_findings_are_fatal(self):
        for format_ in ('qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi'):
            unsafe = found(format_, findings=(Finding('any', 'A reason.', format_),))
            error = self.assertRaises(errors.FormatUnsafe, allowed, unsafe, format_)
            self.assertIn('A reason.', error.message)

    def test_partition_tables(self):
        bad = found('gpt', findings=(MBR,))
        self.assertRaises(errors.FormatUnsafe, allowed, bad, 'raw')
        self.assertRaises(errors.FormatUnsafe, allowed, bad, 'ami')
        self.assertEqual(1000, allowed(bad, 'raw', gpt_nonfatal=('mbr',)))
        for kernel in ('aki', 'ari'):
            self.assertIsNone(allowed(bad, kernel))

    def test_a_nonfatal_check_is_that_of_partition_tables_only(self):
        bad = found('vmdk', findings=(Finding('mbr', 'No.', 'vmdk'),))
        self.assertRaises(errors.FormatUnsafe, allowed, bad, 'vmdk', gpt_nonfatal=('mbr',))

    def test_vmdk_create_types(self):
        stream = found('vmdk', subformat='streamoptimized')
        self.assertEqual(DISK, allowed(stream, 'vmdk'))
        only_sparse = {'vmdk_allowed_types': ('monolithicSparse',)}
        self.assertRaises(errors.FormatUnsafe, allowed, stream, 'vmdk', **only_sparse)
        self.assertRaises(errors.FormatUnsafe, allowed, found('vmdk', subformat=None), 'vmdk')

    def test_virtual_size_cap(self):
        self.assertEqual(DISK, allowed(found('qcow2'), 'qcow2', max_virtual_size=DISK))
        self.assertRaises(
            errors.VirtualSizeExceeded, allowed, found('qcow2'), 'qcow2', max_virtual_size=DISK - 1
        )
        self.assertRaises(errors.VirtualSizeExceeded, allowed, found('raw'), 'raw', max_virtual_size=999)
