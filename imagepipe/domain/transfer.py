"""A transfer: one PUT of data, to staging or to a store, with a lease."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping


class TransferKind(enum.StrEnum):
    """Where the bytes of the request go."""

    UPLOAD = 'upload'
    STAGE = 'stage'


class TransferState(enum.StrEnum):
    """open while the request runs; finished once the bytes are complete and recorded."""

    OPEN = 'open'
    FINISHED = 'finished'
    ENDED = 'ended'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transfer:
    """Recorded before its first byte; the sweeper ends what nobody renews.

    identity: inode, size and mtime_ns of the staged file; an import trusts digests and
    verdict only while they agree with the file. url: where a store has what was staged.
    host: the only one that can reach what is staged; None: nothing is, or all can.
    project: who pays for what is reserved, the owner of the image when the transfer began.
    """

    id: str
    image_id: str
    kind: TransferKind
    state: TransferState
    object_name: str
    store: str | None = None
    host: str | None = None
    owner: str = ''
    project: str | None = None
    epoch: int = 1
    reserved: int = 0
    size: int | None = None
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    verdict: Mapping[str, object] | None = None
    identity: Mapping[str, int] | None = None
    url: str | None = None
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = None

    def reachable_from(self, host: str) -> bool:
        """Whether the processes of this host can reach what is staged."""
        return self.host in (None, host)
