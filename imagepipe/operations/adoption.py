"""Taking over the images and metadata definitions of a Glance, again and again until it is switched off.

Glance is the truth for what came from it, as long as nobody changes that here. What was created here
is never touched, and neither is anything in a store: Glance's files become this service's by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.adoption import UNFINISHED, WRITTEN, GlanceImage, Outcome, Report, outcome
from imagepipe.domain.image import Status
from imagepipe.operations import metadef_adoption

if TYPE_CHECKING:
    from imagepipe.db.glance import GlanceDatabase
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services

#: Statuses of Glance that are told in the report.
_TOLD = UNFINISHED | {Status.KILLED, Status.PENDING_DELETE}
#: Outcomes after which the image stands here as it does there.
_AS_THERE = frozenset({Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED})
_GONE = frozenset({Outcome.REMOVED, Outcome.TOMBSTONE})
#: Ids that are compared at a time.
_PAGE = 200


def adopt(
    services: 'Services', glance: 'GlanceDatabase', *, stores: Mapping[str, str], dry_run: bool
) -> Report:
    """Bring this service to what Glance's database says; what was done, or would be.

    stores: our store ids by Glance's, or by URL scheme for locations that say no store.
    Raises GlanceDatabaseUnusable, GlanceLocationUnreadable, UnknownStore.
    """
    for store in stores.values():
        if store not in services.stores:
            raise errors.UnknownStore(store=store)
    run = _Run(services, dry_run=dry_run)
    kinds = _kinds(services)
    seen: set[str] = set()
    for page in glance.pages():
        seen.update(found.image.id for found in page)
        run.note(page)
        run.take({found.image.id: found.here(stores, kinds) for found in page})
    adopted = services.db.snapshot(lambda tx: list(tx.adoptions.adopted()))
    vanished = [image_id for image_id in adopted if image_id not in seen]
    if vanished and not seen:
        raise errors.GlanceDatabaseUnusable(reason='it has no images, but images were taken over from it')
    for start in range(0, len(vanished), _PAGE):
        run.take(dict.fromkeys(vanished[start : start + _PAGE]))
    definitions, types = glance.metadefs()
    metadef_adoption.adopt(services, definitions, types, report=run.report, dry_run=dry_run)
    return run.report


class _Run:
    """One pass over Glance's images."""

    def __init__(self, services: 'Services', *, dry_run: bool) -> None:
        self.report = Report()
        self._services = services
        self._dry_run = dry_run

    def note(self, page: Sequence[GlanceImage]) -> None:
        """Count the statuses that do not stand here."""
        self.report.statuses.update(found.image.status.value for found in page if found.image.status in _TOLD)

    def take(self, page: Mapping[str, GlanceImage | None]) -> None:
        """Do with these images what is to be done; None: Glance does not have it any more."""

        def change(tx: 'Transaction') -> Mapping[str, Outcome]:
            known = tx.adoptions.known(list(page))
            decided = {image_id: outcome(known[image_id], found) for image_id, found in page.items()}
            if not self._dry_run:
                self._write(tx, page, {each: what for each, what in decided.items() if what in WRITTEN})
            return decided

        run = self._services.db.snapshot if self._dry_run else self._services.db.run
        for image_id, what in run(change).items():
            self.report.note(image_id, what)
            if what in _AS_THERE:
                self._note_stores(page[image_id])

    def _note_stores(self, found: GlanceImage | None) -> None:
        stores = [place.store for place in found.places] if found is not None else []
        self.report.stores.update(store for store in stores if store not in self._services.stores)

    def _write(
        self, tx: 'Transaction', page: Mapping[str, GlanceImage | None], decided: Mapping[str, Outcome]
    ) -> None:
        old = [each for each, what in decided.items() if what in (Outcome.CHANGED, Outcome.REMOVED)]
        gone = [self._buried(tx, each, page[each]) for each, what in decided.items() if what in _GONE]
        new = [page[each] for each, what in decided.items() if what in (Outcome.NEW, Outcome.CHANGED)]
        for image_id in old:
            image = tx.images.find(image_id)
            self._services.quota.moved(tx, image, None)
            self._count(tx, image.owner, -tx.accounts.stored(image_id))
        if old:
            tx.adoptions.remove(old)
        tx.adoptions.bury(gone)
        tx.adoptions.add(new)
        for found in new:
            self._services.quota.moved(tx, None, found.image)
            self._count(tx, found.image.owner, (found.image.size or 0) * len(found.places))

    def _buried(self, tx: 'Transaction', image_id: str, found: GlanceImage | None) -> GlanceImage:
        """What a tombstone says; of a row that is purged, what was taken over of it."""
        if found is not None:
            return found
        return GlanceImage(image=tx.images.find(image_id), deleted_at=None)

    def _count(self, tx: 'Transaction', owner: str | None, amount: int) -> None:
        self._services.quota.count(tx, owner, amount)
        self._services.quota.release(tx, owner, -amount)


def _kinds(services: 'Services') -> dict[str, str]:
    """Our stores by the scheme of their URLs, where only one store has it."""
    found: dict[str, list[str]] = {}
    for store_id, store in services.stores.items():
        for scheme in _SCHEMES.get(store.type, (store.type,)):
            found.setdefault(scheme, []).append(store_id)
    return {scheme: stores[0] for scheme, stores in found.items() if len(stores) == 1}


#: Of the types whose URLs do not begin with their name.
_SCHEMES: Mapping[str, Iterable[str]] = {
    'file': ('file', 'filesystem'),
    'http': ('http', 'https'),
    'swift': ('swift', 'swift+http', 'swift+https', 'swift+config'),
    's3': ('s3', 's3+http', 's3+https'),
}
