"""What oslopolicy-checker, oslopolicy-list-redundant and their kin ask for: our rules, enforced."""

from oslo_policy import policy

from imagepipe import conf as options
from imagepipe import policies


def get_enforcer() -> policy.Enforcer:
    """An Enforcer of the configuration files found here; for the tools only."""
    enforcer = policy.Enforcer(options.load([], 'imagepipe-policy'))
    enforcer.register_defaults(policies.enforced())
    return enforcer
