"""What stores are asked to delete, side by side and for a limited time, and what they make of it."""

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.location import Location

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: What brings the image back: the store keeps the data, and will.
_REFUSALS = (errors.StoreInUse, errors.StoreDenied)


@dataclasses.dataclass(frozen=True)
class Removal:
    """What became of condemned locations: gone, or kept by their stores, with the error of each.

    unasked: their stores were not asked, for others keep something. The rest stay condemned: they are
    the sweeper's.
    """

    gone: tuple[Location, ...]
    kept: Sequence[tuple[Location, errors.ImagepipeError]]
    unasked: tuple[Location, ...] = ()

    def refusal(self, image_id: str) -> errors.ImagepipeError:
        """What the caller is told where something is kept."""
        if any(isinstance(error, errors.StoreInUse) for _, error in self.kept):
            return errors.StoreInUse(store='', image_id=image_id)
        return errors.StoreKeeps(image_id=image_id)


def remove_bytes(
    services: 'Services', locations: Sequence[Location], seconds: float | None = None
) -> Removal:
    """Ask the stores for a limited time, by default all that a DELETE has, to delete what is there."""
    allowed = services.conf.transfers.delete_seconds if seconds is None else seconds
    outcomes = _Deletions(services, locations).run(allowed)
    found = [(location, outcomes[location.id]) for location in locations if location.id in outcomes]
    return Removal(
        gone=tuple(location for location, error in found if error is None),
        kept=[(location, error) for location, error in found if isinstance(error, _REFUSALS)],
    )


def is_foreign(services: 'Services', location: Location) -> bool:
    """Whether the bytes are somebody else's, of which the image has the URL and nothing more.

    Here and nowhere else is decided that they are never deleted: whoever removes a location, or the
    image, forgets its row. A store that takes no data (http) holds nothing that imagepipe wrote.
    """
    store = services.stores.get(location.store)
    return store is not None and store.read_only


class _Deletions:
    """The stores' deletes, side by side and for a limited time.

    Their outcomes by location id: None is gone, an error is not gone; a store that has not
    answered in time has none, and its thread is left behind.
    """

    def __init__(self, services: 'Services', locations: Sequence[Location]) -> None:
        self._services = services
        self._locations = locations
        self._outcomes: dict[str, errors.ImagepipeError | None] = {}
        self._lock = threading.Lock()

    def run(self, seconds: float) -> dict[str, errors.ImagepipeError | None]:
        """Delete all; what is known after at most `seconds`."""
        deadline = time.monotonic() + seconds
        threads = [self._start(location) for location in self._locations]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            return dict(self._outcomes)

    def _start(self, location: Location) -> threading.Thread:
        thread = threading.Thread(
            target=self._delete, args=(location,), name=f'delete-{location.store}', daemon=True
        )
        thread.start()
        return thread

    def _delete(self, location: Location) -> None:
        outcome = self._outcome(location)
        if outcome is not None:
            LOG.warning('Location %s was not deleted: %s', location.id, outcome)
        with self._lock:
            self._outcomes[location.id] = outcome

    def _outcome(self, location: Location) -> errors.ImagepipeError | None:
        store = self._services.stores.get(location.store)
        if store is None:
            return errors.UnknownStore(store=location.store)
        if is_foreign(self._services, location):
            return None
        try:
            if location.url is not None:
                store.delete(location.url)
            elif location.object_name is not None:
                store.discard(location.object_name)
        except errors.ImagepipeError as error:
            return error
        return None
