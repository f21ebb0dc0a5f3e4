"""Says what a stream of untrusted bytes is: recognised formats, failed safety checks, virtual size.

The stream is cut into blocks of one size before anybody looks at it, so the
verdict does not depend on how it arrived. Two opinions are asked: oslo.utils'
inspectors (library.py) and our examiners, which look at what those leave out.
What either recognises is recognised, what either finds is found.
"""

import os
from collections.abc import Iterable

from imagepipe.formats import compression, examiners, library
from imagepipe.formats.capture import Capture
from imagepipe.formats.rules import Rules, judge
from imagepipe.formats.verdict import Finding, Verdict

__all__ = ['Finding', 'Inspector', 'Rules', 'Verdict', 'inspect_file', 'judge']

BLOCK = 64 * 1024
CHUNK = 1024 * 1024
#: An ISO with a partition table in its unused first sectors boots from a stick too; it is an ISO.
HYBRID_ISO = frozenset({'gpt', 'iso'})


class Inspector:
    """A sink that keeps about 2 MiB at most; `verdict` is there once it was closed."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._seen = Capture()
        self._opinions = library.opinions()
        self._live = list(self._opinions)
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        if self._verdict is None:
            raise RuntimeError('an inspector has no verdict before close()')
        return self._verdict

    def write(self, chunk: bytes) -> None:
        """Take the next bytes, any number of them; never raises because of what they are."""
        view = memoryview(chunk)
        if self._pending:
            missing = BLOCK - len(self._pending)
            self._pending += view[:missing]
            view = view[missing:]
            if len(self._pending) < BLOCK:
                return
            self._block(bytes(self._pending))
            self._pending.clear()
        whole = len(view) - len(view) % BLOCK
        for start in range(0, whole, BLOCK):
            self._block(bytes(view[start : start + BLOCK]))
        self._pending += view[whole:]

    def close(self) -> None:
        """The stream is complete: make up the verdict."""
        if self._verdict is None:
            if self._pending:
                self._block(bytes(self._pending))
                self._pending.clear()
            for opinion in self._opinions:
                opinion.finish()
            self._verdict = self._conclude()
            self._release()

    def abort(self) -> None:
        """The stream broke off: there is no verdict over a part."""
        self._pending.clear()
        self._release()

    def _release(self) -> None:
        """Let go of the kept bytes; the library's inspectors are cycles that only the collector frees."""
        self._opinions.clear()
        self._live.clear()
        self._seen = Capture()

    def _block(self, block: bytes) -> None:
        for opinion in self._live:
            opinion.eat(block)
        news = self._seen.feed(block)
        if self._seen.head_complete and self._live:
            self._live = [opinion for opinion in self._live if not opinion.settled]
        if not news:
            return
        for examiner in examiners.ALL:
            for offset, length in examiner.wants(self._seen):
                self._seen.want(offset, length)

    def _conclude(self) -> Verdict:
        examined = [found for each in examiners.ALL if (found := each.examine(self._seen)) is not None]
        matching = [opinion for opinion in self._opinions if opinion.matches]
        formats = {found.format for found in examined} | {opinion.format for opinion in matching}
        chosen = _chosen(formats)
        return Verdict(
            format=chosen,
            formats=tuple(sorted(formats)) or ('raw',),
            compression=compression.detect(self._seen.head(compression.MAGIC_LENGTH)),
            virtual_size=self._virtual_size(chosen, examined, matching),
            findings=tuple(sorted(_findings(examined, matching))),
            size=self._seen.size,
            subformat=next((found.subformat for found in examined if found.subformat), None),
        )

    def _virtual_size(
        self,
        chosen: str | None,
        examined: Iterable[examiners.Examination],
        matching: Iterable[library.Opinion],
    ) -> int | None:
        if chosen in ('raw', 'gpt'):
            return self._seen.size or None
        sizes = [found.virtual_size for found in examined if found.format == chosen]
        sizes += [opinion.virtual_size for opinion in matching if opinion.format == chosen]
        return next((size for size in sizes if size), None)


def inspect_file(path: str | os.PathLike[str]) -> Verdict:
    """The verdict over a file of our own making or staging, read once."""
    inspector = Inspector()
    with open(path, 'rb') as file:
        while chunk := file.read(CHUNK):
            inspector.write(chunk)
    inspector.close()
    return inspector.verdict


def _chosen(formats: set[str]) -> str | None:
    if not formats:
        return 'raw'
    if formats == HYBRID_ISO:
        return 'iso'
    return next(iter(formats)) if len(formats) == 1 else None


def _findings(
    examined: Iterable[examiners.Examination], matching: Iterable[library.Opinion]
) -> Iterable[Finding]:
    """Ours first; the library is asked only about formats that we found nothing against."""
    refused = set()
    for found in examined:
        yield from found.findings
        refused |= {finding.format for finding in found.findings}
    for opinion in matching:
        if opinion.format not in refused:
            yield from opinion.findings()
