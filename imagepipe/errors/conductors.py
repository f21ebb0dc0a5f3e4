"""Errors of conductors."""

from imagepipe.errors.base import Conflict, NotFound


class ConductorNotFound(NotFound):
    """No conductor has ever run on a host of this name."""

    code = 'imagepipe.conductor.not_found'
    template = 'No conductor is known on host {host}.'
    cure = 'Name a host that imagepipe-manage conductors list shows.'


class ConductorAlive(Conflict):
    """A conductor of the host has given a sign a moment ago, so the host is not lost."""

    code = 'imagepipe.conductor.alive'
    template = 'Conductors on host {host} are alive.'
    cure = (
        'Stop its conductors first, then wait for [conductor] lease seconds. To let them take no new '
        'imports, use imagepipe-manage conductors drain.'
    )
