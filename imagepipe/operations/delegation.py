"""The rights of its user that an import is given; jobs/trusts.py ends them with it."""

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def delegated(services: 'Services', context: RequestContext) -> Iterator[str]:
    """A trust of the caller, for what is recorded meanwhile; it ends at once if that fails.

    Raises DelegationRefused, NotAuthenticated, IdentityUnavailable.
    """
    trust_id = services.identity.delegate(
        token=context.auth_token, user_id=context.user_id, project_id=context.project_id
    )
    recorded = False
    try:
        yield trust_id
        recorded = True
    finally:
        if not recorded:
            _end_unrecorded(services, trust_id)


def _end_unrecorded(services: 'Services', trust_id: str) -> None:
    try:
        services.identity.end(trust_id)
    except errors.ImagepipeError as error:
        LOG.warning('Trust %s, which no import has, ends by itself: %s', trust_id, error)
