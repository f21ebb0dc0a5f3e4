"""qemu-img converts real disks, and is never started without a format, in or out of the sandbox."""

import pathlib
import shlex
import shutil
import subprocess

import fixtures
import testtools

from imagepipe import errors
from imagepipe.formats import qemu, sandbox
from imagepipe.formats.child import Limits
from imagepipe.formats.inspection import inspect_file
from imagepipe.tests.fixtures import disks, images
from imagepipe.tests.fixtures.tools import missing, need
from imagepipe.tests.unit.qemu_img_case import QemuImgCase, converter


class Conversions(QemuImgCase):
    def test_every_format_gives_the_disk(self):
        for source in qemu.CONVERTIBLE:
            self.convert(images.built(source), source, self.output, 'raw')
            self.assertEqual(images.content('raw'), self.output.read_bytes(), source)

    def test_every_format_takes_the_disk(self):
        """Inspection agrees on what came out, and it becomes the same bytes again."""
        again = self.directory / 'again'
        for target in qemu.CONVERTIBLE:
            self.convert(images.built('qcow2'), 'qcow2', self.output, target)
            verdict = inspect_file(self.output)
            self.assertEqual((), verdict.findings, target)
            self.assertEqual('gpt' if target == 'raw' else target, verdict.format)
            self.assertEqual(disks.DISK_SIZE, verdict.virtual_size)
            self.convert(self.output, target, again, 'raw')
            self.assertEqual(images.content('raw'), again.read_bytes(), target)

    def test_streams_of_vmware_convert(self):
        disk = images.content('raw')
        for kind in ('vmdk-stream', 'vmdk-footer'):
            output = self.directory / 'output'
            self.convert(images.built(kind), 'vmdk', output, 'raw')
            self.assertEqual(disk, output.read_bytes(), kind)

    def test_the_file_system_is_whole(self):
        need(self, 'e2fsck')
        output = self.directory / 'output'
        self.convert(images.built('qcow2'), 'qcow2', output, 'raw')
        partition = self.directory / 'partition'
        start, end = disks.PARTITION_AT, disks.PARTITION_AT + disks.FILE_SYSTEM_SIZE
        partition.write_bytes(output.read_bytes()[start:end])
        disks.run('e2fsck', '-fn', partition)

    def test_zeros_are_not_written(self):
        output = self.directory / 'output'
        self.convert(images.built('qcow2'), 'qcow2', output, 'raw')
        self.assertLess(output.stat().st_blocks * 512, disks.DISK_SIZE // 2)

    def test_progress_goes_up_to_the_end(self):
        fractions: list[float] = []
        self.convert(
            images.built('raw'), 'raw', self.directory / 'output', 'qcow2', progress=fractions.append
        )
        self.assertEqual(sorted(fractions), fractions)
        self.assertEqual(1.0, fractions[-1])

    def test_an_existing_target_is_replaced(self):
        output = self.directory / 'output'
        output.write_bytes(b'of an earlier attempt')
        self.convert(images.built('qcow2'), 'qcow2', output, 'qcow2')
        self.assertEqual('qcow2', inspect_file(output).format)

    def test_what_a_killed_run_left_is_dropped(self):
        left = self.directory / 'work' / 'output.work'
        left.mkdir(parents=True)
        (left / 'disk').write_bytes(b'half')
        self.convert(images.built('qcow2'), 'qcow2', self.directory / 'output', 'raw')
        self.assertEqual([], self.leftovers())

    def test_a_failure_leaves_nothing(self):
        damaged = images.make(self.directory, 'qcow2')
        with open(damaged, 'r+b') as file:
            file.seek(40)  # the place of the L1 table
            file.write(b'\x11' * 8)
        self.assertRaises(errors.ConversionFailed, self.convert, damaged, 'qcow2', self.output, 'raw')
        self.assertEqual([], self.leftovers())
        self.assertFalse(self.output.exists())

    def test_formats_that_are_not_converted(self):
        for source, target in (
            ('iso', 'raw'),
            ('raw', 'iso'),
            ('ami', 'raw'),
            ('luks', 'qcow2'),
            ('vpc', 'raw'),
        ):
            self.assertRaises(
                errors.ConversionNotPossible, self.convert, images.built('raw'), source, self.output, target
            )

    def test_an_encrypted_disk_is_not_converted(self):
        source = images.built('qcow2-encrypted')
        self.assertRaises(errors.ConversionEncrypted, self.convert, source, 'qcow2', self.output, 'raw')
        self.assertEqual([], self.leftovers())

    def test_info_and_measure(self):
        for kind in ('raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi'):
            self.assertEqual(disks.DISK_SIZE, self.qemu_img.info(images.built(kind), kind)['virtual_size'])
            for target in ('raw', 'qcow2', 'vhdx'):
                needed = self.qemu_img.measure(images.built(kind), kind, target)
                self.convert(images.built(kind), kind, self.output, target)
                self.assertGreaterEqual(needed, self.output.stat().st_size, (kind, target))


class UnsandboxedConversions(Conversions):
    """The same without bubblewrap, as on hosts without user namespaces."""

    sandbox = 'off'


class SecondWall(QemuImgCase):
    """What inspection refuses, qemu-img's own words are searched for too."""

    def test_images_that_depend_on_other_files(self):
        for kind in ('qcow2-backing-file', 'qcow2-data-file'):
            self.refused(kind, 'qcow2', errors.FormatUnsafe, errors.ConversionFailed)
        for kind in ('vmdk-flat', 'vmdk-text'):
            self.refused(kind, 'vmdk', errors.FormatUnsafe, errors.ConversionFailed)

    def refused(self, kind: str, format_: str, *expected: type[Exception]) -> None:
        for mode in ('off', 'auto'):
            qemu_img = converter(sandbox=mode)
            for call in (
                lambda qemu_img=qemu_img: qemu_img.info(images.built(kind), format_),
                lambda qemu_img=qemu_img: qemu_img.convert(
                    images.built(kind), format_, self.output, 'raw', workdir=self.directory / 'work'
                ),
            ):
                self.assertThat(call, testtools.matchers.Raises(AnyOf(*expected)))
            self.assertFalse(self.output.exists())


class AnyOf(testtools.matchers.Matcher):
    """Matches the exc_info of one of these errors."""

    def __init__(self, *expected: type[Exception]) -> None:
        self._expected = expected

    def __str__(self) -> str:
        return f'one of {self._expected}'

    def match(self, exc_info: tuple) -> testtools.matchers.Mismatch | None:
        if issubclass(exc_info[0], self._expected):
            return None
        return testtools.matchers.Mismatch(f'{exc_info[1]!r} is not {self}')


class CommandLines(QemuImgCase):
    """Every command line that reaches the program, written down by a stand-in that then runs it."""

    def setUp(self):
        super().setUp()
        real = shutil.which('qemu-img')
        self.log = self.directory / 'argv'
        script = self.directory / 'recording-qemu-img'
        # printf quotes, so that shlex can read it
        script.write_text(
            f'#!/bin/bash\nprintf "%q " "$@" >> {self.log}\necho >> {self.log}\nexec {real} "$@"\n'
        )
        script.chmod(0o755)
        self.recording = converter(sandbox='off', binary=str(script))

    def recorded(self) -> list[list[str]]:
        return [shlex.split(line) for line in self.log.read_text().splitlines()]

    def test_the_input_format_is_always_explicit(self):
        for format_ in qemu.CONVERTIBLE:
            self.recording.info(images.built(format_), format_)
            for target in qemu.CONVERTIBLE:
                self.recording.measure(images.built(format_), format_, target)
                self.recording.convert(
                    images.built(format_), format_, self.output, target, workdir=self.directory / 'work'
                )
        commands = [argv for argv in self.recorded() if argv != ['--version']]
        self.assertEqual({'info', 'measure', 'convert'}, {argv[0] for argv in commands})
        for argv in commands:
            self.assertIn(argv[argv.index('-f') + 1], qemu.OUR_NAMES)
            self.assertNotIn('--image-opts', argv)
            self.assertNotIn('-U', argv)
            if argv[0] in ('convert', 'measure'):
                self.assertIn(argv[argv.index('-O') + 1], qemu.OUR_NAMES)
            for path in argv[argv.index('--') + 1 :]:
                self.assertTrue(path.startswith('/'), path)

    def test_names_that_look_like_something_else_are_files(self):
        odd = self.directory / 'json:{"driver":"nbd"}, -O raw'
        shutil.copyfile(images.built('qcow2'), odd)
        self.recording.convert(odd, 'qcow2', self.output, 'raw', workdir=self.directory / 'work')
        self.convert(odd, 'qcow2', self.output, 'raw')
        self.assertEqual(images.content('raw'), self.output.read_bytes())

    def test_formats_have_names_both_ways(self):
        for ours, theirs in qemu.QEMU_NAMES.items():
            self.assertEqual(ours, qemu.OUR_NAMES[theirs])
        self.assertEqual('vpc', qemu.QEMU_NAMES['vhd'])
        self.assertEqual(qemu.CONVERTIBLE, set(qemu.CREATION))

    def test_nothing_else_of_the_product_runs_the_program(self):
        """The sample of the quickstart is made of bytes that its maker wrote itself: no user's data."""
        package = pathlib.Path(qemu.__file__).parents[1]
        sources = {path.relative_to(package).as_posix(): path.read_text() for path in package.rglob('*.py')}
        runs = {
            name
            for name, text in sources.items()
            if not name.startswith(('tests/', 'formats/')) and 'import subprocess' in text and 'qemu' in text
        }
        self.assertEqual(set(), runs - {'cmd/sample_image.py'})


class Sandboxes(QemuImgCase):
    def setUp(self):
        super().setUp()
        need(self, 'bwrap')
        if not converter(sandbox='auto').probe().sandboxed:
            missing(self, 'a bubblewrap that works')

    def inside(self, script: str) -> subprocess.CompletedProcess:
        """What a program in the sandbox can do: bash stands for qemu-img."""
        work = self.directory / 'inside'
        work.mkdir(exist_ok=True)
        source = self.directory / 'source'
        source.write_bytes(b'the input')
        box = sandbox.Sandbox.around('/bin/bash')
        argv = box.wrap(['-c', script], source=source, work=work)
        return subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, check=False)

    def test_only_the_input_can_be_read(self):
        self.assertEqual(b'the input', self.inside('echo -n "$(< /input)"').stdout)
        for path in (
            '/etc/passwd',
            '/etc/hostname',
            '/root',
            '/home',
            str(self.directory),
            '/proc/1/environ',
        ):
            self.assertNotEqual(0, self.inside(f'[[ -e {path} ]]').returncode, path)

    def test_only_the_work_directory_can_be_written(self):
        self.assertEqual(0, self.inside('echo x > /box/disk').returncode)
        self.assertEqual('x\n', (self.directory / 'inside' / 'disk').read_text())
        for path in ('/input', '/usr/lib/x', '/lib/x', '/bin/x'):
            self.assertNotEqual(0, self.inside(f'echo x > {path}').returncode, path)
        self.assertEqual(b'the input', (self.directory / 'source').read_bytes())

    def test_there_is_no_network(self):
        import socket  # noqa: PLC0415 - the only test that listens

        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
            connect = f'exec 3<> /dev/tcp/127.0.0.1/{port}'
            self.assertEqual(0, subprocess.run(['/bin/bash', '-c', connect], check=False).returncode)
            self.assertNotEqual(0, self.inside(connect).returncode)

    def test_a_flat_extent_reads_nothing_of_the_host(self):
        """With the walls before it gone, the sandbox still stands."""
        qemu_img = converter(sandbox='required')
        self.addCleanup(setattr, qemu, '_refuse_others', qemu._refuse_others)
        qemu._refuse_others = lambda told, fmt: None
        self.assertRaises(
            errors.ConversionFailed, qemu_img.convert, images.built('vmdk-flat'), 'vmdk', self.output, 'raw',
            workdir=self.directory / 'work',
        )  # fmt: skip

    def test_where_it_does_not_work(self):
        broken = self.directory / 'bwrap'
        broken.write_text('#!/bin/sh\necho "it does not\nforged" >&2\nexit 1\n')
        broken.chmod(0o755)
        log = self.useFixture(fixtures.FakeLogger())
        self.patch(qemu.Sandbox, 'around', classmethod(lambda cls, program: cls(str(broken), program)))
        self.assertRaises(errors.ConverterMissing, converter(sandbox='required').probe)
        self.assertFalse(converter(sandbox='auto').probe().sandboxed)
        self.assertFalse(converter(sandbox='off').probe().sandboxed)
        self.assertIn(r"failed: 'it does not\nforged'", log.output)  # what is said may come from an image

    def test_where_it_is_not_installed(self):
        self.patch(qemu.Sandbox, 'around', classmethod(lambda cls, program: None))
        self.assertRaises(errors.ConverterMissing, converter(sandbox='required').probe)
        self.assertFalse(converter(sandbox='auto').probe().sandboxed)


class MissingPrograms(testtools.TestCase):
    def test_no_qemu_img(self):
        qemu_img = converter(binary='/nowhere/qemu-img')
        self.assertRaises(errors.ConverterMissing, qemu_img.probe)
        self.assertRaises(errors.ConverterMissing, qemu_img.info, '/dev/null', 'raw')

    def test_limits_are_required(self):
        self.assertRaises(TypeError, Limits)
