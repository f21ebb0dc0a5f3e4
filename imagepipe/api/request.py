"""Requests: who asks, the JSON in the body, the parameters in the URL (reference, section 1.3)."""

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import webob
import webob.request

from imagepipe import errors

if TYPE_CHECKING:
    from imagepipe.api.gate import Gate
    from imagepipe.api.routes import Route
    from imagepipe.context import RequestContext

_CONTEXT = 'imagepipe.context'
_ROUTES = 'imagepipe.routes'
_ROUTE = 'imagepipe.route'
_GATE = 'imagepipe.gate'
_WITH_BODY = ('POST', 'PUT', 'PATCH')
_ENCODINGS = ('chunked', 'compress', 'deflate', 'gzip', 'identity')
#: How many arrays and objects may stand in each other.
_DEEPEST = 100
#: What no database takes as text: NUL, and halves of surrogate pairs.
_UNSTORABLE = re.compile('[\0\ud800-\udfff]')


class Request(webob.Request):
    """A request of the API; its context is that of the caller."""

    @property
    def context(self) -> 'RequestContext':
        return self.environ[_CONTEXT]

    @context.setter
    def context(self, context: 'RequestContext') -> None:
        self.environ[_CONTEXT] = context

    @property
    def routes(self) -> Sequence['Route']:
        """The table that the request's own route is of."""
        return self.environ[_ROUTES]

    @routes.setter
    def routes(self, rows: Sequence['Route']) -> None:
        self.environ[_ROUTES] = rows

    @property
    def route(self) -> 'Route':
        """The row of the table that the request is of."""
        return self.environ[_ROUTE]

    @route.setter
    def route(self, row: 'Route') -> None:
        self.environ[_ROUTE] = row

    @property
    def gate(self) -> 'Gate':
        """What its body is held against."""
        return self.environ[_GATE]

    @gate.setter
    def gate(self, gate: 'Gate') -> None:
        self.environ[_GATE] = gate

    @property
    def request_id(self) -> str | None:
        """The request's id; None before it is known who asks."""
        context = self.environ.get(_CONTEXT)
        return None if context is None else context.request_id

    @property
    def path_text(self) -> str:
        """The path with its slashes made single. Raises InvalidEncoding."""
        try:
            return re.sub('/+', '/', self.path_info)
        except UnicodeDecodeError:
            raise errors.InvalidEncoding() from None

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query, in its order, with every repetition. Raises InvalidEncoding."""
        try:
            return list(self.GET.items())
        except UnicodeDecodeError:
            raise errors.InvalidEncoding() from None

    @property
    def has_body(self) -> bool:
        """Whether the client says that it sends a body."""
        try:
            if (self.content_length or 0) > 0:
                return True
        except ValueError:
            raise errors.InvalidHeader(name='Content-Length', reason='it must be a number') from None
        encoding = self.headers.get('Transfer-Encoding', '').strip().lower()
        return self.method in _WITH_BODY and encoding in _ENCODINGS


def json_body(request: Request, *, limit: int) -> object:
    """The JSON in the body: an object or a list. Raises InvalidBody, BodyTooLarge."""
    if not request.has_body:
        raise errors.InvalidBody(reason='there is none')
    return parse(_decoded(_read(request, limit)))


def parse(text: str) -> object:
    """A JSON document, an object or a list, that can be stored. Raises InvalidBody."""
    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise errors.InvalidBody(reason='it is nested too deeply') from None
    except ValueError as error:
        raise errors.InvalidBody(reason=f'it is not JSON ({error})') from None
    if not isinstance(document, dict | list):
        raise errors.InvalidBody(reason='an object or an array is expected')
    # What is done with it later, such as storing it, must not run out of stack.
    if text.count('[') + text.count('{') > _DEEPEST and _is_deep(document):
        raise errors.InvalidBody(reason='it is nested too deeply')
    # Only an escape can bring such characters in.
    if '\\u' in text and _has_unstorable(document):
        raise errors.InvalidBody(reason='it has characters that cannot be stored')
    return document


def _read(request: Request, limit: int) -> bytes:
    if request.content_length is not None and request.content_length > limit:
        raise errors.BodyTooLarge(limit=limit)
    stream = request.environ['wsgi.input']
    rest = request.content_length if request.content_length is not None else limit + 1
    parts, size = [], 0
    while rest > size and (part := stream.read(min(65536, rest - size))):
        size += len(part)
        if size > limit:
            raise errors.BodyTooLarge(limit=limit)
        parts.append(part)
    if not parts:
        raise errors.InvalidBody(reason='there is none')
    return b''.join(parts)


def _decoded(body: bytes) -> str:
    try:
        return body.decode('utf-8')
    except UnicodeDecodeError:
        raise errors.InvalidBody(reason='it is not UTF-8') from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f'{name} is not a number')


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError('a number is too large')
    return number


def _is_deep(document: object) -> bool:
    level = [document]
    for _ in range(_DEEPEST):
        values = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in values for inner in (each.values() if isinstance(each, dict) else each)]
    return any(isinstance(each, dict | list) for each in level)


def _has_unstorable(document: object) -> bool:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            return True
    return False
