"""The order of a page of images, as SQL.

Null sorts as the empty text or 0; texts sort by code point everywhere. Values are bound by name, so
that the SQL depends on the keys only.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from imagepipe.db import keyset
from imagepipe.db.schema import images
from imagepipe.domain.image import Image
from imagepipe.domain.listing import SortKey

_TEXTS = frozenset({'name', 'status', 'container_format', 'disk_format'})
_NULLABLE_NUMBERS = frozenset({'size'})


class Order:
    """ORDER BY, and the condition of what comes behind an image."""

    def __init__(self, keys: Sequence[SortKey], *, dialect: str) -> None:
        self._keys = keys
        self._dialect = dialect

    def of(self, columns: Mapping[str, sa.ColumnElement]) -> Sequence[sa.ColumnElement]:
        """The ORDER BY over these columns."""
        return keyset.order(self._by(columns))

    def behind(self) -> sa.ColumnElement[bool]:
        """What comes after the image whose `values` are bound."""
        bound = [sa.bindparam(_name(key), type_=images.c[key.field].type) for key in self._keys]
        return keyset.behind(self._by(images.c), bound)

    def _by(self, columns: Mapping[str, sa.ColumnElement]) -> Sequence[keyset.Key]:
        return [keyset.Key(self._term(columns, key.field), key.descending) for key in self._keys]

    def _term(self, columns: Mapping[str, sa.ColumnElement], field: str) -> sa.ColumnElement:
        column = columns[field]
        if field in _NULLABLE_NUMBERS:
            return sa.func.coalesce(column, 0)
        return keyset.by_code_point(column, self._dialect) if field in _TEXTS else column


def values(keys: Sequence[SortKey], image: Image) -> dict[str, object]:
    """What `behind` compares with."""
    return {_name(key): _value(image, key.field) for key in keys}


def _name(key: SortKey) -> str:
    return f'after_{key.field}'


def _value(image: Image, field: str) -> object:
    value = getattr(image, field)
    if value is not None:
        return str(value) if field in _TEXTS else value
    return '' if field in _TEXTS else 0
