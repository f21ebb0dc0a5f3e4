"""Requests: who asks, the JSON in the body, the parameters in the URL (reference, section 1.3)."""

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import webob
import webob.request

from imagepipe import errors

if TYPE_CHECKING:
    from imagepipe.context import RequestContext

_CONTEXT = 'imagepipe.context'
_WITH_BODY = ('POST', 'PUT', 'PATCH')
_ENCODINGS = ('chunked', 'compress', 'deflate', 'gzip', 'identity')
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
    text = _decoded(_read(request, limit))
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise errors.InvalidBody(reason='it is nested too deeply') from None
    except ValueError as error:
        raise errors.InvalidBody(reason=f'it is not JSON ({error})') from None
    if not isinstance(document, dict | list):
        raise errors.InvalidBody(reason='an object or an array is expected')
    # Only an escape can bring such characters in.
    if '\\u' in text and _has_unstorable(document):
        raise errors.InvalidBody(reason='it has characters that cannot be stored')
    return document


def json_object(request: Request, *, limit: int) -> Mapping[str, object]:
    """The JSON object in the body. Raises InvalidBody, BodyTooLarge."""
    document = json_body(request, limit=limit)
    if not isinstance(document, dict):
        raise errors.InvalidBody(reason='an object is expected')
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
