"""Bytes on their way in: one pass through digests and inspection to their place.

What a request or an import brings goes either into the staging area (and from there, complete
and judged, into its store) or straight into a store that can take it as it comes. What is in
staging can be examined again, and told from what somebody else put there.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence

from imagepipe import errors
from imagepipe.formats.inspection import Inspector, Rules, judge
from imagepipe.formats.verdict import Verdict
from imagepipe.sources.staged import StagedObject
from imagepipe.stores.putting import Carried, PutSink
from imagepipe.stores.staging import StagingDirectory
from imagepipe.stores.store import Stores
from imagepipe.stores.streams import Announced, Cancelled, Digests, Reader, Sink, StagedFile, pump

LOG = logging.getLogger(__name__)

#: Called with the bytes seen so far; raising ends the transfer.
Progress = Callable[[int], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Received:
    """Complete data. `digests` by algorithm, lower-case hex; `url` once a store has it."""

    name: str
    size: int
    digests: Mapping[str, str]
    verdict: Verdict | None = None
    identity: Mapping[str, int] | None = None
    url: str | None = None

    def as_json(self) -> dict[str, object]:
        """What the steps of an import record: plain JSON."""
        return {
            'name': self.name,
            'size': self.size,
            'digests': dict(self.digests),
            'identity': dict(self.identity or {}),
            'verdict': None if self.verdict is None else self.verdict.as_json(),
        }


class Intake:
    """Takes data in. algorithms: computed over everything; rules: what an image may be.

    patience: seconds that a store may give no sign while data is streamed into it. carried: gives what
    runs in another thread the trace of this one.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        staging: StagingDirectory,
        algorithms: Sequence[str],
        rules: Rules,
        patience: float = 600.0,
        carried: Carried | None = None,
    ) -> None:
        self.staging = staging
        self._stores = stores.all
        self._algorithms = tuple(dict.fromkeys(('md5', *algorithms)))
        self._rules = rules
        self._patience = patience
        self._carried = carried
        #: Names that a store may yet write, although their transfers have failed.
        self._late: set[str] = set()

    def straight(self, store_id: str, size: int | None) -> bool:
        """Whether data of this size goes into the store as it comes.

        A file store takes a received file over without a copy; a driver that must know the
        size, or would keep everything in memory without it, gets data of unknown size staged.
        """
        store = self._stores[store_id]
        return not store.takes_files and (size is not None or not store.needs_size)

    def to_staging(
        self,
        name: str,
        body: Reader,
        *,
        size: int | None = None,
        limit: int | None,
        progress: Progress,
        inspect: bool = True,
        algorithms: Sequence[str] | None = None,
        also: Sequence[str] = (),
    ) -> Received:
        """Into a new staged file; after any error there is none.

        size: what was announced; other data is SizeMismatch. algorithms: digests other than those
        that every request gets; also: some besides.
        """
        body = body if size is None else _announced(body, size)
        sink = self.staging.sink(name)
        wanted = [*(self._algorithms if algorithms is None else algorithms), *also]
        received = self._pass(
            name, body, [sink], limit=limit, progress=progress, inspect=inspect, algorithms=wanted
        )
        return dataclasses.replace(received, identity=self.staging.identity(name))

    def examine(self, name: str, *, algorithms: Sequence[str], progress: Progress) -> Received:
        """Read a complete staged file again. Raises StagingLost, StagingUnavailable."""
        identity = self.identity(name)
        with self.staging.open(name) as reader:
            seen = self._pass(
                name, reader, [], limit=None, progress=progress, inspect=True, algorithms=algorithms
            )
        return dataclasses.replace(seen, identity=identity)

    def identity(self, name: str) -> Mapping[str, int]:
        """What tells whether the bytes are still those once recorded. Raises StagingLost."""
        found = self.staging.identity(name)
        if found is None:
            raise errors.StagingLost(image_id=name.partition('.')[0])
        return found

    def same(self, recorded: Mapping[str, object]) -> bool:
        """Whether the staged file is still the one that as_json() recorded."""
        return self.staging.identity(recorded['name']) == recorded['identity']

    def to_store(
        self,
        name: str,
        body: Reader,
        *,
        store_id: str,
        size: int | None,
        limit: int | None,
        progress: Progress,
        inspect: bool,
        also: Sequence[str] = (),
    ) -> Received:
        """Straight into a store; after an error, SizeMismatch too, the caller discards what is there.

        The name is never used again.
        """
        body = body if size is None else _announced(body, size)
        sink = self._put_sink(store_id, name, size, late=self._late)
        wanted = [*self._algorithms, *also]
        received = self._pass(
            name, body, [sink], limit=limit, progress=progress, inspect=inspect, algorithms=wanted
        )
        return dataclasses.replace(received, url=sink.url)

    def copied(
        self,
        name: str,
        body: Reader,
        *,
        store_id: str,
        size: int,
        algorithms: Sequence[str],
        progress: Progress,
    ) -> Received:
        """Out of one store into another; after an error the caller discards what is there."""
        sink = self._put_sink(store_id, name, size)
        received = self._pass(
            name, body, [sink], limit=size, progress=progress, inspect=False, algorithms=algorithms
        )
        return dataclasses.replace(received, url=sink.url)

    def hashed(self, body: Reader, *, algorithms: Sequence[str], limit: int, progress: Progress) -> Received:
        """Read data through and keep none of it. Raises SizeCapExceeded beyond `limit` bytes."""
        return self._pass('', body, [], limit=limit, progress=progress, inspect=False, algorithms=algorithms)

    def staged_object(
        self,
        url: str,
        *,
        store_id: str,
        size: int,
        md5: str,
        lost: errors.StagingLost,
        cancelled: Cancelled,
    ) -> StagedObject:
        """What was staged in a store, to be fetched. Raises `lost`, and what the store raises."""
        store = self._stores.get(store_id)
        if store is None:
            raise lost
        return StagedObject(store, url, size=size, md5=md5, lost=lost, cancelled=cancelled)

    def hand_over(self, name: str, store_id: str, progress: Progress) -> str:
        """From the staging area into a store, which may link the file; returns the URL."""
        with _Watched(self.staging.path(name), progress) as staged:
            return self._stores[store_id].put(name, staged, staged.size)

    def discard(self, name: str, *, store_id: str | None, staged: bool) -> bool:
        """Nothing of this name is left, in the store and in staging. Raises what they raise.

        Whether nothing can come any more: a store may still hold on to what it was given up for.
        """
        ended = name not in self._late
        if store_id is not None and store_id in self._stores:
            self._stores[store_id].discard(name)
        if staged:
            self.staging.discard(name)
        return ended

    def discard_staged(self, name: str) -> None:
        """Remove the staged file after its bytes are a store's; what fails is left to the sweeper."""
        try:
            self.staging.discard(name)
        except errors.StagingUnavailable as error:
            LOG.warning('Staged file %s could not be removed: %s', name, error)

    def judge(
        self, received: Received, *, disk_format: str | None, container_format: str | None
    ) -> int | None:
        """The virtual size. Raises FormatMismatch, FormatAmbiguous, FormatUnsafe."""
        if received.verdict is None:
            return None
        return judge(
            received.verdict, disk_format=disk_format, container_format=container_format, rules=self._rules
        )

    def _put_sink(
        self, store_id: str, name: str, size: int | None, *, late: set[str] | None = None
    ) -> PutSink:
        store = self._stores[store_id]
        return PutSink(store, name, size, patience=self._patience, late=late, carried=self._carried)

    def _pass(
        self,
        name: str,
        body: Reader,
        targets: Sequence[Sink],
        *,
        limit: int | None,
        progress: Progress,
        inspect: bool,
        algorithms: Sequence[str],
    ) -> Received:
        digests = Digests(algorithms)
        inspector = Inspector() if inspect else None
        sinks = [*targets, digests, *([] if inspector is None else [inspector])]
        size = pump(body, sinks, limit=limit, progress=progress)
        verdict = None if inspector is None else inspector.verdict
        return Received(name=name, size=size, digests=digests.results(), verdict=verdict)


def _announced(body: Reader, size: int) -> Announced:
    def wrong(found: int) -> errors.SizeMismatch:
        return errors.SizeMismatch(found=found if found < size else f'more than {size}', expected=size)

    return Announced(body, size, wrong)


class _Watched(StagedFile):
    """A staged file whose reading is seen, so that a slow store does not outlast the lease."""

    def __init__(self, path: object, progress: Progress) -> None:
        super().__init__(path)
        self._progress = progress
        self._seen = 0

    def read(self, size: int = -1) -> bytes:
        piece = super().read(size)
        self._seen += len(piece)
        self._progress(self._seen)
        return piece
