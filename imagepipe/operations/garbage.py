"""What nobody owns, in staging and in stores: found by the records, and removed.

Closed on doubt. A listing is whole or an error; a name that is not one of ours (domain/names.py) is
never touched; whether something is wanted is asked again in the moment of its removal; and what no
record knows must have been without an owner for [staging] grace seconds.
"""

import dataclasses
import enum
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain import names

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services
    from imagepipe.stores.store import Store

LOG = logging.getLogger(__name__)

#: What a step's work directory is called after the file that it makes.
_WORK = '.work'
#: Names that one statement asks for.
_PAGE = 500
#: A store, or the database, that could not be reached so often in a row is left alone.
_AWAY = 10


class Standing(enum.StrEnum):
    """What the records say of a file or object."""

    WANTED = 'wanted'
    #: Its import is over, and no location names it.
    ENDED = 'ended'
    #: No import, transfer or location is known that it could be of.
    UNKNOWN = 'unknown'
    #: Its name is not one that this service makes.
    FOREIGN = 'foreign'


NOBODYS = frozenset({Standing.ENDED, Standing.UNKNOWN})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Find:
    """A file in staging, or an object in a store.

    age: seconds since a file was last written, or since an object was found to have no owner. size: bytes
    of a file. due: whether it may be removed now.
    """

    name: str
    standing: Standing
    owner: names.ObjectName | None
    age: float | None = None
    size: int | None = None
    due: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """What became of a find. removed is False where somebody owns it again; problem: why it stays else."""

    find: Find
    removed: bool = False
    problem: errors.ImagepipeError | None = None


def staged(services: 'Services') -> list[Find]:
    """Everything in staging. Raises StagingUnavailable."""
    found = (_staged(services, name) for name in list(services.staging.names()))
    return [find for find in found if find is not None]


def _staged(services: 'Services', name: str) -> Find | None:
    """None when it has gone meanwhile."""
    age, identity = services.staging.age(name), services.staging.identity(name)
    if age is None:
        return None
    owner = names.parse(name.removesuffix(_WORK))
    standing = services.db.snapshot(lambda tx: _of_owner(tx, owner))
    return Find(
        name=name,
        standing=standing,
        owner=owner,
        age=age,
        size=identity and identity['size'],
        due=_is_due(standing, age, services.conf.staging.grace),
    )


def remove_all(services: 'Services', finds: Iterable[Find], *, store: 'Store | None' = None) -> list[Removal]:
    """Remove from a store, or from staging, what is due and still nobody's; one that stays keeps no other."""
    place = 'staging' if store is None else f'store {store.id}'
    found: list[Removal] = []
    refused = 0
    for find in finds:
        if refused >= _AWAY:
            found.append(Removal(find=find, problem=found[-1].problem))
            continue
        try:
            removed = _remove(services, find, store)
            found.append(Removal(find=find, removed=removed))
            refused = 0
        except errors.ImagepipeError as error:
            LOG.warning('%s stays in %s, although nobody owns it: %s', find.name, place, error)
            found.append(Removal(find=find, problem=error))
            refused += isinstance(error, errors.StoreTransient | errors.DatabaseUnavailable)
    return found


def _remove(services: 'Services', find: Find, store: 'Store | None') -> bool:
    """Whether it still was nobody's."""
    return _remove_staged(services, find) if store is None else _remove_stored(services, store, find)


def _remove_staged(services: 'Services', find: Find) -> bool:
    now = _staged(services, find.name)
    if now is None or not now.due:
        return False
    LOG.info('Removing %s from staging: nobody owns it', find.name)
    services.staging.discard(find.name)
    return True


def stored(services: 'Services', store: 'Store') -> list[Find]:
    """Every object of a store; those that nobody knows are noted. Raises what listing it raises."""
    listed = list(store.names())  # before the records are asked: an object is recorded before it is written
    standings = _standings(services, store, listed)
    unknown = [name for name, standing in standings.items() if standing is Standing.UNKNOWN]
    ages = services.db.run(lambda tx: tx.strays.note(store.id, unknown))
    grace = services.conf.staging.grace
    return [
        Find(
            name=name,
            standing=standing,
            owner=names.parse(name),
            age=ages.get(name),
            due=_is_due(standing, ages.get(name), grace),
        )
        for name, standing in standings.items()
    ]


def _standings(services: 'Services', store: 'Store', listed: Sequence[str]) -> dict[str, Standing]:
    """By name. Most are named by locations, for which one statement asks at a time."""
    found = dict.fromkeys(listed, Standing.FOREIGN)
    ours = [name for name in listed if names.parse(name) is not None]
    for start in range(0, len(ours), _PAGE):
        page = ours[start : start + _PAGE]
        named = services.db.read(lambda tx, page=page: tx.locations.names_in(store.id, page))
        for name in page:
            found[name] = Standing.WANTED if name in named else _stored(services, store, names.parse(name))
    return found


def _stored(services: 'Services', store: 'Store', owner: names.ObjectName) -> Standing:
    def look(tx: 'Transaction') -> Standing:
        standing = _of_owner(tx, owner)
        if standing in NOBODYS and tx.locations.named(store.id, str(owner)):
            return Standing.WANTED
        return standing

    return services.db.snapshot(look)


def _remove_stored(services: 'Services', store: 'Store', find: Find) -> bool:
    if not find.due or _stored(services, store, find.owner) is not find.standing:
        return False
    LOG.info('Removing %s from store %s: nobody owns it', find.name, store.id)
    store.discard(find.name)
    services.db.run(lambda tx: tx.strays.forget(store.id, find.name))
    return True


def _of_owner(tx: 'Transaction', owner: names.ObjectName | None) -> Standing:
    if owner is None:
        return Standing.FOREIGN
    try:
        return Standing.WANTED if tx.imports.get(owner.owner_id).live else Standing.ENDED
    except errors.ImportNotFound:
        known = tx.transfers.get(owner.owner_id) is not None
        return Standing.WANTED if known else Standing.UNKNOWN


def _is_due(standing: Standing, age: float | None, grace: float) -> bool:
    """What an import that is over left goes at once; nobody can want it any more."""
    return standing is Standing.ENDED or (standing is Standing.UNKNOWN and age is not None and age >= grace)
