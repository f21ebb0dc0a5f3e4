"""decompress: what came packed lies unpacked in staging, and is looked at again."""

import contextlib
from collections.abc import Callable, Mapping

from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

PART = 'unpacked'


class Decompress(Step):
    """Unpack under the caps of size and ratio; data that is not packed passes as it is."""

    def work(
        self,
        run: Run,
        staged: Mapping[str, object],
        inspected: Mapping[str, object],
        intake: object,
        unpack: Callable[..., object],
        judge: object,
        rooms: object,
    ) -> dict[str, object]:
        if inspected['compression'] is None:
            return dict(staged)
        name = run.object_name(PART)
        run.discards(self.name, lambda: intake.staging.discard(name))
        for earlier in run.object_names(PART):
            intake.staging.discard(earlier)
        intake.identity(staged['name'])
        room = rooms.open(run, self.name, None)
        packed = intake.staging.path(staged['name'])
        with contextlib.closing(unpack(packed, inspected['compression'], run.plan.size_cap)) as reader:
            received = intake.to_staging(
                name,
                reader,
                algorithms=run.plan.digests,
                limit=run.plan.size_cap,
                progress=lambda done: (room(done), run.progress(self.name, done)),
            )
        rooms.hold(run, self.name, received.size)
        recorded = received.as_json()
        judge(recorded['verdict'], run.plan)
        return recorded

    def undo(self, run: Run, intake: object, rooms: object) -> None:
        for name in run.object_names(PART):
            intake.staging.discard(name)
        rooms.close(run, self.name)
