"""Conductors: seen, drained, put to work again and given up by whoever operates the hosts."""

import itertools
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.conductor import Conductor, Drain, Host, Loss, WorkerSign
from imagepipe.domain.import_ import ImportState

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def search(services: 'Services') -> list[Conductor]:
    """Every conductor, by host; a drained or lost host without one too, so that nobody forgets it."""

    def look(tx: 'Transaction') -> list[Conductor]:
        hosts = {host.name: host for host in tx.conductors.hosts()}
        workers = sorted(tx.conductors.workers(), key=_of)
        found = [
            Conductor(host=hosts.get(name) or Host(name=name), pid=pid, workers=tuple(theirs))
            for (name, pid), theirs in itertools.groupby(workers, key=_of)
        ]
        seen = {worker.host for worker in workers}
        kept = [host for host in hosts.values() if host.drain is not None or host.lost_at is not None]
        found += [Conductor(host=host, pid=None, workers=()) for host in kept if host.name not in seen]
        return sorted(found, key=lambda conductor: (conductor.host.name, conductor.pid or 0))

    return services.db.snapshot(look)


def _of(worker: WorkerSign) -> tuple[str, int]:
    """The conductor of a worker; one that names none is its own."""
    return worker.host, worker.conductor_pid or worker.pid


def drain(services: 'Services', name: str, how: Drain) -> Host:
    """From now on the host's conductors take nothing new, also when they are started again.

    Raises ConductorNotFound when no conductor was ever there.
    """
    return _set(services, name, how)


def undrain(services: 'Services', name: str) -> Host:
    """The host's conductors take imports again. Raises ConductorNotFound."""
    return _set(services, name, None)


def _set(services: 'Services', name: str, how: Drain | None) -> Host:
    def change(tx: 'Transaction') -> Host:
        _lock(tx, name)
        tx.conductors.drain(name, how)
        return tx.conductors.locked(name)

    return services.db.run(change)


def _lock(tx: 'Transaction', name: str) -> None:
    """Nobody else changes the host meanwhile. Raises ConductorNotFound."""
    known = {host.name for host in tx.conductors.hosts()}
    if name not in known | {worker.host for worker in tx.conductors.workers()}:
        raise errors.ConductorNotFound(host=name)
    tx.conductors.locked(name)


def lose(services: 'Services', name: str) -> Loss:
    """Give a host up before [staging] lost_after has passed, until a conductor of it gives a sign.

    Raises ConductorNotFound; ConductorAlive while one does.
    """

    def change(tx: 'Transaction') -> Loss:
        _lock(tx, name)
        if not tx.conductors.lost([name], services.conf.conductor.lease):
            raise errors.ConductorAlive(host=name)
        tx.conductors.lose(name)
        return give_up(tx, name)

    return services.db.run(change)


def give_up(tx: 'Transaction', host: str) -> Loss:
    """Nothing waits any longer for what is staged on the host: it is read again elsewhere, or fails."""
    elsewhere = tx.bindings.undo(host)
    failed = [
        import_id
        for import_id in tx.bindings.to(host)
        if tx.imports.revert(import_id, ImportState.FAILED, errors.StagingHostLost())
    ]
    return Loss(host=host, elsewhere=elsewhere, failed=tuple(failed))
