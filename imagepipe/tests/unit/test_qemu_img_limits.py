"""However a conversion ends - a limit, a timeout, cancel, our own death - no process and no file is left."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import testtools

from imagepipe import errors
from imagepipe.formats import child, sandbox
from imagepipe.formats.child import Limits
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.tools import missing, need
from imagepipe.tests.unit.qemu_img_case import LIMITS, QemuImgCase, converter

PATIENCE = 20


def wait_for(condition, what: str):
    """Its first true value; an error when it stays false."""
    deadline = time.monotonic() + PATIENCE
    pause = threading.Event()
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        pause.wait(0.02)
    raise AssertionError(f'{what} did not happen')


def running(mark: str) -> list[int]:
    """Processes with this word on their command line, zombies not counted."""
    found = []
    for directory in pathlib.Path('/proc').iterdir():
        try:
            if directory.name.isdigit() and mark.encode() in (directory / 'cmdline').read_bytes():
                found.append(int(directory.name))
        except OSError:
            continue
    return found


def name(pid: int) -> str:
    """The program that runs as `pid`."""
    try:
        return pathlib.Path(f'/proc/{pid}/comm').read_text().strip()
    except OSError:
        return ''


class Ends(QemuImgCase):
    """A stand-in for qemu-img that starts a process of its own and then hangs in `convert`."""

    def setUp(self):
        super().setUp()
        self.mark = f'61.{os.getpid()}{id(self)}'
        self.script = self.write('hanging', f'sleep {self.mark} & sleep {self.mark}')

    def write(self, name: str, convert: str) -> str:
        """A program that answers like qemu-img until it shall convert."""
        script = self.directory / name
        script.write_text(
            textwrap.dedent(f"""\
            #!/bin/sh
            case $1 in
            info) echo '{{"virtual-size": 1, "format": "raw", "filename": "x"}}' ;;
            --version) echo fake ;;
            *) {convert} ;;
            esac
            """)
        )
        script.chmod(0o755)
        return str(script)

    def hang(self, **kwargs) -> None:
        limits = kwargs.pop('limits', {})
        converter(binary=self.script, sandbox='off', **limits).convert(
            images.built('raw'), 'raw', self.output, 'qcow2', workdir=self.directory / 'work', **kwargs
        )

    def nothing_left(self) -> None:
        wait_for(lambda: not running(self.mark), 'the end of every process')
        self.assertEqual([], self.leftovers())
        self.assertFalse(self.output.exists())

    def started(self) -> bool:
        return len(running(f'sleep\0{self.mark}')) == 2

    def test_cancel(self):
        asked = []

        def cancelled() -> bool:
            asked.append(time.monotonic())
            return self.started()

        self.assertRaises(errors.ImportCancelled, self.hang, cancelled=cancelled)
        self.assertGreater(len(asked), 0)
        self.nothing_left()

    def test_cancel_is_asked_often(self):
        asked = []

        def cancelled() -> bool:
            asked.append(time.monotonic())
            return len(asked) == 6

        self.assertRaises(errors.ImportCancelled, self.hang, cancelled=cancelled)
        self.assertLess(asked[-1] - asked[0], 3)

    def test_a_lost_claim_ends_it_too(self):
        def cancelled() -> bool:
            if self.started():
                raise errors.ClaimLost(import_id='x')
            return False

        self.assertRaises(errors.ClaimLost, self.hang, cancelled=cancelled)
        self.nothing_left()

    def test_timeout(self):
        error = self.assertRaises(errors.ConversionTimeout, self.hang, limits={'timeout': 1.0})
        self.assertIn('1 seconds', error.message)
        self.nothing_left()

    def test_our_own_death(self):
        """SIGKILL for the worker: qemu-img dies with it, though nobody is left to end it."""
        script = self.write('sleeping', f'exec sleep {self.mark}')
        self.dies_with_us(
            f'qemu.QemuImg(binary={script!r}, sandbox="off", limits=child.Limits(**{LIMITS!r})).convert('
            f'{str(images.built("raw"))!r}, "raw", {str(self.output)!r}, "qcow2",'
            f' workdir={str(self.directory / "work")!r})'
        )

    def test_our_own_death_around_a_sandbox(self):
        need(self, 'bwrap')
        if not converter(sandbox='auto').probe().sandboxed:
            missing(self, 'a bubblewrap that works')
        argv = sandbox.Sandbox.around('/bin/sleep').wrap([self.mark])
        self.dies_with_us(
            f'child.run(child.limited({argv!r}, child.Limits(**{LIMITS!r})), cwd="/", timeout=60)'
        )

    def dies_with_us(self, call: str) -> None:
        worker = subprocess.Popen(
            [sys.executable, '-c', f'from imagepipe.formats import child, qemu; {call}'],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)},
        )
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        wait_for(lambda: any(name(pid) == 'sleep' for pid in running(self.mark)), 'the start')
        worker.kill()
        worker.wait()
        wait_for(lambda: not running(self.mark), 'its death')


class Resources(QemuImgCase):
    def python(self, code: str, **limits: float) -> child.Ended:
        argv = child.limited([sys.executable, '-c', code], Limits(**{**LIMITS, **limits}))
        return child.run(argv, cwd=self.directory, timeout=LIMITS['timeout'])

    def test_the_length_of_files_is_limited(self):
        for mode in ('off', 'auto'):
            for target, length in (('raw', 5 << 20), ('qcow2', 700_000), ('vdi', 1 << 20), ('vhd', 1 << 20)):
                limited = converter(sandbox=mode, file_size=length)
                self.assertRaises(
                    errors.ConversionLimit, limited.convert, images.built('qcow2'), 'qcow2', self.output,
                    target, workdir=self.directory / 'work',
                )  # fmt: skip
                self.assertEqual([], self.leftovers())

    def test_a_lack_of_room_that_is_over_is_told_as_one(self):
        script = self.directory / 'qemu-img-without-room'
        script.write_text(
            '#!/bin/bash\n[ "$1" = convert ] || exec qemu-img "$@"\n'
            'echo "qemu-img: error while converting raw: No space left on device" >&2; exit 1\n'
        )
        script.chmod(0o755)
        self.assertRaises(
            errors.ConversionNoSpace, converter(sandbox='off', binary=str(script)).convert,
            images.built('qcow2'), 'qcow2', self.output, 'raw', workdir=self.directory / 'work',
        )  # fmt: skip
        self.assertEqual([], self.leftovers())

    def test_the_limit_of_length_is_the_kernels(self):
        write = 'open("long", "wb").truncate(%d)'
        self.assertEqual(0, self.python(write % 1000, file_size=1000).returncode)
        self.assertNotEqual(0, self.python(write % 1001, file_size=1000).returncode)

    def test_memory_is_limited(self):
        self.assertEqual(0, self.python('bytearray(1 << 20)', memory=512 << 20).returncode)
        self.assertNotEqual(0, self.python('bytearray(1 << 30)', memory=512 << 20).returncode)

    def test_cpu_time_is_limited(self):
        ended = self.python('while True: pass', cpu_seconds=1)
        self.assertEqual(-signal.SIGXCPU, ended.returncode)

    def test_no_core_is_dumped(self):
        self.python('import os; os.abort()')
        self.assertEqual([], list(self.directory.glob('core*')))

    def test_output_is_bounded(self):
        self.assertRaises(errors.ConversionLimit, self.python, 'while True: print("x" * 4096)')
        ended = self.python('import sys; sys.stderr.write("x" * (8 << 20)); sys.exit(3)')
        self.assertEqual(3, ended.returncode)
        self.assertEqual(child.STDERR_MAX, len(ended.stderr))

    def test_the_environment_is_ours(self):
        told = self.python('import os; print(sorted(os.environ))').stdout.decode()
        for name in ('HOME', 'OS_PASSWORD', 'LD_PRELOAD'):
            self.assertNotIn(name, told)

    def test_a_program_that_cannot_start(self):
        self.assertRaises(errors.ConverterMissing, child.run, ['/nowhere/x'], cwd='/', timeout=1)

    def test_a_huge_disk_is_measured_not_made(self):
        """4 EiB in a file of a megabyte: no limit of ours is needed to refuse it, and none is exceeded."""
        self.assertRaises(
            (errors.ConversionFailed, errors.ConversionLimit), self.convert, images.built('qcow2-huge'),
            'qcow2', self.output, 'raw',
        )  # fmt: skip
        self.assertEqual([], self.leftovers())


class Threads(testtools.TestCase):
    def test_no_python_runs_between_fork_and_exec(self):
        """preexec_fn can deadlock in a process with threads."""
        source = pathlib.Path(child.__file__).read_text()
        self.assertNotIn('preexec_fn=', source)
