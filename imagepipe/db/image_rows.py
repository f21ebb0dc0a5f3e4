"""An image as one JSON text: its own columns, its properties, tags and stores, its last import.

So an image is read in one statement, and a page of them too: no joins that multiply rows, no
statement more for properties, tags and stores, and one value a row for the driver to take apart,
which is what reading costs most. The three databases all have the functions, by different names.
"""

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.ext import compiler
from sqlalchemy.sql import functions

from imagepipe.db.import_rows import progress
from imagepipe.db.schema import images, imports, locations, properties, representations, tags
from imagepipe.domain.image import Image, Status, Visibility
from imagepipe.domain.location import LocationState

if TYPE_CHECKING:
    from imagepipe.context import RequestContext


class _JsonOf(functions.FunctionElement):
    """The JSON text of an object: of one key and value per row."""

    type = sa.Text()
    inherit_cache = True
    names: Mapping[str, str] = {'postgresql': 'json_object_agg', 'sqlite': 'json_group_object'}
    default = 'json_objectagg'


class _JsonObject(_JsonOf):
    """The JSON text of an object: of keys and values in turn."""

    inherit_cache = True
    names: Mapping[str, str] = {'postgresql': 'json_build_object'}
    default = 'json_object'


@compiler.compiles(_JsonOf)
def _call(element: _JsonOf, compiled: sa.sql.compiler.SQLCompiler, **options: object) -> str:
    dialect = compiled.dialect.name
    arguments = compiled.process(element.clauses, **options)
    cast = '::text' if dialect == 'postgresql' else ''
    return f'{element.names.get(dialect, element.default)}({arguments}){cast}'


_FLAGS = ('protected', 'os_hidden')
_TIMES = ('created_at', 'updated_at')
_STATUSES = {item.value: item for item in Status}
_VISIBILITIES = {item.value: item for item in Visibility}


def column(source: sa.FromClause) -> sa.ColumnElement[str]:
    """What `read` makes an image of: a JSON array; `source` has the columns of the table of images."""
    text: sa.ColumnElement[str] = sa.literal('[') + _attributes(source)
    for part in (_properties(source), _tags(source), _stores(source), _latest_import(source)):
        text = text + ',' + sa.func.coalesce(part, 'null')
    return text + ']'


def read(texts: Iterable[str], context: 'RequestContext | None' = None) -> list[Image]:
    """The images of these columns, as the caller sees them."""
    # One text of all of them: a decoder takes it apart faster than it is called.
    return [_image(context, *found) for found in json.loads(f'[{",".join(texts)}]')]


def _image(
    context: 'RequestContext | None',
    found: dict[str, object],
    custom: dict[str, str] | None,
    tagged: dict[str, object] | None,
    stored: dict[str, str] | None,
    imported: dict[str, str] | None,
) -> Image:
    found['status'] = _STATUSES[found['status']]
    found['visibility'] = _VISIBILITIES[found['visibility']]
    for name in _FLAGS:
        found[name] = bool(found[name])
    for name in _TIMES:
        found[name] = datetime.datetime.fromisoformat(found[name])
    return Image(
        **found,
        properties=custom or {},
        tags=frozenset(tagged or ()),
        # By when they came, which is what the keys begin with; a store counts once.
        stores=tuple(dict.fromkeys(store for _, store in sorted(stored.items()))) if stored else (),
        member_id=_member(found, context),
        progress=progress(**imported) if imported else {},
    )


def _attributes(source: sa.FromClause) -> sa.ColumnElement:
    parts: list[sa.ColumnElement] = []
    for column in images.columns:
        value = source.c[column.name]
        parts += [_key(column.name), sa.cast(value, sa.String(32)) if column.name in _TIMES else value]
    return _JsonObject(*parts)


def _properties(source: sa.FromClause) -> sa.ScalarSelect:
    found = sa.select(_JsonOf(properties.c.name, properties.c.value))
    return found.where(properties.c.image_id == source.c.id).scalar_subquery()


def json_keys(values: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """All of them as the keys of one JSON object, null for none: MariaDB limits the length of arrays."""
    return _JsonOf(values, sa.literal_column('0'))


def _tags(source: sa.FromClause) -> sa.ScalarSelect:
    found = sa.select(json_keys(tags.c.tag))
    return found.where(tags.c.image_id == source.c.id).scalar_subquery()


def _stores(source: sa.FromClause) -> sa.ScalarSelect:
    came = sa.cast(locations.c.created_at, sa.String(32)) + ' ' + locations.c.id
    primary = sa.and_(
        representations.c.primary_of == locations.c.image_id,
        representations.c.id == locations.c.representation_id,
    )
    found = sa.select(_JsonOf(came, locations.c.store)).select_from(locations).join(representations, primary)
    return found.where(
        locations.c.image_id == source.c.id, locations.c.state == LocationState.ACTIVE.value
    ).scalar_subquery()


def _latest_import(source: sa.FromClause) -> sa.ScalarSelect:
    parts = [part for name in ('id', 'state', 'result') for part in (_key(name), imports.c[name])]
    found = sa.select(_JsonObject(*parts)).where(imports.c.image_id == source.c.id)
    return found.order_by(imports.c.created_at.desc(), imports.c.id.desc()).limit(1).scalar_subquery()


def _key(name: str) -> sa.ColumnElement:
    return sa.literal_column(f"'{name}'")


def _member(found: Mapping[str, object], context: 'RequestContext | None') -> str | None:
    """The project through whose share the row was found: a foreign shared image has no other way."""
    if context is None or context.is_admin or found['visibility'] is not Visibility.SHARED:
        return None
    return context.project_id if found['owner'] not in (None, context.project_id) else None
