"""An import: what was asked, the frozen plan, its states, steps and ends."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from imagepipe.domain import records
from imagepipe.domain.remote import RemoteImage
from imagepipe.domain.signature import Signature
from imagepipe.domain.usage import Limits

#: The format of what an import brings, and of what is stored as it comes, where the source says it later.
AS_SOURCE = 'source'


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
#: What can be asked for once more.
RETRYABLE = frozenset({ImportState.FAILED, ImportState.CANCELLED})
#: Cancel, delete of the image and a forced revert win only from here.
REVERTIBLE = frozenset({ImportState.ACCEPTED, ImportState.RUNNING})


class Method(enum.StrEnum):
    """How the bytes reach the service."""

    GLANCE_DIRECT = 'glance-direct'
    WEB_DOWNLOAD = 'web-download'
    COPY_IMAGE = 'copy-image'
    GLANCE_DOWNLOAD = 'glance-download'
    #: Not a method that a client names: POST locations makes such an import.
    LOCATION_IMPORT = 'location-import'


#: Methods whose source can be read again when what was staged of it is lost.
REREADABLE = frozenset({Method.WEB_DOWNLOAD, Method.GLANCE_DOWNLOAD})

#: glance-direct where a store keeps what was staged: a row of FLOWS beside those of the methods.
FROM_STORE = 'glance-direct from a store'
#: glance-direct and web-download with duties that the first release did not know, and would leave out.
GUARDED = 'guarded'
#: The flow that an import accepted today is run with. The number is on record, and older releases
#: leave numbers alone that they do not know: a new shape of a flow is a new number.
FLOWS: Mapping[str, int] = {
    Method.GLANCE_DIRECT: 1,
    Method.WEB_DOWNLOAD: 1,
    Method.COPY_IMAGE: 2,
    Method.LOCATION_IMPORT: 3,
    Method.GLANCE_DOWNLOAD: 4,
    FROM_STORE: 5,
    GUARDED: 6,
}


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

    Older releases leave fields out that they do not know, here and in the parts: one that must not be left
    out takes a new number of its flow (FLOWS).
    digests: hash algorithms computed over the source; os_hash_algo names the image's own.
    fetch_attempts and store_attempts count tries (1: no retry); backoff is seconds before the
    second try, doubled for each further one. staged_store: which store has what the client has staged; None:
    it is in the staging area. keep_failed: seconds for which it is kept after a failure. inject:
    properties that the image gets; protections: which ones the import's user may write
    (domain/protections.py), whatever they come from. limits: what the project may use, by resource.
    signature: over the source, complete with the key to check it with; its algorithm is in digests. The
    formats are AS_SOURCE where the source says them; then convert_formats are those of a source that are
    converted, property_prefixes begin the names of the properties that are copied from it, and
    property_quota bounds what the image has then.
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
    staged_store: str | None = None
    keep_failed: int = 0
    inject: Mapping[str, str] = dataclasses.field(default_factory=dict)
    protections: tuple[Mapping[str, object], ...] = ()
    limits: Limits = dataclasses.field(default_factory=dict)
    signature: Signature | None = None
    convert_formats: tuple[str, ...] = ()
    property_prefixes: tuple[str, ...] = ()
    property_quota: int = -1
    #: Whether data at a location is read to be hashed.
    secure_hash: bool = True

    @property
    def formats(self) -> tuple[str, ...]:
        """Target formats that need a conversion, in the order of the stores."""
        wanted = dict.fromkeys(target.disk_format for target in self.targets)
        return tuple(name for name in wanted if name != self.disk_format)

    @property
    def guarded(self) -> bool:
        """Whether it asks for what a worker that does not know it must not leave out."""
        return bool(self.signature or self.inject)

    @property
    def compares(self) -> bool:
        """Whether data at a location is read before anybody can use it: to be held against something."""
        return self.secure_hash and bool(self.expected or self.signature)

    def as_json(self) -> dict[str, object]:
        """The plan as plain JSON."""
        return {
            **dataclasses.asdict(self),
            'targets': [dataclasses.asdict(target) for target in self.targets],
            **{name: list(getattr(self, name)) for name in _LISTS},
            'expected': dict(self.expected),
            'limits': dict(self.limits),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> 'Plan':
        """The plan that as_json wrote; unknown keys are those of a newer release."""
        fields = records.known(cls, value)
        fields['targets'] = tuple(Target(**records.known(Target, target)) for target in fields['targets'])
        fields |= {name: tuple(fields[name]) for name in _LISTS if name in fields}
        if fields.get('signature') is not None:
            fields['signature'] = Signature(**records.known(Signature, fields['signature']))
        return cls(**fields)

    def of(self, remote: RemoteImage | None) -> 'Plan':
        """The plan with what a described source says of itself: its formats, size and digest."""
        found = None if remote is None else remote.found
        if found is None:
            return self
        return dataclasses.replace(
            self,
            disk_format=found.disk_format,
            container_format=found.container_format,
            digests=tuple(dict.fromkeys([*self.digests, *(set(found.expected) - {'size'})])),
            expected={**found.expected, **self.expected},
        )


#: Fields of a plan that JSON knows as lists.
_LISTS = ('digests', 'protections', 'convert_formats', 'property_prefixes')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Import:
    """The only record of an import. Times are naive UTC; plan is None where the record cannot be decoded."""

    id: str
    image_id: str
    method: str
    state: ImportState
    plan: Plan | None
    owner: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    flow_version: int = 1
    logbook_id: str = ''
    flow_id: str = ''
    source_url: str | None = None  # encrypted
    source_shown: str | None = None  # without query and userinfo
    source_image: RemoteImage | None = None
    #: The right of the service to act as the import's user, until the import has ended.
    trust_id: str | None = None
    source_resume: Mapping[str, str | int] | None = None
    source_size: int | None = None
    reserved: int = 0
    staged: Mapping[str, int] = dataclasses.field(default_factory=dict)
    #: The only host that can reach what is staged for it; None: none needs to, or all can.
    staged_host: str | None = None
    source_digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    detected_format: str | None = None
    result: Mapping[str, object] = dataclasses.field(default_factory=dict)
    error_code: str | None = None
    error_message: str | None = None
    error_step: str | None = None
    claim_owner: str | None = None
    epoch: int = 0
    #: Whether it has few bytes for certain, and how many are known of.
    small: bool = False
    weight: int = 0
    retry_of: str | None = None
    trace: Mapping[str, object] | None = None
    #: What was asked for as a task, less the URL (domain/task.py); None for every other import.
    task_input: Mapping[str, object] | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None
    started_at: datetime.datetime | None = None
    finished_at: datetime.datetime | None = None

    @property
    def live(self) -> bool:
        """Whether a worker still owes this import an end."""
        return self.state in LIVE

    @property
    def rereadable(self) -> bool:
        """Whether its source can be read again when what was staged of it is lost."""
        return self.method in REREADABLE or (self.plan is not None and self.plan.staged_store is not None)

    @property
    def copies(self) -> bool:
        """Whether it adds copies to an image that is active and stays so."""
        return self.method == Method.COPY_IMAGE


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
class Waiting:
    """An import that nobody holds, as much of it as is read to choose one.

    given_up: nobody has known its flow for so long that whoever takes it ends it without.
    """

    id: str
    flow_version: int
    small: bool
    weight: int
    given_up: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepFailure:
    """How an attempt of a step ended that did not succeed. `at` is naive UTC."""

    attempt: int
    code: str
    message: str
    at: datetime.datetime

    def as_json(self) -> dict[str, object]:
        """For the database."""
        return {**dataclasses.asdict(self), 'at': self.at.isoformat()}

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> 'StepFailure':
        """From the database."""
        return cls(**{**records.known(cls, found), 'at': datetime.datetime.fromisoformat(found['at'])})


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
    failures: tuple[StepFailure, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportQuery:
    """Which imports to list, newest first; `limit` rows after the one that `marker` names."""

    limit: int
    marker: str | None = None
    state: str | None = None
    image_id: str | None = None
    method: str | None = None
    owner: str | None = None
