"""Which images a caller sees, as SQL (reference, sections 7.3 and 17.3), and a page of them.

A list is a union of branches, each of which walks one index in the order asked for and stops
after a page: what it costs does not grow with the number of images in the service. The branches
are disjoint, so that nothing must be removed from their union.

SQL depends on the shape of a question, never on its values: each shape is built once.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from imagepipe.db import image_order, image_rows
from imagepipe.db.schema import images, members, properties, tags
from imagepipe.domain.image import Image, Status, Visibility
from imagepipe.domain.listing import ALL, Condition, ListQuery
from imagepipe.domain.properties import digest

if TYPE_CHECKING:
    from imagepipe.context import RequestContext

#: A property or tag that so many images have is looked for image by image, in the order of the list;
#: one that fewer have is where the list begins.
MANY = 200

Statement = tuple[sa.Select, Mapping[str, object]]

_PROJECT = sa.bindparam('project', type_=sa.String)
_SHARED = images.c.visibility == Visibility.SHARED.value
_LISTED = images.c.status.not_in((Status.KILLED.value, Status.PENDING_DELETE.value))
_COMPARISONS: Mapping[str, Callable[[sa.Column, sa.BindParameter], sa.ColumnElement[bool]]] = {
    'eq': operator.eq,
    'gte': operator.ge,
    'lt': operator.lt,
    'lte': operator.le,
    'in': lambda column, values: column.in_(values),
}
#: Deleted with a delay: nobody finds it any more.
_THERE = images.c.status != Status.PENDING_DELETE.value


@dataclasses.dataclass(frozen=True)
class _Caller:
    """What of a caller the SQL depends on."""

    admin: bool
    in_project: bool

    @classmethod
    def of(cls, context: 'RequestContext') -> '_Caller':
        return cls(context.is_admin, context.project_id is not None)


def by_id(context: 'RequestContext', image_id: str) -> Statement:
    """The image of this id, if the caller may look it up."""
    return _by_id(_Caller.of(context)), {'id': image_id, 'project': context.project_id}


@functools.cache
def _by_id(caller: _Caller) -> sa.Select:
    return sa.select(image_rows.column(images)).where(images.c.id == sa.bindparam('id'), *_visible(caller))


def lock(context: 'RequestContext', image_id: str) -> Statement:
    """Locks the row that by_id finds."""
    return _lock(_Caller.of(context)), {'id': image_id, 'project': context.project_id}


@functools.cache
def _lock(caller: _Caller) -> sa.Select:
    found = sa.select(images.c.id).where(images.c.id == sa.bindparam('id'), *_visible(caller))
    return found.with_for_update(key_share=True)


def _visible(caller: _Caller) -> Sequence[sa.ColumnElement[bool]]:
    """The images that the caller may look up by id, as far as the database decides it."""
    if caller.admin:
        return (_THERE,)
    everybodys = sa.or_(
        images.c.visibility.in_((Visibility.PUBLIC.value, Visibility.COMMUNITY.value)),
        images.c.owner.is_(None),
    )
    if not caller.in_project:
        return _THERE, everybodys
    share = sa.select(members.c.member).where(members.c.image_id == images.c.id, members.c.member == _PROJECT)
    return _THERE, sa.or_(images.c.owner == _PROJECT, everybodys, sa.and_(_SHARED, share.exists()))


def with_rare(query: ListQuery) -> Statement:
    """For each property or tag asked for the ids of images that have it, as a JSON object: MANY at most.

    One row each, for drivers take long for rows.
    """
    values = {'many': MANY, **_values_of_properties(query), **_values_of_tags(query)}
    return _with_rare(len(query.properties), len(query.tags)), values


@functools.cache
def _with_rare(of_properties: int, of_tags: int) -> sa.Select:
    found = [
        sa.select(properties.c.image_id).where(
            properties.c.name == sa.bindparam(f'property_{number}'),
            properties.c.digest == sa.bindparam(f'digest_{number}'),
        )
        for number in range(of_properties)
    ] + [
        sa.select(tags.c.image_id).where(tags.c.tag == sa.bindparam(f'tag_{number}'))
        for number in range(of_tags)
    ]
    limited = [ids.limit(sa.bindparam('many')).subquery() for ids in found]
    return sa.union_all(*(sa.select(image_rows.json_keys(ids.c.image_id)) for ids in limited))


def page(
    context: 'RequestContext',
    query: ListQuery,
    after: Image | None,
    among: Sequence[str] | None,
    *,
    dialect: str,
) -> Statement:
    """The rows of one page, beginning behind the image `after`, and all `among` these ids."""
    statement = _page(
        _Caller.of(context), _shape(query), after is not None, among is not None, dialect=dialect
    )
    values = {
        'project': context.project_id,
        'member_status': query.member_status,
        'hidden': query.hidden,
        'limit': query.limit,
        **{f'value_{number}': condition.value for number, condition in enumerate(query.conditions)},
        **{f'start_{number}': start for number, (_, start, _) in enumerate(query.outside)},
        **{f'end_{number}': end for number, (_, _, end) in enumerate(query.outside)},
        **_values_of_properties(query),
        **_values_of_tags(query),
        **({} if after is None else image_order.values(query.sort, after)),
        **({} if among is None else {'among': list(among)}),
    }
    return statement, values


def _shape(query: ListQuery) -> ListQuery:
    """The query without its values."""
    return ListQuery(
        conditions=tuple(dataclasses.replace(condition, value=None) for condition in query.conditions),
        outside=tuple((field, None, None) for field, _, _ in query.outside),
        properties=(('', ''),) * len(query.properties),
        tags=('',) * len(query.tags),
        visibility=query.visibility,
        member_status=ALL if query.member_status == ALL else '',
        sort=query.sort,
    )


@functools.lru_cache(maxsize=500)
def _page(caller: _Caller, shape: ListQuery, behind: bool, among: bool, *, dialect: str) -> sa.Select:
    order = image_order.Order(shape.sort, dialect=dialect)
    conditions = [_LISTED, *_filters(shape)]
    if behind:
        conditions.append(order.behind())
    if among:
        conditions.append(images.c.id.in_(sa.bindparam('among', expanding=True)))
    limit = sa.bindparam('limit', type_=sa.Integer)
    # What is sorted by, and no more: databases put these rows aside before they sort them.
    keys = [images.c[name] for name in dict.fromkeys(('id', *(key.field for key in shape.sort)))]
    branches = [
        sa.select(*keys).where(branch, *conditions).order_by(*order.of(images.c)).limit(limit)
        for branch in _branches(caller, shape)
    ]
    found = branches[0].subquery()
    if len(branches) > 1:
        union = sa.union_all(*(sa.select(branch.subquery()) for branch in branches)).subquery()
        found = sa.select(union).order_by(*order.of(union.c)).limit(limit).subquery()
    # All the rest is looked up for the images of the page only.
    whole = sa.select(image_rows.column(images)).join_from(found, images, images.c.id == found.c.id)
    return whole.order_by(*order.of(found.c))


def _branches(caller: _Caller, shape: ListQuery) -> Sequence[sa.ColumnElement[bool]]:
    if caller.admin:
        return _for_admin(shape.visibility, in_project=caller.in_project)
    if not caller.in_project:
        return (_for_nobody(shape.visibility),)
    return _for_project(shape)


def _for_admin(visibility: str | None, *, in_project: bool) -> Sequence[sa.ColumnElement[bool]]:
    if visibility is not None:
        return (sa.true() if visibility == ALL else images.c.visibility == visibility,)
    branches = [images.c.visibility == item.value for item in Visibility if item is not Visibility.COMMUNITY]
    if in_project:
        community = images.c.visibility == Visibility.COMMUNITY.value
        branches.append(sa.and_(images.c.owner == _PROJECT, community))
    return branches


def _for_nobody(visibility: str | None) -> sa.ColumnElement[bool]:
    shown = {
        None: (Visibility.PUBLIC,),
        ALL: (Visibility.PUBLIC, Visibility.COMMUNITY),
        'public': (Visibility.PUBLIC,),
        'community': (Visibility.COMMUNITY,),
    }.get(visibility, ())
    return images.c.visibility.in_([item.value for item in shown])


def _for_project(shape: ListQuery) -> Sequence[sa.ColumnElement[bool]]:
    own = images.c.owner == _PROJECT
    foreign = images.c.owner.is_distinct_from(_PROJECT)
    share = sa.select(members.c.image_id).where(members.c.member == _PROJECT)
    if shape.member_status != ALL:
        share = share.where(members.c.status == sa.bindparam('member_status'))
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
    }[shape.visibility]


def _filters(shape: ListQuery) -> Sequence[sa.ColumnElement[bool]]:
    """Each looks at one image: which image is looked at, and when, is the branch's business."""
    return [
        images.c.os_hidden == sa.bindparam('hidden', type_=sa.Boolean),
        *(_condition(number, condition) for number, condition in enumerate(shape.conditions)),
        *(_outside(number, field) for number, (field, _, _) in enumerate(shape.outside)),
        *(_has_property(number) for number, _ in enumerate(shape.properties)),
        *(_has_tag(number) for number, _ in enumerate(shape.tags)),
    ]


