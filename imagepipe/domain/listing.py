"""What a list of images asks for: query parameters become a ListQuery (reference, section 7.2)."""

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from oslo_utils import timeutils

from imagepipe import errors
from imagepipe.domain.image import Visibility

SORT_KEYS = (
    'name',
    'status',
    'container_format',
    'disk_format',
    'size',
    'id',
    'created_at',
    'updated_at',
)
SORT_DIRS = ('asc', 'desc')
MEMBER_STATUSES = ('accepted', 'pending', 'rejected', 'all')
#: Any visibility, foreign community images included.
ALL = 'all'

LISTS = ('name', 'id', 'status', 'container_format', 'disk_format')
TIMES = ('created_at', 'updated_at')
NUMBERS = ('size', 'min_disk', 'min_ram', 'virtual_size')
EXACT = ('owner', 'checksum', 'os_hash_value', 'os_hash_algo')
_TIME_OPERATORS = ('gt', 'gte', 'lt', 'lte', 'eq', 'neq')
_LARGEST = 2**63 - 1
_SECOND = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """One column compared: `in` takes a tuple of values, the others one value."""

    field: str
    operator: str
    value: object


@dataclasses.dataclass(frozen=True, kw_only=True)
class SortKey:
    """One key of the order; every order ends in created_at and id."""

    field: str
    descending: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListQuery:
    """One page of images: filters (all must hold), order, and where the page begins.

    impossible: a filter that no image can meet, such as size=abc. outside: moments for which
    `neq` was asked, as pairs (from, before).
    """

    conditions: tuple[Condition, ...] = ()
    outside: tuple[tuple[str, datetime.datetime, datetime.datetime], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    visibility: str | None = None
    member_status: str = 'accepted'
    hidden: bool = False
    sort: tuple[SortKey, ...] = (
        SortKey(field='created_at', descending=True),
        SortKey(field='id', descending=True),
    )
    limit: int = 25
    marker: str | None = None
    impossible: bool = False


def parse(pairs: Iterable[tuple[str, str]], *, default_limit: int, max_limit: int) -> ListQuery:
    """The query that these parameters mean. Raises InvalidQuery."""
    pairs = list(pairs)
    single = dict(pairs)
    return (
        _Filters()
        .of(pairs)
        .query(
            sort=_sort(pairs),
            limit=limit_of(single.get('limit'), default=default_limit, largest=max_limit),
            marker=single.get('marker') or None,
        )
    )


def limit_of(text: str | None, *, default: int, largest: int) -> int:
    """The size of a page; silently capped. Raises InvalidQuery."""
    if text is None:
        return min(default, largest)
    if not re.fullmatch('[0-9]{1,18}', text):
        raise errors.InvalidQuery(name='limit', reason='it must be an integer of 0 or more')
    return min(int(text), largest)


def links(
    path: str,
    pairs: Sequence[tuple[str, str]],
    marker: str | None,
    encode: Callable[[Sequence[tuple[str, str]]], str],
) -> Mapping[str, str]:
    """`first`, and `next` when there is a marker: the query with every repeated parameter kept."""
    rest = [(name, value) for name, value in pairs if name != 'marker']
    found = {'first': f'{path}?{encode(rest)}' if rest else path}
    if marker is not None:
        found['next'] = f'{path}?{encode([*rest, ("marker", marker)])}'
    return found


class _Filters:
    """Collects what the parameters filter by, in the order of the query."""

    def __init__(self) -> None:
        self.conditions: list[Condition] = []
        self.outside: list[tuple[str, datetime.datetime, datetime.datetime]] = []
        self.properties: dict[str, str] = {}
        self.tags: list[str] = []
        self.plain: dict[str, object] = {}
        self.impossible = False

    def of(self, pairs: Sequence[tuple[str, str]]) -> '_Filters':
        last = dict(pairs)
        for name, value in pairs:
            if name in ('tag', 'tags'):
                self.tags.append(value.strip())
        for name, value in last.items():
            self._take(name, value)
        return self

    def query(self, **rest: object) -> ListQuery:
        texts = [*self.tags, *self.properties, *self.properties.values()]
        texts += [item for condition in self.conditions for item in _texts(condition.value)]
        return ListQuery(
            conditions=tuple(self.conditions),
            outside=tuple(self.outside),
            properties=tuple(self.properties.items()),
            tags=tuple(dict.fromkeys(self.tags)),
            # A NUL is in no stored text, and PostgreSQL does not even take it as a value.
            impossible=self.impossible or any('\0' in text for text in texts),
            **self.plain,
            **rest,
        )

    def _take(self, name: str, value: str) -> None:
        if name in _IGNORED:
            return
        if name in _TAKERS:
            _TAKERS[name](self, name, value)
        elif name in RANGES:
            self._range(name, value)
        else:
            self.properties[name] = value

    def _list(self, name: str, value: str) -> None:
        values = _values(name, value)
        self._add(name, 'eq' if len(values) == 1 else 'in', values[0] if len(values) == 1 else values)

    def _exact(self, name: str, value: str) -> None:
        self._add(name, 'eq', value)

    def _number(self, name: str, value: str) -> None:
        if re.fullmatch('[0-9]{1,19}', value) and int(value) <= _LARGEST:
            self._add(name, 'eq', int(value))
        else:
            self.impossible = True

    def _range(self, name: str, value: str) -> None:
        field, _, end = name.rpartition('_')
        if not re.fullmatch('-?[0-9]{1,30}', value):
            raise errors.InvalidQuery(name=name, reason='it must be an integer')
        bound = int(value)
        if end == 'min' and bound > _LARGEST:
            self.impossible = True
            return
        self._add(field, 'gte' if end == 'min' else 'lte', max(-1, min(bound, _LARGEST)))

    def _time(self, name: str, value: str) -> None:
        operator, moment = _moment(name, value)
        # Times are shown without a fraction: an image compares as it is shown.
        after = moment + (_SECOND if moment.microsecond == 0 else datetime.timedelta(microseconds=1))
        if operator == 'neq':
            self.outside.append((name, moment, after))
            return
        bounds = {
            'gt': (('gte', after),),
            'gte': (('gte', moment),),
            'lt': (('lt', moment),),
            'lte': (('lt', after),),
            'eq': (('gte', moment), ('lt', after)),
        }
        for comparison, bound in bounds[operator]:
            self._add(name, comparison, bound)

    def _protected(self, name: str, value: str) -> None:
        if value not in ('true', 'false'):
            raise errors.InvalidQuery(name=name, reason="it must be 'true' or 'false'")
        self._add(name, 'eq', value == 'true')

    def _hidden(self, name: str, value: str) -> None:
        if value.lower() not in ('true', 'false'):
            raise errors.InvalidQuery(name=name, reason="it must be 'true' or 'false'")
        self.plain['hidden'] = value.lower() == 'true'

    def _visibility(self, name: str, value: str) -> None:
        if not value:
            self.impossible = True
            return
        self.plain['visibility'] = _one_of(name, value, (*(item.value for item in Visibility), ALL))

    def _member_status(self, name: str, value: str) -> None:
        self.plain['member_status'] = _one_of(name, value, MEMBER_STATUSES)

    def _refuse(self, name: str, value: str) -> None:
        raise errors.InvalidQuery(name=name, reason='it is not supported; filter by updated_at')

    def _add(self, field: str, operator: str, value: object) -> None:
        self.conditions.append(Condition(field=field, operator=operator, value=value))


_IGNORED = frozenset({'limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'tag', 'tags', 'deleted'})
RANGES = tuple(f'{name}_{end}' for name in NUMBERS for end in ('min', 'max'))
_TAKERS: Mapping[str, Callable[[_Filters, str, str], None]] = {
    **dict.fromkeys(LISTS, _Filters._list),
    **dict.fromkeys(TIMES, _Filters._time),
    **dict.fromkeys(NUMBERS, _Filters._number),
    **dict.fromkeys(EXACT, _Filters._exact),
    'protected': _Filters._protected,
    'os_hidden': _Filters._hidden,
    'visibility': _Filters._visibility,
    'member_status': _Filters._member_status,
    'changes-since': _Filters._refuse,
}


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str) else ()


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise errors.InvalidQuery(name=name, reason=f'it must be one of {", ".join(allowed)}')
    return value


def _values(name: str, value: str) -> tuple[str, ...]:
    operator, colon, rest = value.partition(':')
    if not colon:
        return (value,)
    if operator == 'eq':
        return (rest,)
    if operator == 'in':
        return tuple(_quoted_list(name, rest))
    raise errors.InvalidQuery(name=name, reason=f"there is no operator '{operator}', only eq and in")


_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",]*)')


def _quoted_list(name: str, text: str) -> Iterable[str]:
    """Values separated by commas; double quotes protect commas, a backslash a quote within them."""
    position = 0
    while True:
        item = _ITEM.match(text, position)
        position = item.end()
        yield item[2] if item[1] is None else re.sub(r'\\(.)', r'\1', item[1])
        if position == len(text):
            return
        if text[position] != ',':
            raise errors.InvalidQuery(name=name, reason='its quoting is broken')
        position += 1


def _moment(name: str, value: str) -> tuple[str, datetime.datetime]:
    operator, colon, rest = value.partition(':')
    if not (colon and operator in _TIME_OPERATORS):
        operator, rest = 'eq', value
    try:
        # A plus sign of a zone that was not encoded arrives as a blank.
        return operator, timeutils.normalize_time(timeutils.parse_isotime(rest.replace(' ', '+')))
    except (ValueError, OverflowError, TypeError):
        raise errors.InvalidQuery(
            name=name, reason='it must be an ISO 8601 time, with gt:, gte:, lt:, lte:, eq: or neq: before it'
        ) from None


def _sort(pairs: Sequence[tuple[str, str]]) -> tuple[SortKey, ...]:
    keys = [value for name, value in pairs if name == 'sort_key']
    dirs = [value for name, value in pairs if name == 'sort_dir']
    joined = [value for name, value in pairs if name == 'sort']
    if joined:
        if keys or dirs:
            raise errors.InvalidQuery(name='sort', reason='it cannot be used with sort_key or sort_dir')
        return _order(*_joined_sort(joined[-1]), tie='desc')
    if not keys:
        keys = ['created_at']
    if len(dirs) > 1 and len(dirs) != len(keys):
        raise errors.InvalidQuery(name='sort_dir', reason='its number differs from that of sort_key')
    tie = dirs[0] if len(dirs) == 1 else 'desc'
    return _order(keys, dirs if len(dirs) > 1 else [tie] * len(keys), tie=tie)


def _joined_sort(text: str) -> tuple[list[str], list[str]]:
    parts = [part.strip().partition(':') for part in text.split(',')]
    return [key for key, _, _ in parts], [way or 'desc' for _, _, way in parts]


def _order(keys: Sequence[str], dirs: Sequence[str], *, tie: str) -> tuple[SortKey, ...]:
    order: dict[str, str] = {}
    for key, way in zip(keys, dirs, strict=True):
        _one_of('sort_dir', way, SORT_DIRS)
        order.setdefault(_one_of('sort_key', key, SORT_KEYS), way)
    for key in ('created_at', 'id'):
        order.setdefault(key, tie)
    return tuple(SortKey(field=key, descending=way == 'desc') for key, way in order.items())
