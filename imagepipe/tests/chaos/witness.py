"""What the database itself saw of imports: triggers write down every claim and every state, in order.

The records of the service say what is; these say what was, and were not written by what is judged.
A change of an import or of its steps locks the import's row, so the order of what one import did is certain.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import sqlalchemy as sa

_METADATA = sa.MetaData()
_sightings = sa.Table(
    'chaos_sightings',
    _METADATA,
    sa.Column('id', sa.BigInteger, primary_key=True, autoincrement=True),
    sa.Column('at', sa.Double, nullable=False),
    sa.Column('import_id', sa.String(36), nullable=False, index=True),
    #: Null for the import itself.
    sa.Column('step', sa.String(255)),
    sa.Column('state', sa.String(10), nullable=False),
    sa.Column('epoch', sa.Integer),
    sa.Column('worker', sa.String(255)),
    #: Until when the worker before had the claim.
    sa.Column('expired', sa.Double),
)
_COLUMNS = ', '.join(column.name for column in _sightings.c if column.name != 'id')
_IMPORT = 'NEW.id, NULL, NEW.state, NEW.epoch, NEW.claim_owner, OLD.claim_expires'
_STEP = 'NEW.import_id, NEW.name, NEW.state, NULL, NEW.worker, NULL'
#: Dialect -> name of the table -> the trigger's statements.
_TRIGGERS: Mapping[str, tuple[str, ...]] = {
    'postgresql': (
        """
        CREATE FUNCTION chaos_saw_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF {changed} THEN
                INSERT INTO chaos_sightings ({columns})
                VALUES (extract(epoch from clock_timestamp()), {values});
            END IF;
            RETURN NULL;
        END $$
        """,
        'CREATE TRIGGER chaos_sees AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION chaos_saw_{table}()',
    ),
    'mysql': (
        """
        CREATE TRIGGER chaos_sees_{table} AFTER UPDATE ON {table} FOR EACH ROW BEGIN
            IF {changed} THEN
                INSERT INTO chaos_sightings ({columns}) VALUES (unix_timestamp(sysdate(6)), {values});
            END IF;
        END
        """,
    ),
}
_TRIGGERS = {**_TRIGGERS, 'mariadb': _TRIGGERS['mysql']}
_DIFFERS = {
    'postgresql': 'OLD.{0} IS DISTINCT FROM NEW.{0}',
    'mysql': 'NOT (OLD.{0} <=> NEW.{0})',
    'mariadb': 'NOT (OLD.{0} <=> NEW.{0})',
}
_SEEN = {
    'imports': (_IMPORT, ('state', 'epoch', 'claim_owner')),
    'import_steps': (_STEP, ('state', 'worker', 'attempt')),
}


@dataclasses.dataclass(frozen=True)
class Sighting:
    """One change of an import, or of a step of it."""

    at: float
    import_id: str
    step: str | None
    state: str
    epoch: int | None
    worker: str | None
    expired: float | None

    def __str__(self) -> str:
        if self.step is not None:
            return f'{self.step} is {self.state} on {self.worker}'
        held = 'nobody' if self.worker is None else self.worker
        return f'the import is {self.state}, epoch {self.epoch}, held by {held}'


class Witness:
    """Looks on from within a database, from when it was asked to."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def look_on(self) -> None:
        """Begin to write down."""
        dialect = self._engine.dialect.name
        with self._engine.begin() as connection:
            _METADATA.create_all(connection)
            for table, (values, columns) in _SEEN.items():
                changed = ' OR '.join(_DIFFERS[dialect].format(name) for name in columns)
                for statement in _TRIGGERS[dialect]:
                    connection.exec_driver_sql(
                        statement.format(table=table, columns=_COLUMNS, values=values, changed=changed)
                    )

    def sightings(self, import_id: str) -> list[Sighting]:
        """What became of an import, in order."""
        columns = [_sightings.c[field.name] for field in dataclasses.fields(Sighting)]
        query = sa.select(*columns).where(_sightings.c.import_id == import_id).order_by(_sightings.c.id)
        with self._engine.connect() as connection:
            return [Sighting(*row) for row in connection.execute(query)]

    def delays(self) -> list[float]:
        """Of every import that was taken over: seconds after the claim before had run out by itself."""
        columns = [_sightings.c[field.name] for field in dataclasses.fields(Sighting)]
        query = sa.select(*columns).where(_sightings.c.step.is_(None))
        with self._engine.connect() as connection:
            found = connection.execute(query.order_by(_sightings.c.import_id, _sightings.c.id)).all()
        return [
            after.at - after.expired
            for before, after in itertools.pairwise(found)
            if before.import_id == after.import_id and before.epoch != after.epoch and before.worker
            if after.expired  # else it was given up
        ]

    def problems(self, import_id: str) -> Iterator[str]:
        """Whatever two runners of one import at the same time would look like."""
        return overlaps(self.sightings(import_id))


def overlaps(sightings: list[Sighting]) -> Iterator[str]:
    """Claims that were taken before they ended, and steps that ran under no claim, or under another's."""
    epoch, holder = 0, None
    for seen in sightings:
        if seen.step is None:
            if seen.epoch not in (epoch, epoch + 1):
                yield f'epoch {epoch} was followed by {seen.epoch}'
            if seen.epoch == epoch and seen.worker not in (holder, None):
                yield f'{seen.worker} had the claim of {holder} without a new epoch'
            if seen.epoch != epoch and holder is not None and seen.at < seen.expired:
                yield f'{seen.worker} took the claim {seen.expired - seen.at:.3f} s before {holder} lost it'
            epoch, holder = seen.epoch, seen.worker
        elif seen.state in ('running', 'reverting') and seen.worker != holder:
            yield f"{seen.step} was {seen.state} on {seen.worker} while the claim was {holder}'s"
