"""The flow of imports with duties not to be left out. Recorded imports depend on its shape: never edit."""

from taskflow.patterns import linear_flow

from imagepipe.domain.import_ import Plan
from imagepipe.flows import import_v1

#: Its number in domain.import_.FLOWS.
VERSION = 6


def guarded_flow(plan: Plan, method: str) -> linear_flow.Flow:
    """That of any other import of the method: its number keeps workers away that do not know the duties."""
    return import_v1.import_flow(plan, method)
