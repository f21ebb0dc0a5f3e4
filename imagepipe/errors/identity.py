"""Errors of who asks: what policy allows, what Keystone answers, rights that are handed on."""

from imagepipe.errors.base import Forbidden, ImagepipeError, Unavailable


class PolicyForbids(Forbidden):
    """policy.yaml does not allow this caller to do this."""

    code = 'imagepipe.policy.forbidden'
    template = 'You are not authorized to complete {rule} action.'
    cure = 'Use a user with the role that the rule asks for; policy.yaml has the rules.'


class IdentityUnavailable(Unavailable):
    """Keystone cannot be reached, or does not accept the service's own credentials."""

    code = 'imagepipe.identity.unavailable'
    template = 'The identity service cannot be used at the moment.'
    cure = "See whether Keystone answers and takes the service's own login in [keystone_authtoken]."


class DelegationRefused(Forbidden):
    """Keystone makes no trust for this token, so the import could not act for its user."""

    code = 'imagepipe.identity.delegation_refused'
    template = (
        'Your rights cannot be handed on to the import: {reason}. '
        'Use a token of a user in a project, not one of an application credential.'
    )
    cure = 'Use a token of a user in a project, not one of an application credential.'


class DelegationLost(ImagepipeError):
    """The trust of the import is no longer valid: expired, deleted, or its user lost project or role."""

    code = 'imagepipe.identity.delegation_lost'
    template = 'The rights that you handed on to the import are no longer valid.'
    cure = 'Retry the import with a user who has the role in the project, and keeps it until the import ends.'
