"""Trusts end with their imports: at once, or when Keystone is back.

An import keeps its trust's id until the trust has ended, so no death and no outage loses one.
"""

import datetime
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.db.transaction import Transaction
from imagepipe.domain.import_ import Import

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)


def end(services: 'Services', record: Import) -> None:
    """End the trust of an import that has ended, if there is one, and forget it.

    One that nobody may delete is forgotten when its time is over. Raises DelegationLost,
    IdentityUnavailable.
    """
    if record.trust_id is None:
        return
    if services.identity is None:
        raise errors.IdentityUnavailable()
    try:
        services.identity.end(record.trust_id)
    except errors.DelegationLost:
        if not services.db.read(lambda tx: tx.now - record.created_at > services.identity.lifetime):
            raise
    services.db.run(lambda tx: tx.imports.forget_trust(record.id))


def sweep(services: 'Services', *, patience: float, limit: int) -> None:
    """End the trusts that outlived their imports by so many seconds, as far as Keystone lets it.

    Until then it is the conductor's that ended the import. Raises IdentityUnavailable.
    """
    for record in _left_over(services, patience, limit):
        try:
            end(services, record)
        except errors.DelegationLost:
            LOG.debug('Trust %s cannot be ended: its user may not log in', record.trust_id)


def _left_over(services: 'Services', patience: float, limit: int) -> Iterator[Import]:
    after, waited = '', datetime.timedelta(seconds=patience)

    def page(tx: Transaction) -> list[Import]:
        return tx.imports.with_trusts(tx.now - waited, after, limit)

    while found := services.db.read(page):
        yield from found
        after = found[-1].id
