"""The flow of an added location, version 1. Recorded imports depend on its shape: never edit, add v2."""

from taskflow.patterns import linear_flow

from imagepipe.domain import steps
from imagepipe.domain.import_ import Plan
from imagepipe.flows.retries import Attempts, Restage
from imagepipe.flows.steps.activate import Activate
from imagepipe.flows.steps.base import Step
from imagepipe.flows.steps.check import Check
from imagepipe.flows.steps.hash_ import Hash, HashActive
from imagepipe.flows.steps.notify import Notify

#: Its number in domain.import_.FLOWS.
VERSION = 3


def location_flow(plan: Plan, method: str) -> linear_flow.Flow:
    """check, hash, activate, notify; or the hash at the end, where there is nothing to compare it with."""
    flow = linear_flow.Flow('location', retry=Restage('decide', attempts=1, rereadable=False))
    (target,) = plan.targets
    result = f'result:{target.store}'
    flow.add(_tried(plan, Check, steps.CHECK, provides='checked' if plan.compares else result))
    if plan.compares:
        flow.add(_tried(plan, Hash, steps.HASH, provides=result, checked='checked'))
    flow.add(Activate(steps.ACTIVATE, plan=plan, provides='committed'), Notify(steps.NOTIFY))
    if plan.secure_hash and not plan.compares:
        flow.add(_tried(plan, HashActive, steps.HASH, provides='hashed', checked=result))
    return flow


def _tried(plan: Plan, kind: type[Step], name: str, *, provides: str, **rebind: str) -> linear_flow.Flow:
    """A step that reads from the store, with its tries."""
    attempts = Attempts(f'retry:{name}', attempts=plan.fetch_attempts, provides=f'attempt:{name}')
    return linear_flow.Flow(name, retry=attempts).add(
        kind(name, provides=provides, rebind={'attempt': f'attempt:{name}', **rebind})
    )
