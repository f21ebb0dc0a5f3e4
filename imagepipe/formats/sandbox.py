"""bubblewrap around a converter: no network, no files but its input, its work directory and libraries."""

import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

#: Names inside the sandbox.
INPUT = '/input'
WORK = '/box'
#: What a dynamically linked program needs to start.
LIBRARIES = (
    '/lib', '/lib32', '/lib64', '/usr/lib', '/usr/lib32', '/usr/lib64', '/usr/local/lib', '/etc/ld.so.cache',
)  # fmt: skip
NAMESPACES = ('--unshare-all', '--die-with-parent', '--cap-drop', 'ALL')


class Sandbox:
    """Wraps commands; whether it works on this host only a run can tell (QemuImg.probe)."""

    def __init__(self, bwrap: str, program: str) -> None:
        self._bwrap = bwrap
        self._program = os.path.realpath(program)

    @classmethod
    def around(cls, program: str) -> 'Sandbox | None':
        """The sandbox for an executable, None when bubblewrap is not installed."""
        bwrap = shutil.which('bwrap')
        return cls(bwrap, program) if bwrap else None

    def wrap(
        self,
        arguments: Sequence[str],
        *,
        source: pathlib.Path | None = None,
        work: pathlib.Path | None = None,
    ) -> list[str]:
        """The command line for the program with `arguments`, which name INPUT and WORK."""
        return [self._bwrap, *NAMESPACES, *self._binds(source, work), '--', self._program, *arguments]

    def _binds(self, source: pathlib.Path | None, work: pathlib.Path | None) -> Iterator[str]:
        for library in LIBRARIES:
            yield from ('--ro-bind-try', library, library)
        yield from ('--ro-bind', self._program, self._program)
        yield from ('--dev', '/dev', '--tmpfs', '/tmp')  # noqa: S108 - a file system of its own
        if source is not None:
            yield from ('--ro-bind', str(source), INPUT)
        if work is not None:
            yield from ('--bind', str(work), WORK, '--chdir', WORK)
        else:
            yield from ('--chdir', '/')
