"""Runs one child process so that it ends when it must: on a timeout, on cancel, with us.

No preexec_fn: in a process with threads Python code between fork and exec can
deadlock. Limits and the death signal are set by programs of util-linux that
replace themselves by the next one (setpriv, prlimit).
"""

import contextlib
import dataclasses
import logging
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from imagepipe import errors

LOG = logging.getLogger(__name__)

#: Seconds between two questions whether to go on.
POLL = 0.2
#: A killed process that stays longer hangs in the kernel; it is left to init.
REAP = 10
OUTPUT_MAX = 1024 * 1024
STDERR_MAX = 4096
PIPE = 64 * 1024
#: malloc's arenas are address space, which is limited.
ENVIRONMENT = {'LC_ALL': 'C', 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'MALLOC_ARENA_MAX': '2'}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a child may use: bytes of address space, seconds of CPU, bytes per file, seconds in all."""

    memory: int
    cpu_seconds: int
    file_size: int
    timeout: float


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a child ended: its return code (negative: the signal) and the end of what it said."""

    returncode: int
    stdout: bytes
    stderr: bytes


def limited(argv: Sequence[str], limits: Limits) -> list[str]:
    """`argv` under limits, killed when the thread that starts it ends."""
    return [
        'setpriv', '--pdeathsig', 'KILL', '--',
        'prlimit', f'--as={limits.memory}', f'--cpu={limits.cpu_seconds}:{limits.cpu_seconds + 5}',
        f'--fsize={limits.file_size}', '--core=0', '--nofile=256', '--',
        *argv,
    ]  # fmt: skip


def run(
    argv: Sequence[str],
    *,
    cwd: str | os.PathLike[str],
    timeout: float,
    cancelled: Callable[[], bool] = lambda: False,
    on_output: Callable[[bytes], None] = lambda data: None,
) -> Ended:
    """Run to the end. Raises ConversionTimeout, ImportCancelled, ConversionLimit (too much output).

    Whatever ends it, no process of the child's group is left. `cancelled` and
    `on_output` run in the caller's thread and may raise.
    """
    with _started(argv, cwd) as process:
        talk = _Talk(process, on_output)
        deadline = time.monotonic() + timeout
        while not talk.over or process.poll() is None:
            if cancelled():
                raise errors.ImportCancelled()
            left = deadline - time.monotonic()
            if left <= 0:
                raise errors.ConversionTimeout(limit=round(timeout))
            talk.listen(min(POLL, left))
        return Ended(process.returncode, bytes(talk.stdout), bytes(talk.stderr))


class _Talk:
    """Both pipes of a child, read as they fill, kept up to a bound."""

    def __init__(self, process: subprocess.Popen[bytes], on_output: Callable[[bytes], None]) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._process = process
        self._on_output = on_output
        self._selector = selectors.DefaultSelector()
        for pipe, heard in ((process.stdout, self._heard_stdout), (process.stderr, self._heard_stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, selectors.EVENT_READ, heard)

    @property
    def over(self) -> bool:
        return not self._selector.get_map()

    def listen(self, seconds: float) -> None:
        """Take what comes within this time; returns early when something came."""
        if self.over:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return
        for key, _events in self._selector.select(seconds):
            self._hear(key)

    def _hear(self, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, PIPE)
        if data:
            key.data(data)
        else:
            self._selector.unregister(key.fileobj)

    def _heard_stdout(self, data: bytes) -> None:
        self._on_output(data)
        self.stdout += data
        if len(self.stdout) > OUTPUT_MAX:
            raise errors.ConversionLimit()

    def _heard_stderr(self, data: bytes) -> None:
        self.stderr += data
        del self.stderr[:-STDERR_MAX]


@contextlib.contextmanager
def _started(argv: Sequence[str], cwd: str | os.PathLike[str]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        LOG.error('Cannot start %s: %s', argv[0], error)
        raise errors.ConverterMissing(reason=f'{os.path.basename(argv[0])} cannot be started.') from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group, whether its first process has ended or not, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(REAP)
    except subprocess.TimeoutExpired:
        LOG.error('Process %s does not end after SIGKILL.', process.pid)
    pipes: tuple[IO[bytes] | None, ...] = (process.stdout, process.stderr)
    for pipe in pipes:
        if pipe is not None:
            pipe.close()
