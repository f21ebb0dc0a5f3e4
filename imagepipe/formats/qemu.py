"""The only place that runs qemu-img: with explicit formats, under limits, in a sandbox where one works.

Inspect before (Inspector, judge) and after (inspect_file); what stands here
is the second wall. The input format is always named: qemu-img left to guess
opens what the bytes tell it to open (CVE-2024-40767, CVE-2026-24708).
"""

import dataclasses
import enum
import json
import logging
import os
import pathlib
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagepipe import errors
from imagepipe.formats import child
from imagepipe.formats.child import Ended, Limits
from imagepipe.formats.sandbox import INPUT, WORK, Sandbox

LOG = logging.getLogger(__name__)

#: Our names of the disk formats that can be converted, and QEMU's.
QEMU_NAMES = {'raw': 'raw', 'qcow2': 'qcow2', 'vmdk': 'vmdk', 'vhd': 'vpc', 'vhdx': 'vhdx', 'vdi': 'vdi'}
OUR_NAMES = {theirs: ours for ours, theirs in QEMU_NAMES.items()}
CONVERTIBLE = frozenset(QEMU_NAMES)

#: Creation options: nothing preallocated, exact sizes, the create types that every consumer reads.
CREATION = {
    'raw': 'preallocation=off',
    'qcow2': 'compat=1.1,preallocation=off',
    'vmdk': 'subformat=monolithicSparse',
    'vhd': 'subformat=dynamic,force_size=on',
    'vhdx': 'subformat=dynamic',
    'vdi': 'static=off',
}
#: Runs of zeros of this length are not written.
SPARSE = '4k'
PROGRESS = re.compile(rb'\((\d{1,3}\.\d\d)/100%\)')
#: Stand for the files in a command line, which has other names for them inside the sandbox.
SOURCE, TARGET = '{source}', '{target}'
OUTPUT_NAME = 'disk'
#: bubblewrap sets this itself.
NO_NEW_PRIVILEGES = ('setpriv', '--no-new-privs', '--')
#: qemu-img ends like this at a limit: by the signal, or as bubblewrap reports it.
LIMIT_SIGNALS = frozenset({signal.SIGXCPU, signal.SIGXFSZ, signal.SIGKILL, signal.SIGABRT, signal.SIGTRAP})
#: Less than this free after a failure, and the failure was the lack of it; so it was by these words of the
#: C library, though others have made room since.
FULL = 16 * 1024 * 1024
NO_ROOM = (b'No space left on device', b'Disk quota exceeded')
#: An output that failed this near to the limit of its length failed because of it: qemu-img's threads
#: block SIGXFSZ, so it ends like after any other write error.
NEAR = 4 * 1024 * 1024
#: Room that metadata takes beside the data, where qemu-img cannot tell.
OVERHEAD_PART, OVERHEAD = 100, 32 * 1024 * 1024
INFO_TIMEOUT = 60


class SandboxMode(enum.StrEnum):
    """[conversion] sandbox."""

    AUTO = 'auto'
    REQUIRED = 'required'
    OFF = 'off'


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """What was found on this host."""

    version: str
    sandboxed: bool


