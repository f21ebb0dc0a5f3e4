"""The flow of an import, version 1. Recorded imports depend on its shape: never edit, add v2."""

from taskflow.patterns import linear_flow, unordered_flow

from imagepipe.domain import steps
from imagepipe.domain.import_ import Method, Plan
from imagepipe.flows.retries import Attempts, Restage
from imagepipe.flows.steps.activate import Activate
from imagepipe.flows.steps.convert import Convert
from imagepipe.flows.steps.decompress import Decompress
from imagepipe.flows.steps.discard import Discard
from imagepipe.flows.steps.introspect import Introspect
from imagepipe.flows.steps.notify import Notify
from imagepipe.flows.steps.stage import Download, TakeStaged
from imagepipe.flows.steps.store import Store
from imagepipe.flows.steps.verify import Verify, VerifyConverted

#: Its number in domain.import_.FLOWS.
VERSION = 1


def import_flow(plan: Plan, method: str) -> linear_flow.Flow:
    """stage, introspect, (decompress, convert,) verify, store x N, activate, notify, discard."""
    rereadable = method == Method.WEB_DOWNLOAD
    flow = linear_flow.Flow(
        'import', retry=Restage('restage', attempts=plan.restage_attempts, rereadable=rereadable)
    )
    flow.add(fetch(plan) if rereadable else TakeStaged(steps.STAGE, provides='staged'))
    flow.add(Introspect(steps.INTROSPECT, provides='inspected'))
    source = 'staged'
    if plan.decompress:
        flow.add(Decompress(steps.DECOMPRESS, provides='unpacked'))
        source = 'unpacked'
    for disk_format in dict.fromkeys(target.disk_format for target in plan.targets):
        flow.add(*_prepare(plan, disk_format, source))
    return flow.add(
        stores_of(plan),
        Activate(steps.ACTIVATE, plan=plan, provides='committed'),
        Notify(steps.NOTIFY),
        Discard(steps.DISCARD),
    )


def fetch(plan: Plan) -> linear_flow.Flow:
    """stage, tried again where the source fails in passing."""
    attempts = Attempts('retry:stage', attempts=plan.fetch_attempts, provides='attempt:stage')
    return linear_flow.Flow('stage', retry=attempts).add(
        Download(steps.STAGE, provides='staged', rebind={'attempt': 'attempt:stage'})
    )


def _prepare(plan: Plan, disk_format: str, source: str) -> list[Convert | Verify | VerifyConverted]:
    """The steps that make the data of one format ready for its stores."""
    ready, name = f'ready:{disk_format}', steps.verify(disk_format)
    if disk_format == plan.disk_format:
        return [Verify(name, provides=ready, rebind={'data': source})]
    converted = f'converted:{disk_format}'
    return [
        Convert(steps.convert(disk_format), target=disk_format, provides=converted, rebind={'data': source}),
        VerifyConverted(name, target=disk_format, provides=ready, rebind={'data': converted}),
    ]


def stores_of(plan: Plan) -> unordered_flow.Flow:
    """store x N, each tried again by itself."""
    stores = unordered_flow.Flow('stores')
    for target in plan.targets:
        attempts = Attempts(
            f'retry:store:{target.store}',
            attempts=plan.store_attempts,
            provides=f'attempt:store:{target.store}',
        )
        stores.add(
            linear_flow.Flow(f'store:{target.store}', retry=attempts).add(
                Store(
                    steps.store(target.store),
                    target=target,
                    provides=f'result:{target.store}',
                    rebind={
                        'data': f'ready:{target.disk_format}',
                        'attempt': f'attempt:store:{target.store}',
                    },
                )
            )
        )
    return stores
