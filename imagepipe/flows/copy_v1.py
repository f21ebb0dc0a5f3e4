"""The flow of copy-image, version 1. Recorded imports depend on its shape: never edit, add v2."""

from taskflow.patterns import linear_flow, unordered_flow

from imagepipe.domain import steps
from imagepipe.domain.import_ import Plan
from imagepipe.flows.retries import Attempts, Restage
from imagepipe.flows.steps.activate import Activate
from imagepipe.flows.steps.copy import Copy
from imagepipe.flows.steps.notify import Notify

#: Its number in domain.import_.FLOWS.
VERSION = 2


def copy_flow(plan: Plan, method: str) -> linear_flow.Flow:
    """copy x N, activate, notify. Nothing is staged, so nothing is discarded."""
    copies = unordered_flow.Flow('copies')
    for target in plan.targets:
        name = steps.copy(target.store)
        attempts = Attempts(f'retry:{name}', attempts=plan.store_attempts, provides=f'attempt:{name}')
        copies.add(
            linear_flow.Flow(name, retry=attempts).add(
                Copy(
                    name,
                    target=target,
                    provides=f'result:{target.store}',
                    rebind={'attempt': f'attempt:{name}'},
                )
            )
        )
    flow = linear_flow.Flow('copy', retry=Restage('decide', attempts=1, rereadable=False))
    return flow.add(copies, Activate(steps.ACTIVATE, plan=plan, provides='committed'), Notify(steps.NOTIFY))
