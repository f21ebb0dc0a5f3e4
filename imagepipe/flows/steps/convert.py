"""convert: the image in another disk format, written by qemu-img in its sandbox."""

from collections.abc import Mapping

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step


class Convert(Step):
    """Rewrite the data in the target format, into a work directory of this claim's epoch."""

    def __init__(self, name: str, *, target: str, provides: str, rebind: Mapping[str, str]) -> None:
        super().__init__(name, provides=provides, rebind=rebind)
        self._target = target

    def work(
        self,
        run: Run,
        data: Mapping[str, object],
        intake: object,
        qemu_img: object,
        judge: object,
        rooms: object,
    ) -> dict[str, object]:
        staging, name = intake.staging, run.object_name(self._part)
        run.discards(self.name, lambda: _remove(staging, name))
        self._discard(run, staging)
        if not intake.same(data):
            raise errors.StagingLost(image_id=run.claim.image_id)
        virtual = judge(data['verdict'], run.plan)
        self._check_room(staging, virtual, data['size'])
        if self._target == 'raw':
            run.db.run(lambda tx: rooms.reserve_stores(tx, run, data['size'], raw=virtual))
        rooms.open(run, self.name, virtual or data['size'])
        qemu_img.convert(
            staging.path(data['name']),
            run.plan.disk_format,
            staging.new(name),
            self._target,
            workdir=staging.root,
            progress=lambda fraction: run.progress(self.name, int(fraction * data['size']), data['size']),
            cancelled=lambda: self._must_stop(run),
        )
        run.check()
        return {'name': name, 'identity': dict(intake.identity(name))}

    def _must_stop(self, run: Run) -> bool:
        # Asked while qemu-img works, which may show no progress for long; its own limits end it.
        run.sign(self.name)
        return run.must_stop()

    @property
    def _part(self) -> str:
        return f'converted_{self._target}'

    def _check_room(self, staging: object, virtual: int | None, size: int) -> None:
        # A sparse target holds at most the virtual disk and a little metadata; allocated is what counts.
        if staging.free_bytes() < min(virtual or size, size * 2):
            raise errors.ConversionNoSpace()

    def _discard(self, run: Run, staging: object) -> None:
        for name in run.object_names(self._part):
            _remove(staging, name)

    def undo(self, run: Run, intake: object, rooms: object) -> None:
        self._discard(run, intake.staging)
        rooms.close(run, self.name)


class ConvertFound(Convert):
    """Convert a source that said only in this flow what it is; one that is to stay as it is passes."""

    def work(
        self,
        run: Run,
        data: Mapping[str, object],
        intake: object,
        qemu_img: object,
        judge: object,
        rooms: object,
    ) -> dict[str, object]:
        plan = run.plan
        converts = plan.container_format == 'bare' and plan.disk_format in plan.convert_formats
        if not converts or plan.disk_format == self._target:
            return dict(data)
        return super().work(run, data, intake, qemu_img, judge, rooms)


def _remove(staging: object, name: str) -> None:
    staging.discard(name)
    staging.discard(f'{name}.work')  # where qemu-img worked when it was killed
