"""A client of our own API, as small as the quickstart needs it."""

import contextlib
import http.client
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import BinaryIO

from imagepipe.cmd.import_record import ENDS

_CHUNK = 1 << 20


class RefusalError(Exception):
    """The API answered with an error: its sentence, code and request id."""

    def __init__(self, status: int, message: str, code: str | None, request_id: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class SilenceError(Exception):
    """The API does not answer."""


class Client:
    """Calls to the API at `url`. Raises RefusalError and SilenceError."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self.url = url
        self._parts = urllib.parse.urlsplit(url)
        self._timeout = timeout

    def healthy(self) -> bool:
        """Whether the API is there and ready for requests."""
        try:
            return self._send('GET', '/healthcheck')[0] == 200
        except SilenceError:
            return False

    def create(self, attributes: Mapping[str, object]) -> dict[str, object]:
        """A new image."""
        return self._json('POST', '/v2/images', attributes)

    def stage(self, image_id: str, file: BinaryIO, length: int, sent: Callable[[int], None]) -> None:
        """Upload into staging; `sent` is told the bytes so far."""

        def body() -> object:
            done = 0
            while chunk := file.read(_CHUNK):
                yield chunk
                done += len(chunk)
                sent(done)

        headers = {'Content-Type': 'application/octet-stream', 'Content-Length': str(length)}
        self._checked('PUT', f'/v2/images/{image_id}/stage', body(), headers)

    def start_import(self, image_id: str, request: Mapping[str, object]) -> str:
        """The id of the import that was accepted."""
        headers = self._checked('POST', f'/v2/images/{image_id}/import', *_as_json(request))[0]
        return headers['OpenStack-image-import-task-id']

    def import_(self, import_id: str) -> dict[str, object]:
        """An import as it stands."""
        return self._json('GET', f'/v2/imports/{import_id}')

    def live_imports(self) -> list[dict[str, object]]:
        """Imports that have no end yet, of the newest."""
        found = self._json('GET', '/v2/imports?limit=100')['imports']
        return [record for record in found if record['state'] not in ENDS]

    def image(self, image_id: str) -> dict[str, object]:
        """An image."""
        return self._json('GET', f'/v2/images/{image_id}')

    def delete(self, image_id: str) -> None:
        """Delete an image."""
        self._checked('DELETE', f'/v2/images/{image_id}')

    def _json(self, method: str, path: str, value: object = None) -> dict[str, object]:
        body, headers = _as_json(value) if value is not None else (None, {})
        return json.loads(self._checked(method, path, body, headers)[1])

    def _checked(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPMessage, bytes]:
        status, found, content = self._send(method, path, body, headers)
        if status >= 300:
            raise _refusal(status, found, content)
        return found, content

    def _send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self._parts.hostname, self._parts.port, timeout=self._timeout)
        try:
            # Refused before the end of the body: the answer says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    method, path, body=body, headers={'Accept': 'application/json', **(headers or {})}
                )
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise SilenceError(f'{self.url} does not answer: {error or type(error).__name__}') from error
        finally:
            connection.close()


def _as_json(value: object) -> tuple[bytes, dict[str, str]]:
    return json.dumps(value).encode(), {'Content-Type': 'application/json'}


def _refusal(status: int, headers: http.client.HTTPMessage, content: bytes) -> RefusalError:
    request_id = headers.get('x-openstack-request-id')
    try:
        error = json.loads(content)['error']
        return RefusalError(status, error['message'], error['error_code'], error['request_id'] or request_id)
    except (ValueError, KeyError, TypeError):
        return RefusalError(status, f'The service answered {status} without a reason.', None, request_id)
