"""Data into staging, and data in staging looked at again: one pass, digests and inspection on the way."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from imagepipe import errors
from imagepipe.stores.staging import SharedStaging
from imagepipe.stores.streams import Digests, Reader, Sink, pump


class Inspecting(Sink, Protocol):
    """A sink that says what it saw (formats.inspection.Inspector)."""

    @property
    def verdict(self) -> object: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Received:
    """What is in staging now; as_json() is what steps and transfers record."""

    name: str
    size: int
    digests: Mapping[str, str]
    identity: Mapping[str, int]
    verdict: Mapping[str, object] | None

    def as_json(self) -> dict[str, object]:
        """Plain JSON."""
        return {
            'name': self.name,
            'size': self.size,
            'digests': dict(self.digests),
            'identity': dict(self.identity),
            'verdict': self.verdict,
        }


class Intake:
    """Staging with the sinks that every byte passes."""

    def __init__(self, staging: SharedStaging, inspector: Callable[[], Inspecting]) -> None:
        self.staging = staging
        self._inspector = inspector

    def receive(
        self,
        name: str,
        reader: Reader,
        *,
        algorithms: Sequence[str],
        limit: int | None = None,
        progress: Callable[[int], None] | None = None,
        sinks: Iterable[Sink] = (),
    ) -> Received:
        """Write the reader's bytes to a new file of this name; nothing is left of it on failure.

        Raises what pump() raises, StagingFull, StagingUnavailable.
        """
        return self._pass(name, reader, [self.staging.sink(name), *sinks], algorithms, limit, progress)

    def examine(
        self, name: str, *, algorithms: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Received:
        """Read a complete file again. Raises StagingLost, StagingUnavailable."""
        with self.staging.open(name) as reader:
            return self._pass(name, reader, [], algorithms, None, progress)

    def _pass(
        self,
        name: str,
        reader: Reader,
        sinks: list[Sink],
        algorithms: Sequence[str],
        limit: int | None,
        progress: Callable[[int], None] | None,
    ) -> Received:
        digests, inspector = Digests(algorithms), self._inspector()
        size = pump(reader, [*sinks, digests, inspector], limit=limit, progress=progress)
        return Received(
            name=name,
            size=size,
            digests=digests.results(),
            identity=self.identity(name),
            verdict=inspector.verdict.as_json(),
        )

    def identity(self, name: str) -> Mapping[str, int]:
        """What tells whether the bytes are still those once recorded. Raises StagingLost."""
        found = self.staging.identity(name)
        if found is None:
            raise errors.StagingLost(image_id=name.split('.')[0])
        return found

    def same(self, recorded: Mapping[str, object]) -> bool:
        """Whether the file is still the one that as_json() recorded."""
        return self.staging.identity(recorded['name']) == recorded['identity']
