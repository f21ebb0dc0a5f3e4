"""Paging by the last row of the page before: what a page costs does not grow with what lies before it."""

import dataclasses
from collections.abc import Iterable, Sequence

import sqlalchemy as sa


@dataclasses.dataclass(frozen=True)
class Key:
    """One thing that rows are sorted by. No two rows are equal in all keys of an order."""

    term: sa.ColumnElement
    descending: bool


def keys(terms: Iterable[sa.ColumnElement], *, descending: bool) -> Sequence[Key]:
    """These terms, all in one direction."""
    return [Key(term, descending) for term in terms]


def order(by: Sequence[Key]) -> Sequence[sa.ColumnElement]:
    """The ORDER BY."""
    return [key.term.desc() if key.descending else key.term.asc() for key in by]


def page(statement: sa.Select, by: Sequence[Key], after: Sequence[object] | None, limit: int) -> sa.Select:
    """The rows of a page of the statement, beginning behind the row with the values `after`."""
    if after is not None:
        statement = statement.where(behind(by, after))
    return statement.order_by(*order(by)).limit(limit)


def behind(by: Sequence[Key], values: Sequence[object]) -> sa.ColumnElement[bool]:
    """What comes after the row with these values, which may be bound parameters."""
    condition: sa.ColumnElement[bool] | None = None
    for key, value in reversed(list(zip(by, values, strict=True))):
        further = key.term < value if key.descending else key.term > value
        condition = further if condition is None else sa.or_(further, sa.and_(key.term == value, condition))
    first, start = by[0], values[0]
    # Says nothing new, but is a range that an index serves, which the disjunction is not.
    return sa.and_(first.term <= start if first.descending else first.term >= start, condition)


def by_code_point(text: sa.ColumnElement, dialect: str) -> sa.ColumnElement:
    """A text that sorts the same on every database; null is the empty text."""
    known = sa.func.coalesce(text, '')
    return known.collate('C') if dialect == 'postgresql' else known
