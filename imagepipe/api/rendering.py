"""Responses: JSON bodies, empty successes, and errors in the form that the client accepts."""

import html
import json
from collections.abc import Mapping

import webob
from webob import acceptparse
from webob.util import status_reasons

from imagepipe import errors
from imagepipe.api.request import Request

_PAGE = """<html>
 <head>
  <title>{status}</title>
 </head>
 <body>
  <h1>{status}</h1>
  {message}<br /><br />
 </body>
</html>
"""
#: As Glance spells them, which is WebOb's exceptions' way.
REASONS = {**status_reasons, 416: 'Request Range Not Satisfiable'}
_HTML, _JSON, _PLAIN = 'text/html', 'application/json', 'text/plain'


def document(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> webob.Response:
    """A response with a JSON body."""
    response = webob.Response(status=status, content_type=_JSON, charset=None)
    response.body = _dump(body)
    response.headers.update(headers or {})
    return response


def empty(status: int, *, headers: Mapping[str, str] | None = None) -> webob.Response:
    """A success without a body, with the headers that Glance gives it."""
    response = webob.Response(status=status)
    response.headers['Content-Type'] = 'text/html; charset=UTF-8'
    response.headers['Content-Length'] = '0'
    response.headers.update(headers or {})
    return response


def error(request: Request, failure: errors.ImagepipeError) -> webob.Response:
    """The response that an error makes: HTML, JSON or plain text (reference, section 1.5).

    The JSON has exactly one top-level object, which glanceclient, the SDK and keystoneauth all read.
    """
    form = _form(request.environ.get('HTTP_ACCEPT'))
    reason = REASONS.get(failure.status, 'Unknown')
    charset = None if form == _JSON else 'UTF-8'
    response = webob.Response(status=f'{failure.status} {reason}', content_type=form, charset=charset)
    response.body = _BODIES[form](failure, reason, request.request_id)
    response.headers.update(failure.headers)
    return response


def _form(accept: str | None) -> str:
    if accept is None:
        return _PLAIN
    if not accept.strip():
        # The SDK's uploads and patches: it reads JSON, of plain text it shows nothing.
        return _JSON
    accepted = acceptparse.create_accept_header(accept)
    offers = dict(accepted.acceptable_offers([_HTML, _JSON]))
    if not offers:
        return _PLAIN
    # A wildcard means HTML, as always; JSON is for those who name it.
    named = _JSON in accept.lower() and _JSON in offers
    if named and offers[_JSON] >= offers.get(_HTML, 0):
        return _JSON
    return _HTML if _HTML in offers else _JSON


def _dump(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(', ', ': ')).encode('utf-8', 'replace')


def _as_html(failure: errors.ImagepipeError, reason: str, request_id: str | None) -> bytes:
    return _PAGE.format(
        status=f'{failure.status} {reason}', message=html.escape(failure.message, quote=False)
    ).encode('utf-8', 'replace')


def _as_json(failure: errors.ImagepipeError, reason: str, request_id: str | None) -> bytes:
    return _dump(
        {
            'error': {
                'code': failure.status,
                'title': reason,
                'message': failure.message,
                'error_code': failure.code,
                'request_id': request_id,
            }
        }
    )


def _as_text(failure: errors.ImagepipeError, reason: str, request_id: str | None) -> bytes:
    return f'{failure.status} {reason}\n\n{failure.message}\n'.encode('utf-8', 'replace')


_BODIES = {_HTML: _as_html, _JSON: _as_json, _PLAIN: _as_text}