def _condition(number: int, condition: Condition) -> sa.ColumnElement[bool]:
    column = images.c[condition.field]
    value = sa.bindparam(f'value_{number}', type_=column.type, expanding=condition.operator == 'in')
    return _COMPARISONS[condition.operator](column, value)


def _outside(number: int, field: str) -> sa.ColumnElement[bool]:
    column = images.c[field]
    start, end = (sa.bindparam(f'{name}_{number}', type_=column.type) for name in ('start', 'end'))
    return sa.or_(column < start, column >= end)


def _has_property(number: int) -> sa.ColumnElement[bool]:
    value = properties.c.digest == sa.bindparam(f'digest_{number}')
    return _of_image(value, properties, properties.c.name == sa.bindparam(f'property_{number}'))


def _has_tag(number: int) -> sa.ColumnElement[bool]:
    tag = tags.c.tag == sa.bindparam(f'tag_{number}')
    return _of_image(tag, tags, tag)


def _of_image(
    wanted: sa.ColumnElement[bool], table: sa.Table, row: sa.ColumnElement[bool]
) -> sa.ScalarSelect:
    """Whether the image's own row of a table, found by its key, is as wanted.

    A value, not an EXISTS or IN: these make databases begin with all the images of the service that
    have the property or tag.
    """
    return sa.select(wanted).where(table.c.image_id == images.c.id, row).scalar_subquery()


def _values_of_properties(query: ListQuery) -> Mapping[str, object]:
    names = {f'property_{number}': name for number, (name, _) in enumerate(query.properties)}
    digests = {f'digest_{number}': digest(value) for number, (_, value) in enumerate(query.properties)}
    return names | digests


def _values_of_tags(query: ListQuery) -> Mapping[str, object]:
    return {f'tag_{number}': tag for number, tag in enumerate(query.tags)}
