"""The http store: images on web servers, read only."""

import functools
from typing import Any

from glance_store._drivers import http

from imagepipe import errors
from imagepipe.stores.glance import GlanceStore
from imagepipe.stores.refusals import by_status

#: Seconds for connecting and for each read; the driver itself would wait for ever.
TIMEOUT = (10, 60)


class HTTPStore(GlanceStore):
    """Whole objects only: open() at an offset reads and drops what lies before it."""

    read_only = True

    def _made(self) -> Any:
        driver = super()._made()
        driver.session = http.requests.Session()
        driver.session.request = functools.partial(driver.session.request, timeout=TIMEOUT)
        driver._check_store_uri = self._judge
        return driver

    def _judge(self, response: Any, place: Any) -> None:
        """In place of the driver's own check, for which a server that is busy is a malformed URL."""
        if response.status_code >= 400:
            response.close()
            raise by_status(response.status_code)(store=self.id)
        if 'location' not in response.headers:
            raise errors.StorePermanent(store=self.id)
