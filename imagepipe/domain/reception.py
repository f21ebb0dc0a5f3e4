"""Where the bytes of a transfer go: rules that its record alone must tell."""

from imagepipe.domain.transfer import Transfer, TransferKind

#: Part of the object name of bytes that stream straight into a store.
STRAIGHT = 'data'
#: Part of the object name of bytes that are complete in the staging area before a store gets them.
STAGED = 'received'


def staged(transfer: Transfer) -> bool:
    """Whether the transfer's bytes are, or may be, in the staging area."""
    straight_to_staging = transfer.kind is TransferKind.STAGE and transfer.store is None
    return straight_to_staging or transfer.object_name.endswith(f'.{STAGED}')
