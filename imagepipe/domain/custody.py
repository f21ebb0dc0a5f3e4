"""Whose an image is while its status does not last: by when it must go on, and how it ends otherwise.

The sweeper enforces this table (operations/custody.py), and the operators' guide shows it.
"""

import dataclasses
from collections.abc import Mapping

from imagepipe.domain.image import Status

#: Statuses that may last: nothing of such an image is on its way.
LASTING = frozenset({Status.ACTIVE, Status.DEACTIVATED, Status.KILLED, Status.DELETED})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Custody:
    """One case of a status. `owner`, `deadline` and `end` are sentences; `options` set the deadline."""

    status: Status
    case: str
    owner: str
    deadline: str
    end: str
    options: tuple[str, ...] = ()


CUSTODIES: tuple[Custody, ...] = (
    Custody(
        status=Status.QUEUED,
        case='without data',
        owner='Its user.',
        deadline='None.',
        end='It waits for its data, or to be deleted.',
    ),
    Custody(
        status=Status.QUEUED,
        case='bytes of an upload, or staged ones, are left',
        owner='The transfer, which is ended: whoever ended it, then the sweeper.',
        deadline='The lease of the transfer.',
        end='The bytes are removed; the image stays queued.',
        options=('transfers.lease_seconds',),
    ),
    Custody(
        status=Status.SAVING,
        case='while its data comes',
        owner='The request, by the lease of its transfer.',
        deadline='The lease, which is prolonged as long as client and store may take.',
        end='It is queued again, its bytes are removed.',
        options=('transfers.lease_seconds', 'transfers.client_timeout', 'transfers.store_timeout'),
    ),
    Custody(
        status=Status.UPLOADING,
        case='while its data comes',
        owner='The request, by the lease of its transfer.',
        deadline='The lease, which is prolonged as long as client and store may take.',
        end='It is queued again, its bytes are removed.',
        options=('transfers.lease_seconds', 'transfers.client_timeout', 'transfers.store_timeout'),
    ),
    Custody(
        status=Status.UPLOADING,
        case='with all of its data staged',
        owner='Its user, who has yet to ask for the import.',
        deadline='None, unless one is set.',
        end='It is queued again, the staged bytes are removed and given back to the quota.',
        options=('staging.keep_for',),
    ),
    Custody(
        status=Status.UPLOADING,
        case='with its staged data kept after its import has failed',
        owner='Its user, who may ask for the import again.',
        deadline='The time for which it is kept.',
        end='It is queued again, the staged bytes are removed and given back to the quota.',
        options=('staging.keep_failed',),
    ),
    Custody(
        status=Status.IMPORTING,
        case='while its import lives',
        owner='The import: the conductor that has claimed it, or the next.',
        deadline='A claim expires; a step is stuck, or loses too many workers; no conductor knows the flow; '
        'the only host that has the staged data is lost.',
        end='Another conductor goes on; in the end it is active, or queued again and nothing is left.',
        options=(
            'conductor.lease',
            'conductor.stuck_after',
            'conductor.max_attempts',
            'conductor.unknown_flow_after',
            'staging.lost_after',
        ),
    ),
    Custody(
        status=Status.PENDING_DELETE,
        case='until it is scrubbed',
        owner='The sweeper; an operator can restore it.',
        deadline='The delay of deletes.',
        end='It is deleted, with its data.',
        options=('scrub_time',),
    ),
)

#: What becomes of an image that is found in a status without any of its owners. One that waits to be
#: scrubbed is given its owner back.
OWNERLESS: Mapping[Status, Status] = {
    Status.SAVING: Status.QUEUED,
    Status.UPLOADING: Status.QUEUED,
    Status.IMPORTING: Status.QUEUED,
    Status.PENDING_DELETE: Status.PENDING_DELETE,
}
#: How often such images are looked for.
OWNERLESS_OPTION = 'conductor.store_sweep_interval'
