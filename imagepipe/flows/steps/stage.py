"""stage: the source's bytes are in the staging area, with digests and the inspector's verdict."""

import contextlib
from collections.abc import Callable

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

#: The part of an object name under which the source's bytes are staged.
PART = 'data'


class TakeStaged(Step):
    """Take over what the client staged before; its digests count while the file is the same."""

    def work(self, run: Run, intake: object) -> dict[str, object]:
        transfer = run.db.read(lambda tx: tx.transfers.get(run.plan.transfer_id))
        recorded = {
            'name': transfer.object_name, 'size': transfer.size, 'digests': dict(transfer.digests),
            'identity': dict(transfer.identity or {}), 'verdict': transfer.verdict,
        }
        known = set(run.plan.digests) <= set(recorded['digests']) and recorded['verdict'] is not None
        if known and intake.same(recorded):
            run.progress(self.name, transfer.size, transfer.size)
            return recorded
        return self._examine(run, intake, recorded)

    def _examine(self, run: Run, intake: object, recorded: dict[str, object]) -> dict[str, object]:
        """Read it again: for an algorithm that staging did not compute, or a file that was touched."""
        seen = intake.examine(
            recorded['name'],
            algorithms=list(dict.fromkeys([*run.plan.digests, *recorded['digests']])),
            progress=lambda done: run.progress(self.name, done, recorded['size']),
        )
        if any(seen.digests[name] != value for name, value in recorded['digests'].items()):
            raise errors.StagingLost(image_id=run.claim.image_id)
        return seen.as_json()


class Download(Step):
    """Fetch the source URL into staging."""

    def work(self, run: Run, attempt: int, intake: object, source: Callable[..., object],
             rooms: object) -> dict[str, object]:
        if attempt > 1:
            run.pause(run.plan.backoff * 2 ** (attempt - 2))
        name = run.object_name(PART)
        run.discards(self.name, lambda: intake.staging.discard(name))
        self._discard_earlier(run, intake, name)
        with contextlib.closing(source(run)) as download:
            room = rooms.open(run, self.name, download.total)
            received = intake.receive(
                name, download, algorithms=run.plan.digests, limit=run.plan.size_cap,
                progress=lambda done: (room(done), run.progress(self.name, done, download.total)),
            )
            room(received.size)
        return received.as_json()

    def _discard_earlier(self, run: Run, intake: object, name: str) -> None:
        for earlier in run.object_names(PART):
            if earlier != name:
                intake.staging.discard(earlier)

    def undo(self, run: Run, intake: object, rooms: object) -> None:
        for name in run.object_names(PART):
            intake.staging.discard(name)
        rooms.close(run, self.name)
