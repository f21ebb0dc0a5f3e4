"""Image services of other regions, read over the Images API with the rights of a user."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Protocol

from imagepipe import errors
from imagepipe.sources.download import Download
from imagepipe.sources.fetcher import Fetcher
from imagepipe.sources.terms import Terms

#: The largest description of an image that is read, in bytes: 128 properties of 64 KiB are less.
LARGEST_DESCRIPTION = 16 << 20

_VERSION = re.compile(r'/v[0-9.]+$')


class Rights(Protocol):
    """Of a user: his tokens, and the endpoints that he finds (identity.py)."""

    def token(self) -> str:
        """A token that is good for now."""

    def endpoint(self, region: str, interface: str) -> str:
        """The URL of an image service. Raises RegionUnknown."""


class Regions:
    """Finds image services in the service catalog.

    trusted: the catalog is the operator's word, and [import_filtering_opts] does not hold for the
    endpoints in it.
    """

    def __init__(self, fetcher: Fetcher, rights: Callable[[str], Rights], *, trusted: bool) -> None:
        self._fetcher = fetcher
        self._rights = rights
        self._trusted = trusted

    def service(self, trust_id: str, *, region: str, interface: str) -> 'ImageService':
        """A region's image service, as the user sees it who gave the trust. Asks nobody yet."""
        rights = self._rights(trust_id)
        return ImageService(self._fetcher, rights, region=region, interface=interface, trusted=self._trusted)


class ImageService:
    """An imagepipe or Glance in a region. Of its answers nothing but image and data is passed on."""

    def __init__(
        self, fetcher: Fetcher, rights: Rights, *, region: str, interface: str, trusted: bool
    ) -> None:
        self._fetcher = fetcher
        self._rights = rights
        self._region = region
        self._interface = interface
        self._trusted = trusted

    def describe(self, image_id: str, *, cancelled: Callable[[], bool]) -> object:
        """The representation of an image, as the JSON value that it is.

        Raises RegionUnknown, RemoteImageNotFound, RemoteImageDenied, RemoteImageUnusable, what a Download
        raises, and what the rights do.
        """
        with self._told(image_id):
            download = self._fetcher.open(
                self._url(image_id), cancelled=cancelled, limit=LARGEST_DESCRIPTION, terms=self._terms()
            )
            with contextlib.closing(download):
                text = download.read(LARGEST_DESCRIPTION + 1)
        try:
            if len(text) <= LARGEST_DESCRIPTION:
                return json.loads(text)
        except (ValueError, RecursionError):
            pass
        raise errors.RemoteImageUnusable(reason='its description is no JSON')

    def open(
        self,
        image_id: str,
        *,
        offset: int,
        unchanging: bool,
        cancelled: Callable[[], bool],
        limit: int,
    ) -> Download:
        """The data of an image from an offset on. Raises as describe()."""
        with self._told(image_id):
            return self._fetcher.open(
                f'{self._url(image_id)}/file',
                offset=offset,
                cancelled=cancelled,
                limit=limit,
                terms=self._terms(unchanging=unchanging),
            )

    def _url(self, image_id: str) -> str:
        """Endpoints in catalogs have a version or, as is usual, none."""
        endpoint = self._rights.endpoint(self._region, self._interface).rstrip('/')
        return f'{_VERSION.sub("", endpoint)}/v2/images/{image_id}'

    def _terms(self, *, unchanging: bool = False) -> Terms:
        return Terms(
            headers=lambda: {'X-Auth-Token': self._rights.token()},
            trusted=self._trusted,
            unchanging=unchanging,
        )

    @contextlib.contextmanager
    def _told(self, image_id: str) -> Iterator[None]:
        """What the statuses of an image service mean."""
        try:
            yield
        except errors.SourceNotFound as error:
            refusal = _REFUSALS.get(error.facts['status'])
            if refusal is None:
                raise
            raise refusal(image_id=image_id, region=self._region) from None


_REFUSALS = {
    401: errors.RemoteImageDenied,
    403: errors.RemoteImageDenied,
    404: errors.RemoteImageNotFound,
}
