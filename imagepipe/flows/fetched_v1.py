"""The flow of data that a client has staged in a store. Recorded imports depend on its shape: never edit."""

from taskflow.patterns import linear_flow

from imagepipe.domain.import_ import Method, Plan
from imagepipe.flows import import_v1

#: Its number in domain.import_.FLOWS.
VERSION = 5


def fetched_flow(plan: Plan, method: str) -> linear_flow.Flow:
    """As that of a download: conductors fetch from the store as from a URL, and can do so again."""
    return import_v1.import_flow(plan, Method.WEB_DOWNLOAD)
