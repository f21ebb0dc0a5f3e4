"""hash: the data at a location is known by digest."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.domain.event import Event, image_payload
from imagepipe.domain.image import Image
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step
from imagepipe.flows.steps.check import location_of, result

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction

_LOOK = 1.0


class Hashing(Step):
    """Reading the data where it is, and keeping nothing of it but its digests."""

    def _digests(
        self,
        run: Run,
        attempt: int,
        size: int,
        intake: object,
        stores: object,
        watch: Callable[[], None] = lambda: None,
    ) -> dict[str, str]:
        run.back_off(attempt)
        location = location_of(run)
        reader = stores.open(location, cancelled=run.must_stop)
        try:
            seen = intake.hashed(
                reader,
                algorithms=run.plan.digests,
                limit=size,
                progress=lambda done: (run.progress(self.name, done, size), watch()),
            )
        except errors.SizeCapExceeded as error:
            raise errors.StoredDataDiffers(store=location.store) from error
        finally:
            reader.close()
        if seen.size != size:
            raise errors.StoredDataDiffers(store=location.store)
        return dict(seen.digests)


class Hash(Hashing):
    """Hold the data against digest and signature, before anybody can use it. Nothing is stored."""

    def work(
        self,
        run: Run,
        attempt: int,
        checked: Mapping[str, object],
        intake: object,
        stores: object,
        signatures: object,
    ) -> dict[str, object]:
        digests = self._digests(run, attempt, checked['size'], intake, stores)
        run.db.run(lambda tx: tx.imports.record(run.claim.import_id, source_digests=digests))
        for name, expected in run.plan.expected.items():
            if digests[name] != expected:
                raise errors.DigestMismatch(algorithm=name, found=digests[name], expected=expected)
        if run.plan.signature is not None:
            signatures.verify(run.plan.signature, digests)
        return result(run, attempt, checked['size'], digests)


class HashActive(Hashing):
    """Give an image that is active already its digests. That they cannot be had changes nothing.

    The import is committed: its last failure is a result and not an error, and an image that was
    deleted meanwhile ends it. Nor can it be reverted when its worker dies of the data each time.
    """

    cancellable = False

    def work(
        self, run: Run, attempt: int, checked: Mapping[str, object], intake: object, stores: object
    ) -> dict[str, object]:
        try:
            self._give_up(run)
            digests = self._digests(run, attempt, checked['size'], intake, stores, _watch(run))
            run.db.run(lambda tx: _complete(tx, run, digests))
        except (errors.ClaimLost, errors.DatabaseUnavailable):
            raise
        except errors.ImagepipeError as error:
            if error.transient and attempt < run.plan.fetch_attempts:
                raise
            run.failed(self.name, error)
            return {'status': 'failed', 'code': error.code}
        return {'status': 'ok', 'digests': digests}

    def _give_up(self, run: Run) -> None:
        """Raises ImportAttemptsExhausted."""
        import_id, bound = run.claim.import_id, run.plan.fetch_attempts
        steps = run.db.read(lambda tx: tx.steps.of_imports([import_id])[import_id])
        crashes = next(step.crashes for step in steps if step.name == self.name)
        if crashes >= bound:
            raise errors.ImportAttemptsExhausted(step=self.name, attempts=crashes)


def _watch(run: Run) -> Callable[[], None]:
    """What ends the reading when the image is deleted: asked often, it looks once in _LOOK seconds."""
    due = time.monotonic() + _LOOK

    def look() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LOOK
            run.db.read(lambda tx: _image(tx, run))

    return look


def _image(tx: 'Transaction', run: Run) -> Image:
    try:
        return tx.images.find(run.claim.image_id)
    except errors.ImageNotFound as error:
        raise errors.ImageDeletedDuringImport() from error


def _complete(tx: 'Transaction', run: Run, digests: Mapping[str, str]) -> None:
    """The digests belong to the image, its representation, and the record of the import."""
    image = _image(tx, run)
    (target,) = run.plan.targets
    algorithm = run.plan.os_hash_algo
    known = dataclasses.replace(
        image, checksum=digests['md5'], os_hash_algo=algorithm, os_hash_value=digests[algorithm]
    )
    saved = tx.images.settle(known, expected=image)
    tx.locations.set_digests(target.representation_id, digests)
    tx.imports.record(run.claim.import_id, source_digests=dict(digests))
    tx.notify(Event.IMAGE_UPDATE, image_payload(saved))
