"""Migrations only expand: whatever the code of before reads and writes, it can read and write afterwards."""

import sqlalchemy as sa
import testtools
from alembic import command, script
from testscenarios import WithScenarios

from imagepipe.db import engines, migrate
from imagepipe.tests.fixtures.databases import DATABASES, use_database

#: What a revision may take away, as breaches() tells it: the release from which on no code uses it.
CONTRACTS: dict[str, dict[str, str]] = {}

_BINDING = (sa.PrimaryKeyConstraint, sa.UniqueConstraint, sa.ForeignKeyConstraint, sa.CheckConstraint)


def breaches(before: sa.MetaData, after: sa.MetaData) -> list[str]:
    """Why code that knows one schema does not work on another: a sentence for each cause."""
    found = []
    for table in before.tables.values():
        if table.name not in after.tables:
            found.append(f'table {table.name} is gone')
            continue
        now = after.tables[table.name]
        found += [f'column {column} is gone' for column in table.c if column.name not in now.c]
        for column in now.c:
            found += _of_column(table.c.get(column.name), column)
        for kind in _BINDING:
            new = _constraints(now, kind) - _constraints(table, kind)
            found += [f'{table.name} has a new {kind.__name__} over {sorted(columns)}' for columns in new]
        new = _unique_indexes(now) - _unique_indexes(table)
        found += [f'{table.name} has a new unique index over {sorted(columns)}' for columns in new]
    return sorted(found)


def _of_column(before: sa.Column | None, after: sa.Column) -> list[str]:
    if before is None:
        unfilled = not after.nullable and after.server_default is None
        return [f'column {after} is new, and must be filled'] if unfilled else []
    found = []
    if before.nullable and not after.nullable:
        found.append(f'column {after} must be filled')
    if before.server_default is not None and after.server_default is None:
        found.append(f'column {after} has lost its default')
    if _kind(before) != _kind(after):
        found.append(f'column {after} has another type: {_kind(after)}')
    return found


def _kind(column: sa.Column) -> str:
    return str(column.type)


def _constraints(table: sa.Table, kind: type[sa.Constraint]) -> set[frozenset[str]]:
    return {
        frozenset(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, kind)
    }


def _unique_indexes(table: sa.Table) -> set[frozenset[str]]:
    return {frozenset(column.name for column in index.columns) for index in table.indexes if index.unique}


class ExpansionTest(WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def test_each_migration_leaves_what_the_code_before_it_needs(self):
        engine = engines.create(use_database(self, create_schema=False).url, translate=False)
        self.addCleanup(engine.dispose)
        before = sa.MetaData()
        for revision in self._revisions():
            after = self._upgraded(engine, revision)
            allowed = set(CONTRACTS.get(revision, {}))
            self.assertEqual(set(), set(breaches(before, after)) - allowed, f'migration {revision}')
            before = after

    def _revisions(self):
        scripts = script.ScriptDirectory.from_config(migrate._config())
        return reversed([found.revision for found in scripts.walk_revisions()])

    def _upgraded(self, engine, revision):
        settings, found = migrate._config(), sa.MetaData()
        with engine.begin() as connection:
            settings.attributes['connection'] = connection
            command.upgrade(settings, revision)
        with engine.connect() as connection:
            found.reflect(connection)
        return found


class BreachTest(WithScenarios, testtools.TestCase):
    """Each kind of breach is found, and what only adds is none."""

    scenarios = [
        (name, {'change': change, 'expected': expected})
        for name, change, expected in (
            ('nothing', lambda: (_id(), _name()), []),
            ('nullable', lambda: (_id(), _name(), sa.Column('more', sa.Text)), []),
            (
                'filled by the database',
                lambda: (_id(), _name(), sa.Column('more', sa.Text, nullable=False, server_default='')),
                [],
            ),
            (
                'an index',
                lambda: (_id(), _name(), sa.Index('ix', 'name')),
                [],
            ),
            ('renamed', lambda: (_id(), _name(key='other')), ['column things.name is gone']),
            ('filled', lambda: (_id(), _name(nullable=False)), ['column things.name must be filled']),
            (
                'no default',
                lambda: (_id(), _name(server_default=None)),
                ['column things.name has lost its default'],
            ),
            (
                'narrow',
                lambda: (_id(), _name(kind=sa.String(4))),
                ['column things.name has another type: VARCHAR(4)'],
            ),
            (
                'new and filled',
                lambda: (_id(), _name(), sa.Column('more', sa.Text, nullable=False)),
                ['column things.more is new, and must be filled'],
            ),
            (
                'unique',
                lambda: (_id(), _name(), sa.UniqueConstraint('name')),
                ["things has a new UniqueConstraint over ['name']"],
            ),
            (
                'a unique index',
                lambda: (_id(), _name(), sa.Index('ix', 'name', unique=True)),
                ["things has a new unique index over ['name']"],
            ),
        )
    ]

    def test_what_breaks_older_code_is_told(self):
        before, after = sa.MetaData(), sa.MetaData()
        sa.Table('things', before, _id(), _name())
        sa.Table('things', after, *self.change())
        self.assertEqual(self.expected, breaches(before, after))


class GoneTest(testtools.TestCase):
    def test_a_table_that_is_gone_is_told(self):
        before = sa.MetaData()
        sa.Table('things', before, _id())
        self.assertEqual(['table things is gone'], breaches(before, sa.MetaData()))


def _id():
    return sa.Column('id', sa.Integer, primary_key=True)


def _name(*, key='name', kind=None, nullable=True, server_default='x'):
    return sa.Column(key, kind or sa.String(255), nullable=nullable, server_default=server_default)
