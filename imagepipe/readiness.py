"""Whether this process could do what it is asked for now: for those who send it requests, or watch it.

Anybody may ask, and often: the parts are looked at once a second at most, by one request at a time.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.db.database import REFUSALS
from imagepipe.domain import store_state
from imagepipe.domain.readiness import Lack, Part

if TYPE_CHECKING:
    from imagepipe.db.database import Database
    from imagepipe.db.transaction import Transaction
    from imagepipe.stores.staging import StagingDirectory

LOG = logging.getLogger(__name__)

#: Seconds for which an answer is given again.
_FRESH = 1.0


class Readiness:
    """Looks at database and staging itself, and at what conductors have recorded of themselves.

    db: one that gives up at its first failure. lease: seconds after which a silent conductor counts as none.
    host: this one, if only its conductors can reach what is staged here.
    default_store: the id of the store that takes what no other is named for.
    """

    def __init__(
        self,
        db: 'Database',
        staging: 'StagingDirectory',
        *,
        lease: float,
        default_store: str,
        host: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._staging = staging
        self._lease = lease
        self._host = host
        self._default_store = default_store
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = float('-inf')
        self._found: tuple[Lack, ...] = ()

    def missing(self) -> tuple[Lack, ...]:
        """What is missing; of the parts that only the database knows of nothing is told without it."""
        with self._lock:
            if self._clock() - self._looked >= _FRESH:
                self._found = tuple(self._look())
                self._looked = self._clock()
            return self._found

    def _look(self) -> Iterator[Lack]:
        try:
            self._staging.check()
        except errors.StagingFull:
            pass  # that passes as imports end
        except errors.StagingUnavailable:
            yield Lack(part=Part.STAGING, reason='This host cannot write the staging directory.')
        try:
            yield from self._db.snapshot(self._recorded)
        except errors.DatabaseUnavailable:
            yield Lack(part=Part.DATABASE, reason='The database does not answer.')
        except REFUSALS as error:
            LOG.error('The database cannot be used as it is: %s', error)
            reason = 'The database cannot be used as it is: "imagepipe-manage db version" may say more.'
            yield Lack(part=Part.DATABASE, reason=reason)

    def _recorded(self, tx: 'Transaction') -> list[Lack]:
        found = []
        hosts = tx.conductors.at_work(self._lease)
        at_work = {host.name for host in hosts}
        if not hosts:
            found.append(Lack(part=Part.CONDUCTOR, reason='No conductor takes imports.'))
        elif self._host is not None and self._host not in at_work:
            reason = 'No conductor takes imports on this host, which alone can reach what is staged here.'
            found.append(Lack(part=Part.CONDUCTOR, reason=reason))
        awaited = [host for host in tx.bindings.hosts() if host not in at_work]
        if awaited:
            reason = f'Imports wait for hosts on which no conductor takes them: {", ".join(awaited)}.'
            found.append(Lack(part=Part.CONDUCTOR, reason=reason))
        for part, reason in (
            (Part.CONDUCTOR_STAGING, 'Conductors cannot write the staging directory on: {hosts}.'),
            (Part.CONVERTER, 'qemu-img does not run on: {hosts}.'),
            (Part.BROKER, 'Conductors cannot reach the broker from: {hosts}.'),
        ):
            lack = Part.STAGING if part is Part.CONDUCTOR_STAGING else part
            without = [host.name for host in hosts if lack in host.lacks]
            if without:
                found.append(Lack(part=part, reason=reason.format(hosts=', '.join(without))))
        if tx.outbox.is_refused() and all(lack.part is not Part.BROKER for lack in found):
            found.append(Lack(part=Part.BROKER, reason='The broker does not take notifications.'))
        return [*found, *self._stores(tx)]

    def _stores(self, tx: 'Transaction') -> Iterator[Lack]:
        for store, checks in sorted(tx.store_checks.latest().items()):
            health = store_state.health(checks)
            if not health.usable:
                part = Part.DEFAULT_STORE if store == self._default_store else Part.STORE
                reason = f"Store '{store}' cannot be used on: {', '.join(health.hosts)}."
                yield Lack(part=part, reason=reason)
