"""stage: the source's bytes are in the staging area, with digests and the inspector's verdict."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

LOG = logging.getLogger(__name__)

#: The part of an object name under which the source's bytes are staged.
PART = 'data'


class TakeStaged(Step):
    """Take over what the client staged before; its digests count while the file is the same."""

    def work(self, run: Run, intake: object) -> dict[str, object]:
        transfer = run.db.read(lambda tx: tx.transfers.get(run.plan.transfer_id))
        if transfer is None:  # a DELETE has taken it, a moment after this step had begun
            raise errors.StagingLost(image_id=run.claim.image_id)
        recorded = {
            'name': transfer.object_name,
            'size': transfer.size,
            'digests': dict(transfer.digests),
            'identity': dict(transfer.identity or {}),
            'verdict': transfer.verdict,
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
    """Fetch the source URL into staging; what a dead worker had fetched is hashed again and continued."""

    def work(
        self, run: Run, attempt: int, intake: object, source: Callable[..., object], rooms: object
    ) -> dict[str, object]:
        run.back_off(attempt)
        staging, name = intake.staging, run.object_name(PART)
        run.discards(self.name, lambda: staging.discard(name))
        staging.discard(name)
        with contextlib.ExitStack() as stack:
            prefix, download = self._open(run, staging, source, stack)
            if prefix is None:
                self._discard_earlier(run, staging)
            self._remember(run, download, continued=prefix is not None)
            room = rooms.open(run, self.name, download.total)
            received = intake.to_staging(
                name,
                _Joined(prefix, download),
                algorithms=run.plan.digests,
                limit=run.plan.size_cap,
                progress=lambda done: (room(done), run.progress(self.name, done, download.total)),
            )
            rooms.hold(run, self.name, received.size)
        self._discard_earlier(run, staging)
        return received.as_json()

    def _open(
        self, run: Run, staging: object, source: Callable[..., object], stack: contextlib.ExitStack
    ) -> tuple[object | None, object]:
        """What an earlier claim fetched, if the source can continue it, and the download of the rest."""
        prefix = self._prefix(run, staging, stack)
        if prefix is not None:
            try:
                return prefix, stack.enter_context(
                    contextlib.closing(
                        source(run, offset=prefix.size, validator=run.record.source_resume['validator'])
                    )
                )
            except (errors.SourceChanged, errors.SourceUnusable):
                LOG.info('The source of import %s cannot be continued; it is read anew', run.claim.import_id)
        return None, stack.enter_context(contextlib.closing(source(run)))

    def _prefix(self, run: Run, staging: object, stack: contextlib.ExitStack) -> object | None:
        known = run.record.source_resume
        # After a reboot, the end of a file that was never synced may be holes.
        if known is None or known['boot'] != _boot():
            return None
        for name in reversed(run.object_names(PART)[self._since(run) - 1 : -1]):
            found = staging.identity(name)
            if found is not None and found['size'] > 0:
                return stack.enter_context(staging.open(name))
        return None

    def _since(self, run: Run) -> int:
        """The first epoch whose bytes are of the version that is known; this one where none was told."""
        return run.record.source_resume.get('since', run.claim.epoch)

    def _remember(self, run: Run, download: object, *, continued: bool) -> None:
        """What continues this download, and since which epoch bytes are of its version.

        It does not count on the files of earlier epochs being gone: a frozen worker may yet write one.
        """
        since = self._since(run) if continued else run.claim.epoch
        resume = {'validator': download.validator, 'boot': _boot(), 'since': since}
        known = resume if download.resumable else None
        run.db.run(lambda tx: tx.imports.record(run.claim.import_id, source_resume=known))

    def _discard_earlier(self, run: Run, staging: object) -> None:
        for earlier in run.object_names(PART)[:-1]:
            staging.discard(earlier)

    def undo(self, run: Run, intake: object, rooms: object) -> None:
        for name in run.object_names(PART):
            intake.staging.discard(name)
        rooms.close(run, self.name)


class _Joined:
    """One reader over the part that is here and the rest that is to come."""

    def __init__(self, prefix: object | None, rest: object) -> None:
        self._left = prefix.size if prefix is not None else 0
        self._prefix = prefix
        self._rest = rest

    def read(self, size: int) -> bytes:
        """The next bytes; a zombie that still writes behind the prefix is not read."""
        if self._left > 0:
            piece = self._prefix.read(min(size, self._left))
            if not piece:
                raise errors.SourceChanged()
            self._left -= len(piece)
            return piece
        return self._rest.read(size)

    def close(self) -> None:
        """Both are closed by whoever opened them."""


def _boot() -> str:
    """This start of this host."""
    return Path('/proc/sys/kernel/random/boot_id').read_text().strip()
