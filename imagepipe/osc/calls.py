"""The calls to the API of imports, over the session of the client that runs the command."""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from keystoneauth1 import exceptions as auth_errors
from osc_lib import exceptions

if TYPE_CHECKING:
    from openstack.image.v2._proxy import Proxy

Record = Mapping[str, object]
#: The answers of a service, or of a proxy before it, that is away for the moment.
_AWAY = frozenset({502, 503, 504})

#: The client's own command prints an image and ends well, whatever the service answers.
_REFUSED = 'If one was asked for, it was refused; "glance image-import" says why.'


class RefusalError(exceptions.CommandError):
    """The service refused a request: its sentence, and its code."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


class AwayError(exceptions.CommandError):
    """The service does not answer, or says that it cannot at the moment."""


class Imports:
    """The imports of the image service that the client is for."""

    def __init__(self, images: 'Proxy') -> None:
        self._images = images

    def search(self, limit: int, filters: Mapping[str, str | None]) -> Iterator[Record]:
        """Imports, newest first. The service may give them in pages."""
        given = {name: value for name, value in filters.items() if value is not None}
        path: str | None = f'/imports?{urlencode({**given, "limit": limit})}'
        while path is not None and limit > 0:
            page = self._call('GET', path)
            yield from page['imports'][:limit]
            limit -= len(page['imports'])
            path = page['next'].removeprefix('/v2') if 'next' in page else None

    def get(self, import_id: str) -> Record:
        """An import as it stands."""
        return self._call('GET', f'/imports/{quote(import_id, safe="")}')

    def cancel(self, import_id: str) -> Record:
        """Ask that an import is reverted."""
        return self._call('POST', f'/imports/{import_id}/cancel')

    def retry(self, import_id: str) -> Record:
        """The new import, of the same kind."""
        return self._call('POST', f'/imports/{import_id}/retry')

    def find(self, given: str) -> Record:
        """The import of this id, or else the newest one of the image of this id or name."""
        try:
            return self.get(given)
        except RefusalError as refusal:
            if refusal.status != 404:
                raise
        image_id = self._image(given)
        found = self._of_image(image_id or given)
        if found:
            return found[0]
        if image_id is None:
            raise exceptions.CommandError(f'There is no import, and no image with one, called {given}.')
        raise exceptions.CommandError(f'Image {given} has no import. {_REFUSED}')

    def image(self, given: str) -> str:
        """The id of an image by its id or name; an image that is gone has only its id."""
        found = self._image(given)
        if found is None and not _is_id(given):
            raise exceptions.CommandError(f'There is no image called {given}.')
        return found or given

    def _image(self, given: str) -> str | None:
        try:
            found = self._images.find_image(given, ignore_missing=True)
        except (auth_errors.ConnectFailure, auth_errors.DiscoveryFailure) as error:
            raise self._silence(error) from error
        return found and found.id

    def _of_image(self, image_id: str) -> list[Record]:
        try:
            return self._call('GET', f'/images/{quote(image_id, safe="")}/imports?limit=1')['imports']
        except RefusalError as refusal:
            if refusal.status != 404:
                raise
            # The imports of an image that is gone are told to the project that asked for them.
            return list(self.search(1, {'image_id': image_id}))

    def _call(self, method: str, path: str) -> Mapping[str, object]:
        try:
            answer = self._images.request(
                path, method, headers={'Accept': 'application/json'}, skip_cache=True
            )
        except (auth_errors.ConnectFailure, auth_errors.DiscoveryFailure) as error:
            raise self._silence(error) from error
        if answer.status_code >= 300:
            raise _refusal(answer.status_code, _told(answer.content))
        return answer.json()

    def _silence(self, error: Exception) -> AwayError:
        return AwayError(f'The image service does not answer: {error}')


def _is_id(text: str) -> bool:
    """Whether it may be the id of an image."""
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def _refusal(status: int, told: str | None) -> exceptions.CommandError:
    """told: what imagepipe says."""
    if status in _AWAY:
        return AwayError(told or f'The image service cannot answer at the moment (status {status}).')
    if told is None and status == 404:
        return exceptions.CommandError(
            'This image service does not show imports: it is no imagepipe. '
            '"openstack image task list" may say more.'
        )
    return RefusalError(told or f'The image service answered {status} without a reason.', status)


def _told(content: bytes) -> str | None:
    """Sentence and code of a refusal; None where it is not imagepipe that refuses."""
    try:
        error = json.loads(content)['error']
        return f'{error["message"]} ({error["error_code"]})'
    except (ValueError, KeyError, TypeError):
        return None
