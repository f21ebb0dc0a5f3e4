"""Which images a caller sees, as SQL (reference, sections 7.3 and 17.3), and a page of them.

A list is a union of branches, each of which walks one index in the order asked for and stops
after a page: what it costs does not grow with the number of images in the service. The branches
are disjoint, so that nothing must be removed from their union.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db.schema import images, members, properties, tags
from imagepipe.domain.image import Image, Status, Visibility
from imagepipe.domain.listing import ALL, Condition, ListQuery, SortKey
from imagepipe.domain.properties import digest

if TYPE_CHECKING:
    from imagepipe.context import RequestContext

#: The columns that make an Image.
COLUMNS = tuple(images.columns)

_TEXTS = frozenset({'name', 'status', 'container_format', 'disk_format'})
_NULLABLE_NUMBERS = frozenset({'size'})
_COMPARISONS = {
    'eq': operator.eq,
    'gte': operator.ge,
    'lt': operator.lt,
    'lte': operator.le,
    'in': lambda column, values: column.in_(values),
}
_SHARED = images.c.visibility == Visibility.SHARED.value


def visible(context: 'RequestContext') -> sa.ColumnElement[bool]:
    """The images that the caller may look up by id, as far as the database decides it."""
    if context.is_admin:
        return sa.true()
    everybodys = sa.or_(
        images.c.visibility.in_((Visibility.PUBLIC.value, Visibility.COMMUNITY.value)),
        images.c.owner.is_(None),
    )
    if context.project_id is None:
        return everybodys
    share = sa.select(members.c.member).where(
        members.c.image_id == images.c.id, members.c.member == context.project_id
    )
    return sa.or_(images.c.owner == context.project_id, everybodys, sa.and_(_SHARED, share.exists()))


def page(context: 'RequestContext', query: ListQuery, after: Image | None, *, dialect: str) -> sa.Select:
    """The rows of one page, beginning behind the image `after`."""
    order = _Order(query.sort, dialect)
    conditions = [*_filters(query), images.c.status != Status.KILLED.value]
    if after is not None:
        conditions.append(order.behind(after))
    branches = [
        sa.select(*COLUMNS).where(branch, *conditions).order_by(*order.of(images.c)).limit(query.limit)
        for branch in _branches(context, query)
    ]
    if len(branches) == 1:
        return branches[0]
    union = sa.union_all(*(sa.select(branch.subquery()) for branch in branches)).subquery()
    return sa.select(union).order_by(*order.of(union.c)).limit(query.limit)


def _branches(context: 'RequestContext', query: ListQuery) -> Sequence[sa.ColumnElement[bool]]:
    if context.is_admin:
        return _for_admin(context.project_id, query.visibility)
    if context.project_id is None:
        return (_for_nobody(query.visibility),)
    return _for_project(context.project_id, query)


def _for_admin(project: str | None, visibility: str | None) -> Sequence[sa.ColumnElement[bool]]:
    if visibility is not None:
        return (sa.true() if visibility == ALL else images.c.visibility == visibility,)
    branches = [images.c.visibility == item.value for item in Visibility if item is not Visibility.COMMUNITY]
    if project is not None:
        community = images.c.visibility == Visibility.COMMUNITY.value
        branches.append(sa.and_(images.c.owner == project, community))
    return branches


def _for_nobody(visibility: str | None) -> sa.ColumnElement[bool]:
    shown = {
        None: (Visibility.PUBLIC,),
        ALL: (Visibility.PUBLIC, Visibility.COMMUNITY),
        'public': (Visibility.PUBLIC,),
        'community': (Visibility.COMMUNITY,),
    }.get(visibility, ())
    return images.c.visibility.in_([item.value for item in shown])


def _for_project(project: str, query: ListQuery) -> Sequence[sa.ColumnElement[bool]]:
    own = images.c.owner == project
    foreign = images.c.owner.is_distinct_from(project)
    share = sa.select(members.c.image_id).where(members.c.member == project)
    if query.member_status != ALL:
        share = share.where(members.c.status == query.member_status)
    shared = sa.and_(images.c.id.in_(share), _SHARED, foreign)
    public = sa.and_(images.c.visibility == Visibility.PUBLIC.value, foreign)
    community = sa.and_(images.c.visibility == Visibility.COMMUNITY.value, foreign)
    return {
        None: (own, public, shared),
        ALL: (own, public, community, shared),
        'public': (images.c.visibility == Visibility.PUBLIC.value,),
        'community': (images.c.visibility == Visibility.COMMUNITY.value,),
        'shared': (sa.and_(own, _SHARED), shared),
        'private': (sa.and_(own, images.c.visibility == Visibility.PRIVATE.value),),
    }[query.visibility]


def _filters(query: ListQuery) -> Sequence[sa.ColumnElement[bool]]:
    hidden = images.c.os_hidden.is_(sa.true() if query.hidden else sa.false())
    return [
        hidden,
        *map(_condition, query.conditions),
        *(sa.or_(images.c[name] < start, images.c[name] >= end) for name, start, end in query.outside),
        *(_with_property(name, value) for name, value in query.properties),
        *(images.c.id.in_(sa.select(tags.c.image_id).where(tags.c.tag == tag)) for tag in query.tags),
    ]


def _condition(condition: Condition) -> sa.ColumnElement[bool]:
    return _COMPARISONS[condition.operator](images.c[condition.field], condition.value)


def _with_property(name: str, value: str) -> sa.ColumnElement[bool]:
    found = sa.select(properties.c.image_id).where(
        properties.c.name == name, properties.c.digest == digest(value)
    )
    return images.c.id.in_(found)


class _Order:
    """The order of a page. Null sorts as the empty text or 0; texts sort by code point everywhere."""

    def __init__(self, keys: Sequence[SortKey], dialect: str) -> None:
        self._keys = keys
        self._collate = dialect == 'postgresql'

    def of(self, columns: Mapping[str, sa.ColumnElement]) -> Sequence[sa.ColumnElement]:
        """The ORDER BY over these columns."""
        return [
            self._term(columns, key.field).desc() if key.descending else self._term(columns, key.field).asc()
            for key in self._keys
        ]

    def behind(self, image: Image) -> sa.ColumnElement[bool]:
        """What comes after this image in the order."""
        condition: sa.ColumnElement[bool] | None = None
        for key in reversed(self._keys):
            term, value = self._term(images.c, key.field), _value(image, key.field)
            further = term < value if key.descending else term > value
            condition = further if condition is None else sa.or_(further, sa.and_(term == value, condition))
        first, value = self._keys[0], _value(image, self._keys[0].field)
        term = self._term(images.c, first.field)
        # Says nothing new, but is a range that an index serves, which the disjunction is not.
        return sa.and_(term <= value if first.descending else term >= value, condition)

    def _term(self, columns: Mapping[str, sa.ColumnElement], field: str) -> sa.ColumnElement:
        column = columns[field]
        if field in _NULLABLE_NUMBERS:
            return sa.func.coalesce(column, 0)
        if field not in _TEXTS:
            return column
        text = sa.func.coalesce(column, '')
        return text.collate('C') if self._collate else text


def _value(image: Image, field: str) -> object:
    value = getattr(image, field)
    if value is not None:
        return str(value) if field in _TEXTS else value
    return '' if field in _TEXTS else 0
