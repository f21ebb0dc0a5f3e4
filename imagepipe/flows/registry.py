"""Which flow runs an import: by the number that was recorded when it was accepted."""

from collections.abc import Callable, Mapping

from taskflow.patterns import linear_flow

from imagepipe.domain.import_ import Import, Plan
from imagepipe.flows import copy_v1, download_v1, fetched_v1, guarded_v1, import_v1, location_v1

#: A row for each flow; domain.import_.FLOWS says which method is run by which.
FACTORIES: Mapping[int, Callable[[Plan, str], linear_flow.Flow]] = {
    import_v1.VERSION: import_v1.import_flow,
    copy_v1.VERSION: copy_v1.copy_flow,
    location_v1.VERSION: location_v1.location_flow,
    download_v1.VERSION: download_v1.download_flow,
    fetched_v1.VERSION: fetched_v1.fetched_flow,
    guarded_v1.VERSION: guarded_v1.guarded_flow,
}


def knows(version: int) -> bool:
    """Whether this release can run imports of that version; newer ones wait for a newer worker."""
    return version in FACTORIES


def build(record: Import) -> linear_flow.Flow:
    """The flow of a recorded import; a function of the record alone."""
    return FACTORIES[record.flow_version](record.plan, record.method)
