"""The gate of every JSON body: it is held against the model that its handler declares, as OpenAPI shows it.

What a JSON schema cannot say of a body is checked in domain, and may rely on the shape.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jsonschema

from imagepipe import errors
from imagepipe.api import description
from imagepipe.api.description import JSON, Model
from imagepipe.api.request import Request, json_body

if TYPE_CHECKING:
    from oslo_config import cfg


def _pattern(
    validator: jsonschema.protocols.Validator, pattern: str, value: object, _schema: object
) -> Iterator[jsonschema.ValidationError]:
    """As JSON Schema means it: a $ of Python lets a line break at the end pass."""
    meant = re.sub(r'\$$', r'\\Z', pattern)
    if validator.is_type(value, 'string') and not re.search(meant, value):
        yield jsonschema.ValidationError(f'{value!r} does not match {pattern!r}')


_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {'pattern': _pattern})
#: How a whole body is called that is of another type.
_WHOLE = {'object': 'an object is expected', 'array': 'an array is expected'}


class Gate:
    """The models of one configuration, each compiled when it is needed first."""

    def __init__(self, conf: 'cfg.ConfigOpts') -> None:
        self._conf = conf
        self._compiled: dict[str, jsonschema.protocols.Validator] = {}

    def read(self, request: Request) -> object:
        """The JSON in a body, whatever it is. Raises InvalidBody, BodyTooLarge."""
        return json_body(request, limit=self._conf.api.max_json_body)

    def check(self, model: Model, value: object) -> None:
        """Hold a value against a model. Raises InvalidBody."""
        for problem in self._validator(model).iter_errors(value):
            raise errors.InvalidBody(reason=sentence(problem))

    def _validator(self, model: Model) -> jsonschema.protocols.Validator:
        if model.name not in self._compiled:
            used = description.with_used(model.uses)
            components = {'schemas': {name: each.of(self._conf) for name, each in used.items()}}
            schema = {**model.of(self._conf), 'components': components}
            self._compiled[model.name] = _Validator(schema)
        return self._compiled[model.name]


def sent(
    request: Request, media: str = JSON, *, first: Callable[[Mapping[str, object]], None] | None = None
) -> Any:
    """The JSON in the body, as the handler's description has it for the media type.

    first: looks at an object before the schema does, for what is refused whatever else is wrong.
    Raises InvalidBody, BodyTooLarge.
    """
    body = request.gate.read(request)
    if first is not None and isinstance(body, dict):
        first(body)
    request.gate.check(description.of(request.route.handler).takes[media], body)
    return body


def sentence(problem: jsonschema.ValidationError) -> str:
    """What does not fit and where, short enough for a person."""
    if problem.validator == 'type' and not problem.absolute_path:
        return _WHOLE[problem.validator_value]
    where = '.'.join(str(part) for part in problem.absolute_path)
    # Of several alternatives, only the description of their schema says what is meant.
    text = problem.schema['description'] if problem.validator == 'oneOf' else problem.message
    if len(text) > 200:
        text = f'{text[:100]}...{text[-100:]}'  # a long value is told first, then what is wrong with it
    return f'{where}: {text}' if where else text
