"""An import: what was asked, the frozen plan, its states, steps and ends."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

#: Version of the flow that an import accepted today is run with.
FLOW_VERSION = 1


class ImportState(enum.StrEnum):
    """accepted, running, then committed or reverting, then one end."""

    ACCEPTED = 'accepted'
    RUNNING = 'running'
    COMMITTED = 'committed'
    REVERTING = 'reverting'
    SUCCEEDED = 'succeeded'
    FAILED = 'failed'
    CANCELLED = 'cancelled'


LIVE = frozenset({ImportState.ACCEPTED, ImportState.RUNNING, ImportState.COMMITTED, ImportState.REVERTING})
ENDED = frozenset({ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED})
#: Cancel, delete of the image and a forced revert win only from here.
REVERTIBLE = frozenset({ImportState.ACCEPTED, ImportState.RUNNING})


class Method(enum.StrEnum):
    """How the bytes reach the service."""

    GLANCE_DIRECT = 'glance-direct'
    WEB_DOWNLOAD = 'web-download'


class StepState(enum.StrEnum):
    """What a step does at this moment."""

    PENDING = 'pending'
    RUNNING = 'running'
    DONE = 'done'
    FAILED = 'failed'
    SKIPPED = 'skipped'
    REVERTING = 'reverting'
    REVERTED = 'reverted'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One store of the plan and the format that it shall hold."""

    store: str
    disk_format: str
    representation_id: str
    location_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything an import is run by, frozen when it was accepted: no flow reads configuration.

    digests: hash algorithms computed over the source; os_hash_algo names the image's own.
    fetch_attempts and store_attempts count tries (1: no retry); backoff is seconds before the
    second try, doubled for each further one.
    """

    disk_format: str
    container_format: str
    targets: tuple[Target, ...]
    must_succeed: bool
    digests: tuple[str, ...]
    os_hash_algo: str
    expected: Mapping[str, object] = dataclasses.field(default_factory=dict)
    decompress: bool = False
    size_cap: int = 2**63 - 1
    max_virtual_size: int | None = None
    fetch_attempts: int = 3
    store_attempts: int = 3
    restage_attempts: int = 2
    backoff: float = 1.0
    step_events: bool = False
    transfer_id: str | None = None

    @property
    def formats(self) -> tuple[str, ...]:
        """Target formats that need a conversion, in the order of the stores."""
        wanted = dict.fromkeys(target.disk_format for target in self.targets)
        return tuple(name for name in wanted if name != self.disk_format)

    def as_json(self) -> dict[str, object]:
        """The plan as plain JSON."""
        return {
            **dataclasses.asdict(self),
            'targets': [dataclasses.asdict(target) for target in self.targets],
            'digests': list(self.digests),
            'expected': dict(self.expected),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> 'Plan':
        """The plan that as_json wrote; unknown keys are those of a newer release."""
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {name: item for name, item in value.items() if name in known}
        fields['targets'] = tuple(Target(**target) for target in fields['targets'])
        fields['digests'] = tuple(fields['digests'])
        return cls(**fields)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Import:
    """The only record of an import. Times are naive UTC; plan is None where it cannot be decoded."""

    id: str
    image_id: str
    method: str
    state: ImportState
    plan: Plan | None
    owner: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    flow_version: int = FLOW_VERSION
    logbook_id: str = ''
    flow_id: str = ''
    source_url: str | None = None  # encrypted
    source_shown: str | None = None  # without query and userinfo
    source_resume: Mapping[str, str] | None = None
    source_size: int | None = None
    reserved: int = 0
    staged: Mapping[str, int] = dataclasses.field(default_factory=dict)
    source_digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    detected_format: str | None = None
    result: Mapping[str, object] = dataclasses.field(default_factory=dict)
    error_code: str | None = None
    error_message: str | None = None
    error_step: str | None = None
    claim_owner: str | None = None
    epoch: int = 0
    retry_of: str | None = None
    trace: Mapping[str, object] | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None

    @property
    def live(self) -> bool:
        """Whether a worker still owes this import an end."""
        return self.state in LIVE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to run an import: this owner, this epoch, until somebody raises it."""

    import_id: str
    image_id: str
    owner: str
    epoch: int

    def as_json(self) -> dict[str, object]:
        """The claim as a flow's store carries it."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an import as an operator or tenant sees it. Sizes are bytes."""

    import_id: str
    name: str
    position: int
    state: StepState = StepState.PENDING
    attempt: int = 0
    crashes: int = 0
    worker: str | None = None
    bytes_done: int | None = None
    bytes_total: int | None = None
    started_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None
    error_code: str | None = None
    error_message: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportQuery:
    """Which imports to list, newest first; `limit` rows after the one that `marker` names."""

    limit: int
    marker: str | None = None
    state: str | None = None
    image_id: str | None = None
    method: str | None = None
    owner: str | None = None
