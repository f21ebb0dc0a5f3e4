"""Which flow runs an import: by the version that was recorded when it was accepted."""

from collections.abc import Callable, Mapping

from taskflow.patterns import linear_flow

from imagepipe.domain.import_ import Import, Plan
from imagepipe.flows import import_v1

FACTORIES: Mapping[int, Callable[[Plan, str], linear_flow.Flow]] = {import_v1.VERSION: import_v1.import_flow}


def knows(version: int) -> bool:
    """Whether this release can run imports of that version; newer ones wait for a newer worker."""
    return version in FACTORIES


def build(record: Import) -> linear_flow.Flow:
    """The flow of a recorded import; a function of the record alone."""
    return FACTORIES[record.flow_version](record.plan, record.method)
