"""The flow of a glance-download. Recorded imports depend on its shape: never edit, add another.

What the source is, only the source says, so nothing here depends on it: stores that take it as it comes
have the format AS_SOURCE, and a conversion is there for every other one and may have nothing to do.
"""

from taskflow.patterns import linear_flow

from imagepipe.domain import steps
from imagepipe.domain.import_ import AS_SOURCE, Plan
from imagepipe.flows import import_v1
from imagepipe.flows.retries import Attempts, Restage
from imagepipe.flows.steps.activate import Activate
from imagepipe.flows.steps.convert import ConvertFound
from imagepipe.flows.steps.decompress import Decompress
from imagepipe.flows.steps.describe import Describe
from imagepipe.flows.steps.discard import Discard
from imagepipe.flows.steps.introspect import Introspect
from imagepipe.flows.steps.notify import Notify
from imagepipe.flows.steps.verify import Verify, VerifyFound

#: Its number in domain.import_.FLOWS.
VERSION = 4


def download_flow(plan: Plan, method: str) -> linear_flow.Flow:
    """describe, stage, introspect, (decompress, convert,) verify, store x N, activate, notify, discard."""
    flow = linear_flow.Flow(
        'download', retry=Restage('restage', attempts=plan.restage_attempts, rereadable=True)
    )
    flow.add(_describe(plan), import_v1.fetch(plan), Introspect(steps.INTROSPECT, provides='inspected'))
    source = 'staged'
    if plan.decompress:
        flow.add(Decompress(steps.DECOMPRESS, provides='unpacked'))
        source = 'unpacked'
    for disk_format in dict.fromkeys(target.disk_format for target in plan.targets):
        flow.add(*_prepare(disk_format, source))
    return flow.add(
        import_v1.stores_of(plan),
        Activate(steps.ACTIVATE, plan=plan, provides='committed'),
        Notify(steps.NOTIFY),
        Discard(steps.DISCARD),
    )


def _describe(plan: Plan) -> linear_flow.Flow:
    attempts = Attempts('retry:describe', attempts=plan.fetch_attempts, provides='attempt:describe')
    return linear_flow.Flow('describe', retry=attempts).add(
        Describe(steps.DESCRIBE, rebind={'attempt': 'attempt:describe'})
    )


def _prepare(disk_format: str, source: str) -> list[ConvertFound | Verify | VerifyFound]:
    """The steps that make the data ready for the stores that want this format."""
    ready, name = f'ready:{disk_format}', steps.verify(disk_format)
    if disk_format == AS_SOURCE:
        return [Verify(name, provides=ready, rebind={'data': source})]
    converted = f'converted:{disk_format}'
    return [
        ConvertFound(
            steps.convert(disk_format), target=disk_format, provides=converted, rebind={'data': source}
        ),
        VerifyFound(name, target=disk_format, provides=ready, rebind={'data': converted}),
    ]
