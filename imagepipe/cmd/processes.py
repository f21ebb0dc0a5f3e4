"""The two processes of a standalone service, under one parent: none is started again silently."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType

#: Seconds between two looks at the processes.
_LOOK = 0.1
#: Seconds that both have to stop; their own grace is shorter.
_GRACE = 30.0


@dataclasses.dataclass(frozen=True)
class Part:
    """One process: its name, the module that is run, its arguments, and where its output goes."""

    name: str
    module: str
    arguments: Sequence[str]
    log: Path


class Processes:
    """Starts the parts, watches them, and stops all of them when one ends or stop() is called."""

    def __init__(self, parts: Iterable[Part], *, cwd: Path) -> None:
        self._parts = list(parts)
        self._cwd = cwd
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        # Not an Event: a signal's handler that sets one may meet its lock held by the thread it interrupts.
        self._stopping = False

    def stop(self) -> None:
        """End everything, in order."""
        self._stopping = True

    def stop_on_signal(self) -> None:
        """SIGTERM, SIGINT and a closed terminal stop the service."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stop()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)

    def run(self, *, ready: Callable[[], bool], on_ready: Callable[[], None]) -> tuple[Part, int] | None:
        """Run until stop(), then None; or until a part ends by itself: that part and its status.

        ready is asked until it is true, then on_ready is called, once.
        """
        told = False
        try:
            for part in self._parts:
                self._running[part.name] = _start(part, self._cwd)
            while not self._stopping:
                time.sleep(_LOOK)
                ended = self._ended()
                if ended is not None:
                    return ended
                if not told and ready():
                    told = True
                    on_ready()
        finally:
            self._stop_all()
        return None

    def _ended(self) -> tuple[Part, int] | None:
        for part in self._parts:
            status = self._running[part.name].poll()
            if status is not None:
                return part, status
        return None

    def _stop_all(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + _GRACE
        for process in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # whatever is left of it and its workers
            process.wait()


def described(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f'ended with status {status}'
    try:
        return f'was ended by {signal.Signals(-status).name}'
    except ValueError:
        return f'was ended by signal {-status}'


def background(argv: Sequence[str], *, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a module of ours that outlives this process and its terminal."""
    with log.open('ab') as output:
        return subprocess.Popen(
            [sys.executable, '-m', *argv], cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip


def _start(part: Part, cwd: Path) -> subprocess.Popen[bytes]:
    # A group of its own: Ctrl-C in the terminal is for the parent, which stops the parts in order.
    command = [*_dying_with_parent(), sys.executable, '-m', part.module, *part.arguments]
    with part.log.open('ab') as output:
        return subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
        )


def _dying_with_parent() -> list[str]:
    """A parent killed by SIGKILL leaves no service behind, where util-linux is there to see to it."""
    setpriv = shutil.which('setpriv')
    return [] if setpriv is None else [setpriv, '--pdeathsig', 'TERM', '--']
