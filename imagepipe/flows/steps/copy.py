"""copy: the image's data is in one more store, and was proved to be the image's."""

from collections.abc import Mapping, Sequence

from imagepipe import errors
from imagepipe.domain.location import Location
from imagepipe.flows.run import Run
from imagepipe.flows.steps.store import Storing


class Copy(Storing):
    """Stream the image's data from the best store that has it, and hold it against its digests.

    Nothing is staged. The size of an active image is known, so every driver can take a stream, and
    a staged copy would be written to disk and read again for nothing. Several targets read the
    source once each: each is then retried, resumed and failed by itself, and no slow store holds
    up another; a common staged copy would save those reads at the price of room for the whole
    image, which a copy between object stores otherwise never needs.
    """

    def work(self, run: Run, attempt: int, intake: object, stores: Mapping[str, object]) -> dict[str, object]:
        plan = run.plan
        data = {
            'size': plan.expected['size'],
            'digests': {name: value for name, value in plan.expected.items() if name != 'size'},
            'disk_format': self._target.disk_format,
            'container_format': plan.container_format,
        }
        return self._keep(
            run, attempt, stores, data, lambda store, name: self._copied(run, data, intake, stores, name)
        )

    def _copied(self, run: Run, data: Mapping[str, object], intake: object, stores: object, name: str) -> str:
        """The URL of the copy. A location whose bytes are wrong is passed over like one that fails."""
        sources = self._sources(run, stores)
        for turn in range(len(sources)):
            received = self._stream(run, data, intake, stores, name, [*sources[turn:], *sources[:turn]])
            wrong = [key for key, value in data['digests'].items() if received.digests[key] != value]
            if not wrong:
                return received.url
            stores[self._target.store].discard(name)
        if not sources:
            raise errors.DataUnavailable(image_id=run.claim.image_id)
        raise errors.StoredDataDiffers(store=sources[0].store)

    def _sources(self, run: Run, stores: object) -> Sequence[Location]:
        """The active locations of what is copied, as they are now: some may be gone since the POST."""
        located = run.db.read(lambda tx: tx.locations.of_primary(run.claim.image_id))
        return stores.best_first(
            [found for found in located if found.representation_id == self._target.representation_id]
        )

    def _stream(
        self,
        run: Run,
        data: Mapping[str, object],
        intake: object,
        stores: object,
        name: str,
        sources: Sequence[Location],
    ) -> object:
        size = data['size']
        reader = stores.reading(
            sources, image_id=run.claim.image_id, start=0, stop=size, cancelled=run.must_stop
        )
        try:
            if not reader.open():
                raise errors.DataUnavailable(image_id=run.claim.image_id)
            return intake.copied(
                name,
                reader,
                store_id=self._target.store,
                size=size,
                algorithms=tuple(data['digests']),
                progress=lambda done: run.progress(self.name, done, size),
            )
        finally:
            reader.close()
