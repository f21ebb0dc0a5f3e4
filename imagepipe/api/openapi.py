"""The OpenAPI document, made of the route table and what is declared at the handlers."""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from imagepipe import errors, version
from imagepipe.api import description
from imagepipe.api.description import JSON, Answer, Description, Model, Parameter, Schema

if TYPE_CHECKING:
    from oslo_config import cfg

    from imagepipe.api.routes import Route

#: What any call may answer with.
COMMON: tuple[type[errors.ImagepipeError], ...] = (
    errors.InvalidEncoding,
    errors.InvalidHeader,
    errors.NotAuthenticated,
    errors.IdentityUnavailable,
    errors.PolicyForbids,
    errors.RequestIdTooLong,
    errors.DatabaseUnavailable,
)
#: What a call may answer with besides, by what the route table says of its body.
OF_BODY: Mapping[str, tuple[type[errors.ImagepipeError], ...]] = {
    'none': (errors.BodyNotAllowed,),
    'ignored': (),
    'json': (errors.InvalidBody, errors.BodyTooLarge, errors.LengthRequired),
    'data': (errors.UnsupportedMediaType, errors.LengthRequired),
}

ERROR = description.model(
    'Error',
    {
        'type': 'object',
        'required': ['error'],
        'additionalProperties': False,
        'properties': {
            'error': {
                'type': 'object',
                'required': ['code', 'title', 'message', 'error_code', 'request_id'],
                'properties': {
                    'code': {'type': 'integer', 'description': 'The HTTP status.'},
                    'title': {'type': 'string', 'description': 'The reason phrase.'},
                    'message': {'type': 'string', 'description': 'A sentence for the user.'},
                    'error_code': {'type': 'string', 'description': 'Stable; see the list of error codes.'},
                    'request_id': {'type': ['string', 'null']},
                },
            }
        },
    },
)
_REQUEST_ID = {
    'x-openstack-request-id': {'description': 'The id of the request.', 'schema': {'type': 'string'}}
}
_METHODS_WITHOUT = frozenset({'GET', 'HEAD', 'OPTIONS'})


def document(rows: Iterable['Route'], conf: 'cfg.ConfigOpts') -> dict[str, object]:
    """The whole API as OpenAPI 3.1; schemas are those of this configuration."""
    rows = list(rows)
    paths: dict[str, dict[str, object]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    models = _models(rows)
    return {
        'openapi': '3.1.0',
        'info': {
            'title': 'Images API v2',
            'version': version.RELEASE,
            'description': 'The Images API v2 as imagepipe serves it, its extensions included.',
            'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'},
        },
        'security': [{'token': []}, {}],
        'paths': paths,
        'components': {
            'schemas': {name: models[name].of(conf) for name in sorted(models)},
            'securitySchemes': {'token': {'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token'}},
        },
    }


def failures(row: 'Route') -> frozenset[type[errors.ImagepipeError]]:
    """Every error that a call may answer with."""
    found = description.of(row.handler)
    own = () if found is None else found.errors
    anonymous = () if row.method in _METHODS_WITHOUT else (errors.ReadOnlyCaller,)
    return frozenset((*COMMON, *OF_BODY[row.body.value], *anonymous, *own))


def _operation(row: 'Route') -> dict[str, object]:
    found = description.of(row.handler) or Description(summary='', answers={})
    module = row.handler.__module__.rpartition('.')[2]
    operation: dict[str, object] = {
        'operationId': f'{module}.{row.handler.__name__}',
        'summary': found.summary,
        'description': inspect.getdoc(row.handler) or '',
        'tags': [module],
        'parameters': [*_in_path(row.path), *map(_parameter, found.parameters)],
        'responses': _responses(row, found),
    }
    if found.takes:
        operation['requestBody'] = {
            'required': True,
            'content': {media: _content(media, body) for media, body in found.takes.items()},
        }
    return operation


def _in_path(path: str) -> list[dict[str, object]]:
    names = re.findall(r'{(\w+)}', path)
    return [{'name': name, 'in': 'path', 'required': True, 'schema': {'type': 'string'}} for name in names]


def _parameter(parameter: Parameter) -> dict[str, object]:
    shown: dict[str, object] = {
        'name': parameter.name,
        'in': parameter.where,
        'description': parameter.description,
        'schema': parameter.schema,
    }
    if parameter.repeated:
        shown |= {'schema': {'type': 'array', 'items': parameter.schema}, 'explode': True}
    return shown


def _responses(row: 'Route', found: Description) -> dict[str, object]:
    by_status: dict[int, list[type[errors.ImagepipeError]]] = {}
    for failure in failures(row):
        by_status.setdefault(failure.status, []).append(failure)
    shown = {str(status): _success(answer) for status, answer in found.answers.items()}
    return shown | {str(status): _failure(by_status[status]) for status in sorted(by_status)}


def _success(answer: Answer) -> dict[str, object]:
    told = {
        name: {'description': text, 'schema': {'type': 'string'}} for name, text in answer.headers.items()
    }
    shown: dict[str, object] = {'description': answer.description, 'headers': {**_REQUEST_ID, **told}}
    if answer.body is not None or answer.media != JSON:
        shown['content'] = {answer.media: _content(answer.media, answer.body)}
    return shown


def _failure(found: Sequence[type[errors.ImagepipeError]]) -> dict[str, object]:
    lines = sorted(f'- `{failure.code}`: {_first_line(failure)}' for failure in found)
    text = {'schema': {'type': 'string'}}
    return {
        'description': '\n'.join(lines),
        'headers': _REQUEST_ID,
        'content': {JSON: {'schema': ERROR.ref}, 'text/html': text, 'text/plain': text},
    }


def _first_line(failure: type[errors.ImagepipeError]) -> str:
    return (inspect.getdoc(failure) or '').partition('\n')[0]


def _content(media: str, body: Model | None) -> dict[str, Schema]:
    return {'schema': {} if body is None else body.ref} if media != description.OCTETS else {}


def _models(rows: Iterable['Route']) -> dict[str, Model]:
    """Every model that a description names, by name."""
    named = [ERROR]
    for row in rows:
        found = description.of(row.handler)
        if found is not None:
            answered = [answer.body for answer in found.answers.values()]
            named += [body for body in (*answered, *found.takes.values()) if body is not None]
    return description.with_used(named)