class QemuImg:
    """qemu-img with its limits; safe to share between threads. Nothing is run before it is used."""

    def __init__(self, *, binary: str, sandbox: str, limits: Limits) -> None:
        self._binary = binary
        self._mode = SandboxMode(sandbox)
        self._limits = limits
        self._lock = threading.Lock()
        self._probed: Capabilities | None = None
        self._sandbox: Sandbox | None = None

    def probe(self) -> Capabilities:
        """Find out, once, what works here. Raises ConverterMissing."""
        with self._lock:
            if self._probed is None:
                self._probed = self._probe()
            return self._probed

    def check(self) -> None:
        """It is there and, when it was first looked for, it worked. Raises ConverterMissing."""
        self._found()
        self.probe()

    def convert(
        self,
        source: str | os.PathLike[str],
        source_format: str,
        target: str | os.PathLike[str],
        target_format: str,
        *,
        workdir: str | os.PathLike[str],
        progress: Callable[[float], None] = lambda fraction: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Write `source` as `target`, durable on disk when this returns.

        qemu-img works in an empty directory of its own below `workdir`, which
        must be on the file system of `target`; it is named after the target
        (so a second run finds and drops what a killed one left) and is gone
        in every case. `progress` gets fractions from 0.0 to 1.0.

        Raises ConversionNotPossible, ConversionEncrypted, ConversionFailed,
        ConversionTimeout, ConversionLimit, ConversionNoSpace, ConverterMissing, FormatUnsafe,
        ImportCancelled, and what `progress` and `cancelled` raise.
        """
        _convertible(source_format, target_format)
        found = self.info(source, source_format)
        if found['encrypted']:
            raise errors.ConversionEncrypted()
        if target_format == 'raw' and found['virtual_size'] > self._limits.file_size:
            raise errors.ConversionLimit()
        work = pathlib.Path(workdir) / f'{pathlib.Path(target).name}.work'
        _forget(work)
        work.mkdir(parents=True, mode=0o700)
        try:
            self._convert(pathlib.Path(source), source_format, work, target_format, progress, cancelled)
            _keep(work / OUTPUT_NAME, pathlib.Path(target))
        finally:
            _forget(work)

    def info(self, path: str | os.PathLike[str], fmt: str) -> Mapping[str, Any]:
        """`virtual_size` and `actual_size` in bytes, `encrypted`; FormatUnsafe if it names other files."""
        _convertible(fmt, fmt)
        arguments = ['info', '-f', QEMU_NAMES[fmt], '--output=json', '--', SOURCE]
        told = self._ask(arguments, pathlib.Path(path), fmt, fmt)
        _refuse_others(told, fmt)
        return {
            'virtual_size': told['virtual-size'],
            'actual_size': told.get('actual-size'),
            'encrypted': told.get('encrypted', False),
        }

    def measure(self, path: str | os.PathLike[str], fmt: str, target_format: str) -> int:
        """Bytes that the conversion may need on disk, at most."""
        _convertible(fmt, target_format)
        if target_format in ('raw', 'qcow2'):
            arguments = [
                'measure', '-f', QEMU_NAMES[fmt], '-O', QEMU_NAMES[target_format], '--output=json', '--',
                SOURCE,
            ]  # fmt: skip
            return self._ask(arguments, pathlib.Path(path), fmt, target_format)['required']
        size = self.info(path, fmt)['virtual_size']
        return size + size // OVERHEAD_PART + OVERHEAD

    def _convert(
        self,
        source: pathlib.Path,
        source_format: str,
        work: pathlib.Path,
        target_format: str,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> None:
        arguments = [
            'convert', '-p', '-S', SPARSE, '-f', QEMU_NAMES[source_format],
            '-O', QEMU_NAMES[target_format], '-o', CREATION[target_format], '--', SOURCE, TARGET,
        ]  # fmt: skip
        ended = child.run(
            self._command(arguments, source, work),
            cwd=work,
            timeout=self._limits.timeout,
            cancelled=cancelled,
            on_output=Progress(progress),
        )
        if ended.returncode != 0:
            if _length(work / OUTPUT_NAME) + NEAR > self._limits.file_size:
                raise errors.ConversionLimit()
            raise _failure(ended, source_format, target_format, work)

    def _ask(
        self, arguments: Sequence[str], source: pathlib.Path, source_format: str, target_format: str
    ) -> dict[str, Any]:
        """Run a command that answers in JSON; nothing is written."""
        with tempfile.TemporaryDirectory(prefix='imagepipe-qemu-') as work:
            command = self._command(arguments, source)
            ended = child.run(command, cwd=work, timeout=min(INFO_TIMEOUT, self._limits.timeout))
            if ended.returncode != 0:
                raise _failure(ended, source_format, target_format, pathlib.Path(work))
        try:
            told = json.loads(ended.stdout)
        except ValueError as error:
            raise errors.ConversionFailed(source=source_format, target=target_format) from error
        return told

    def _command(
        self, arguments: Sequence[str], source: pathlib.Path, work: pathlib.Path | None = None
    ) -> list[str]:
        """The whole command line. Absolute paths cannot be taken for `protocol:` names."""
        self.probe()
        if self._sandbox is not None:
            named = _named(arguments, INPUT, f'{WORK}/{OUTPUT_NAME}')
            wrapped = self._sandbox.wrap(named, source=source.absolute(), work=work and work.absolute())
            return child.limited(wrapped, self._limits)
        target = '' if work is None else str(work.absolute() / OUTPUT_NAME)
        named = _named(arguments, str(source.absolute()), target)
        return child.limited([*NO_NEW_PRIVILEGES, self._found(), *named], self._limits)

    def _found(self) -> str:
        found = shutil.which(self._binary)
        if found is None:
            raise errors.ConverterMissing(reason='qemu-img is not installed.')
        return found

    def _probe(self) -> Capabilities:
        binary = self._found()
        for helper in ('setpriv', 'prlimit'):
            if shutil.which(helper) is None:
                raise errors.ConverterMissing(reason=f'{helper} is not installed.')
        version = self._version([binary])
        if version is None:
            raise errors.ConverterMissing(reason='qemu-img does not run under its limits.')
        self._sandbox = self._working_sandbox(binary)
        return Capabilities(version, self._sandbox is not None)

    def _working_sandbox(self, binary: str) -> 'Sandbox | None':
        if self._mode is SandboxMode.OFF:
            return None
        around = Sandbox.around(binary)
        if around is not None and self._version(around.wrap([])):
            return around
        if self._mode is SandboxMode.REQUIRED:
            raise errors.ConverterMissing(reason='bubblewrap does not work here, and a sandbox is required.')
        LOG.warning('bubblewrap does not work on this host: qemu-img runs under limits, without a sandbox.')
        return None

    def _version(self, command: Sequence[str]) -> str | None:
        ended = child.run(child.limited([*command, '--version'], self._limits), cwd='/', timeout=INFO_TIMEOUT)
        if ended.returncode != 0:
            LOG.info('%s failed: %r', command[0], _said(ended))
            return None
        return ended.stdout.decode('ascii', 'replace').split('\n', 1)[0].strip()


class Progress:
    """Reads qemu-img's "(12.34/100%)" and calls back when the number has changed."""

    def __init__(self, callback: Callable[[float], None]) -> None:
        self._callback = callback
        self._rest = b''
        self._last = -1.0

    def __call__(self, data: bytes) -> None:
        text = self._rest + data
        found = PROGRESS.findall(text)
        self._rest = text[-16:]
        if found and (fraction := min(1.0, float(found[-1]) / 100)) > self._last:
            self._last = fraction
            self._callback(fraction)


def _named(arguments: Sequence[str], source: str, target: str) -> list[str]:
    names = {SOURCE: source, TARGET: target}
    return [names.get(argument, argument) for argument in arguments]


def _convertible(source_format: str, target_format: str) -> None:
    if not {source_format, target_format} <= CONVERTIBLE:
        raise errors.ConversionNotPossible(source=source_format, target=target_format)


def _refuse_others(told: Mapping[str, Any], fmt: str) -> None:
    """What qemu-img itself says about other files; inspection has refused all of it before."""
    data = (told.get('format-specific') or {}).get('data') or {}
    reasons = {
        'backing_file': 'backing-filename' in told or 'full-backing-filename' in told,
        'data_file': 'data-file' in data,
        'extents': any(extent['filename'] != told['filename'] for extent in data.get('extents', ())),
        'format': told.get('format') != QEMU_NAMES[fmt],
    }
    for check, failed in reasons.items():
        if failed:
            raise errors.FormatUnsafe(check=check, reason='The image depends on other files.')


def _failure(
    ended: Ended, source_format: str, target_format: str, work: pathlib.Path
) -> errors.ImagepipeError:
    """The error for a return code; what qemu-img says goes to the log only."""
    code = ended.returncode
    LOG.warning('qemu-img ended with %s: %r', code, _said(ended))
    ended_by = -code if code < 0 else code - 128
    if ended_by in LIMIT_SIGNALS:
        return errors.ConversionLimit()
    if any(words in ended.stderr for words in NO_ROOM) or shutil.disk_usage(work).free < FULL:
        return errors.ConversionNoSpace()
    return errors.ConversionFailed(source=source_format, target=target_format)


def _said(ended: Ended) -> str:
    return ended.stderr.decode('utf-8', 'backslashreplace').strip()


def _length(path: pathlib.Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _keep(output: pathlib.Path, target: pathlib.Path) -> None:
    """Make the output durable and give it its name."""
    with open(output, 'rb') as file:
        os.fsync(file.fileno())
    os.replace(output, target)


def _forget(work: pathlib.Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
