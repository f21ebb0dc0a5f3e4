"""verify: what will be stored is known by digest, and is what it claims to be."""

from collections.abc import Mapping

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step


class Verify(Step):
    """The source goes to the stores as it is: its digests are known, its file must be the same."""

    def work(
        self,
        run: Run,
        data: Mapping[str, object],
        inspected: Mapping[str, object],
        intake: object,
        judge: object,
    ) -> dict[str, object]:
        return _as_it_came(run, data, intake, judge)


class VerifyConverted(Step):
    """Inspect and hash what the converter wrote, as untrusted as any upload."""

    def __init__(self, name: str, *, target: str, provides: str, rebind: Mapping[str, str]) -> None:
        super().__init__(name, provides=provides, rebind=rebind)
        self._target = target

    def work(self, run: Run, data: Mapping[str, object], intake: object, judge: object) -> dict[str, object]:
        if not intake.same(data):
            raise errors.StagingLost(image_id=run.claim.image_id)
        size = data['identity']['size']
        seen = intake.examine(
            data['name'],
            algorithms=run.plan.digests,
            progress=lambda done: run.progress(self.name, done, size),
        )
        virtual_size = judge(
            seen.as_json()['verdict'], run.plan, disk_format=self._target, container_format='bare'
        )
        return {
            'name': seen.name,
            'size': seen.size,
            'digests': dict(seen.digests),
            'identity': dict(seen.identity),
            'disk_format': self._target,
            'container_format': 'bare',
            'virtual_size': virtual_size,
        }


class VerifyFound(VerifyConverted):
    """As VerifyConverted, or Verify for a source that passed the conversion as it was."""

    def work(self, run: Run, data: Mapping[str, object], intake: object, judge: object) -> dict[str, object]:
        if 'verdict' in data:
            return _as_it_came(run, data, intake, judge)
        return super().work(run, data, intake, judge)


def _as_it_came(run: Run, data: Mapping[str, object], intake: object, judge: object) -> dict[str, object]:
    if not intake.same(data):
        raise errors.StagingLost(image_id=run.claim.image_id)
    return {
        **{name: data[name] for name in ('name', 'size', 'digests', 'identity')},
        'disk_format': run.plan.disk_format,
        'container_format': run.plan.container_format,
        'virtual_size': judge(data['verdict'], run.plan),
    }
