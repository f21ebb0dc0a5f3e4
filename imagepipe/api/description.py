"""What the OpenAPI document tells of a call, declared at its handler: its answers, errors, parameters, body.

api/openapi.py makes the document of the route table and of these; the tests hold every answer
that they see against it, so that neither can drift from what the service does.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from imagepipe.errors import ImagepipeError

if TYPE_CHECKING:
    from oslo_config import cfg

Schema = Mapping[str, object]
Handler = TypeVar('Handler', bound=Callable[..., object])

JSON = 'application/json'
OCTETS = 'application/octet-stream'

TEXT: Schema = {'type': 'string'}
WHOLE: Schema = {'type': 'integer', 'minimum': 0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A named JSON schema. `of` makes it for a configuration; `uses` are the models that it refers to."""

    name: str
    of: 'Callable[[cfg.ConfigOpts], Schema]'
    uses: 'tuple[Model, ...]' = ()

    @property
    def ref(self) -> Schema:
        """The schema by its name, for use in another one."""
        return {'$ref': f'#/components/schemas/{self.name}'}


def model(name: str, schema: Schema, *, uses: tuple[Model, ...] = ()) -> Model:
    """A model that is the same whatever is configured."""
    return Model(name=name, of=lambda conf: schema, uses=uses)


def page(name: str, rows: str, row: Model, *, schema: bool = True) -> Model:
    """The model of a list with its links."""
    links: dict[str, Schema] = {'first': TEXT, 'next': TEXT}
    if schema:
        links['schema'] = TEXT
    properties = {rows: {'type': 'array', 'items': row.ref}, **links}
    required = [rows, *(['schema'] if schema else [])]
    return model(name, {'type': 'object', 'properties': properties, 'required': required}, uses=(row,))


def with_used(models: Iterable[Model]) -> dict[str, Model]:
    """These models and those that they refer to, by name."""
    waiting, found = list(models), {}
    while waiting:
        body = waiting.pop()
        if found.setdefault(body.name, body) is not body:
            raise ValueError(f'two models have the name {body.name}')
        waiting += [used for used in body.uses if used.name not in found]
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of the query, or a header of the request; repeated: may be given several times."""

    name: str
    description: str
    schema: Schema = dataclasses.field(default_factory=lambda: TEXT)
    where: str = 'query'
    repeated: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """A success: what its body is (None: empty), and the headers that it has besides the usual ones."""

    description: str
    body: Model | None = None
    media: str = JSON
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """All that is told of one call.

    takes: the model of the body by media type, None for mere bytes; JSON is held against it (gate.py).
    """

    summary: str
    answers: Mapping[int, Answer]
    errors: tuple[type[ImagepipeError], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    takes: Mapping[str, Model | None] = dataclasses.field(default_factory=dict)


def describe(
    summary: str,
    answers: Mapping[int, Answer],
    *,
    errors: tuple[type[ImagepipeError], ...] = (),
    parameters: tuple[Parameter, ...] = (),
    takes: Mapping[str, Model | None] | None = None,
) -> Callable[[Handler], Handler]:
    """Declare what a handler answers. errors: besides those that every call may answer with."""

    def declared(handler: Handler) -> Handler:
        handler.description = Description(
            summary=summary, answers=answers, errors=errors, parameters=parameters, takes=takes or {}
        )
        return handler

    return declared


def of(handler: Callable[..., object]) -> Description | None:
    """What was declared at a handler."""
    return getattr(handler, 'description', None)
