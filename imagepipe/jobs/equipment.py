"""What a conductor's host must have for imports, beside the conductor."""

import logging
from typing import TYPE_CHECKING

from imagepipe import errors, notifications
from imagepipe.domain.readiness import Part

if TYPE_CHECKING:
    from imagepipe.services import Services

LOG = logging.getLogger(__name__)

#: Seconds that each host of the broker has to take a connection.
_CONNECTING = 2.0


def lacking(services: 'Services') -> frozenset[Part]:
    """What is missing here: staging that can be written, and a converter where formats are asked for."""
    lacks = set()
    try:
        services.staging.check()
    except errors.StagingFull as error:
        LOG.warning('Imports wait or fail until some have ended: %s', error)
    except errors.StagingUnavailable as error:
        LOG.error('Imports will fail until this is mended: %s', error)
        lacks.add(Part.STAGING)
    if services.conf.import_flow.target_formats:
        try:
            services.qemu_img.check()
        except errors.ConverterMissing as error:
            LOG.error('Conversions will fail until this is mended: %s', error)
            lacks.add(Part.CONVERTER)
    return frozenset(lacks)


def unreachable(services: 'Services') -> frozenset[Part]:
    """What this host does not reach of what imports do not wait for: the broker of the notifications."""
    if notifications.is_reachable(services.conf, timeout=_CONNECTING):
        return frozenset()
    LOG.warning('The broker cannot be reached, and notifications wait for it')
    return frozenset({Part.BROKER})
