"""discard: what the import staged is gone."""

import logging
from collections.abc import Callable

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

LOG = logging.getLogger(__name__)


class Discard(Step):
    """Remove the staged data after the commit. Never fails: what stays is the sweeper's."""

    cancellable = False

    def work(self, run: Run, clear_staging: Callable[[Run], bool]) -> None:
        try:
            clear_staging(run)
        except errors.ImagepipeError as error:
            LOG.warning('Staged data of import %s is left to the sweeper: %s', run.claim.import_id, error)
