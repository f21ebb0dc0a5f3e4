"""describe: the image of another region has said what it is."""

from collections.abc import Callable
from dataclasses import replace

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step


class Describe(Step):
    """Ask the source for its formats, size, digest and properties, and record them: the plan goes by them.

    What its user expects and the source denies is told before a byte is read.
    """

    def work(self, run: Run, attempt: int, describe: Callable[[Run], object]) -> None:
        run.back_off(attempt)
        found = describe(run)
        _check(run.record.plan.expected, found.expected)
        described = replace(run.remote, found=found)
        run.db.run(lambda tx: tx.imports.record(run.claim.import_id, source_image=described))
        run.described(described)


def _check(wanted: dict[str, object], told: dict[str, object]) -> None:
    for name in wanted.keys() & told.keys():
        if wanted[name] == told[name]:
            continue
        if name == 'size':
            raise errors.ExpectedSizeMismatch(found=told[name], expected=wanted[name])
        raise errors.DigestMismatch(algorithm=name, found=told[name], expected=wanted[name])
