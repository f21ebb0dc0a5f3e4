"""A conductor as operators see it: a supervisor on a host, its workers, and whether it takes imports."""

import dataclasses
import datetime
import enum

from imagepipe.domain.readiness import Part


class Drain(enum.StrEnum):
    """What becomes of the imports that run on a host which takes no new ones."""

    FINISH = 'finish'
    HAND_OVER = 'hand_over'


class ConductorState(enum.StrEnum):
    """Whether it takes imports; silent when none of its workers has given a sign for a lease.

    lost: an operator said so, and no sign came since.
    """

    WORKING = 'working'
    DRAINING = 'draining'
    DRAINED = 'drained'
    SILENT = 'silent'
    LOST = 'lost'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Host:
    """A host that has, or had, conductors: how it is drained since when, if it is, and what it lacks.

    lost_at: when an operator gave it up; None once a conductor of it gives a sign.
    """

    name: str
    drain: Drain | None = None
    drained_at: datetime.datetime | None = None
    lacks: frozenset[Part] = frozenset()
    lost_at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """What waited for data that was staged on a host which is given up.

    elsewhere: how many imports read their sources again on another host. failed: the ids of those whose
    data only clients have.
    """

    host: str
    elsewhere: int
    failed: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSign:
    """A worker as it last said of itself, so many seconds ago; imports: the ids of those it holds."""

    name: str
    host: str
    pid: int
    conductor_pid: int | None
    version: str
    started_at: datetime.datetime
    silence: float
    draining: bool
    imports: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conductor:
    """A supervisor and its workers; pid None: no worker of a drained host is known."""

    host: Host
    pid: int | None
    workers: tuple[WorkerSign, ...]

    @property
    def imports(self) -> tuple[str, ...]:
        """The imports that it has in hand."""
        return tuple(import_id for worker in self.workers for import_id in worker.imports)

    def state(self, lease: float) -> ConductorState:
        """What it does now; its workers give a sign at least three times in a lease."""
        if self.host.lost_at is not None:
            return ConductorState.LOST
        if self.workers and all(worker.silence > lease for worker in self.workers):
            return ConductorState.SILENT
        if self.host.drain is None and not (self.workers and all(each.draining for each in self.workers)):
            return ConductorState.WORKING
        return ConductorState.DRAINING if self.imports else ConductorState.DRAINED
