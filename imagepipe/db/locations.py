"""Representations and locations: which bytes an image has, and where they are."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db import documents
from imagepipe.db.schema import locations, representations
from imagepipe.domain.location import Location, LocationState
from imagepipe.domain.representation import Representation

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_FIELDS = tuple(field.name for field in dataclasses.fields(Location))
_COLUMNS = tuple(locations.c[name] for name in _FIELDS)


class LocationRepository:
    """Reads and writes locations and the representations they hold."""

    def __init__(self, tx: 'Transaction') -> None:
        self._tx = tx
        self._connection = tx.connection

    def add(self, location: Location) -> None:
        """Record where bytes are about to be, or are."""
        values = dataclasses.asdict(location) | {
            'state': location.state.value,
            'metadata': documents.dump(dict(location.metadata)),
            'created_at': self._tx.now,
            'updated_at': self._tx.now,
        }
        self._connection.execute(sa.insert(locations).values(**values))

    def of_image(self, image_id: str, states: Iterable[LocationState] | None = None) -> list[Location]:
        """The image's locations, of all its representations."""
        statement = sa.select(*_COLUMNS).where(locations.c.image_id == image_id)
        if states is not None:
            statement = statement.where(locations.c.state.in_([state.value for state in states]))
        return self._all(statement)

    def of_primary(self, image_id: str) -> list[Location]:
        """The active locations of the representation that GET file serves, in the order of their coming."""
        statement = (
            sa.select(*_COLUMNS)
            .join(representations, representations.c.id == locations.c.representation_id)
            .where(
                representations.c.primary_of == image_id,
                locations.c.state == LocationState.ACTIVE.value,
            )
            .order_by(locations.c.created_at, locations.c.id)
        )
        return self._all(statement)

    def of_imports(self, import_ids: Iterable[str]) -> dict[str, list[Location]]:
        """The locations that imports write, by import; one statement."""
        ids = list(import_ids)
        found: dict[str, list[Location]] = {import_id: [] for import_id in ids}
        for location in self._all(sa.select(*_COLUMNS).where(locations.c.import_id.in_(ids))):
            found[location.import_id].append(location)
        return found

    def of_import(self, import_id: str) -> list[Location]:
        """The locations that one import writes."""
        return self.of_imports([import_id])[import_id]

    def in_state(
        self, state: LocationState, *, before: datetime.datetime, after: str, limit: int
    ) -> list[Location]:
        """Locations that have been in a state since `before`, by id, from behind one."""
        statement = sa.select(*_COLUMNS).where(
            locations.c.state == state.value, locations.c.updated_at <= before, locations.c.id > after
        )
        return self._all(statement.order_by(locations.c.id).limit(limit))

    def set(self, location_id: str, expected: Iterable[LocationState], **columns: object) -> bool:
        """Change columns if the state is still one of `expected`; whether it was."""
        values = dict(columns)
        if 'metadata' in values:
            values['metadata'] = documents.dump(values['metadata'])
        statement = (
            sa.update(locations)
            .where(locations.c.id == location_id, locations.c.state.in_([state.value for state in expected]))
            .values(updated_at=self._tx.now, **values)
        )
        return self._connection.execute(statement).rowcount == 1

    def drop(self, location_id: str) -> None:
        """Forget a location of an import that failed; one that may have bytes is left to the sweeper."""
        self.set(location_id, [LocationState.COPYING], state=LocationState.DELETING.value)
        if self.set(location_id, [LocationState.PENDING, LocationState.FAILED], error_code=None):
            self.delete(location_id)

    def delete(self, location_id: str) -> None:
        """Forget a location whose bytes are gone."""
        self._connection.execute(sa.delete(locations).where(locations.c.id == location_id))

    def names_in(self, store: str, object_names: Iterable[str]) -> 'set[str]':
        """Which of these object names a row of this store names."""
        statement = sa.select(locations.c.object_name).where(
            locations.c.store == store, locations.c.object_name.in_(list(object_names))
        )
        return set(self._connection.execute(statement).scalars())

    def stores(self) -> list[str]:
        """The ids of every store that a location names."""
        statement = sa.select(locations.c.store).distinct().order_by(locations.c.store)
        return list(self._connection.execute(statement).scalars())

    def named(self, store: str, object_name: str) -> bool:
        """Whether any location of this store names the object, if only in its URL."""
        names_it = locations.c.object_name == object_name
        told = sa.or_(names_it, locations.c.url.contains(object_name, autoescape=True))
        statement = sa.select(locations.c.id).where(locations.c.store == store, told)
        return self._connection.execute(statement.limit(1)).first() is not None

    def add_representation(self, representation: Representation) -> None:
        """Record the bytes of an image in one format."""
        self._connection.execute(
            sa.insert(representations).values(
                id=representation.id,
                image_id=representation.image_id,
                primary_of=representation.image_id if representation.primary else None,
                disk_format=representation.disk_format,
                container_format=representation.container_format,
                size=representation.size,
                virtual_size=representation.virtual_size,
                digests=documents.dump(dict(representation.digests)),
                created_at=self._tx.now,
            )
        )

    def representations(self, image_id: str) -> list[Representation]:
        """Every format that the image has bytes in."""
        rows = self._connection.execute(
            sa.select(representations).where(representations.c.image_id == image_id)
        )
        return [_representation(row) for row in rows]

    def primary(self, image_id: str) -> Representation | None:
        """The representation that gives the image its own attributes."""
        row = self._connection.execute(
            sa.select(representations).where(representations.c.primary_of == image_id)
        ).first()
        return None if row is None else _representation(row)

    def set_digests(self, representation_id: str, digests: Mapping[str, str]) -> None:
        """The digests of a representation, which were not known before."""
        self._connection.execute(
            sa.update(representations)
            .where(representations.c.id == representation_id)
            .values(digests=documents.dump(dict(digests)))
        )

    def delete_representations(self, image_id: str) -> None:
        """Forget the formats of an image that is gone."""
        self._connection.execute(sa.delete(representations).where(representations.c.image_id == image_id))

    def _all(self, statement: sa.Select) -> list[Location]:
        return [_location(row) for row in self._connection.execute(statement)]


def _location(row: sa.Row) -> Location:
    values = dict(row._mapping)
    values['state'] = LocationState(values['state'])
    values['metadata'] = documents.load(values['metadata'], {})
    return Location(**values)


def _representation(row: sa.Row) -> Representation:
    return Representation(
        id=row.id,
        image_id=row.image_id,
        primary=row.primary_of is not None,
        disk_format=row.disk_format,
        container_format=row.container_format,
        size=row.size,
        virtual_size=row.virtual_size,
        digests=documents.load(row.digests, {}),
    )
