"""Policy rules, declared per noun: the constant that code uses stands beside its rule.

Names and defaults are Glance's (reference, section 18) where Glance has the rule. Rules only:
no enforcement (that is policy.py) and no other import of ours.
"""

import itertools

from oslo_policy import policy

from imagepipe.policies import base, images, imports, tasks


def list_rules() -> list[policy.RuleDefault]:
    """Every rule, for the Enforcer, the sample file and the documentation."""
    return list(itertools.chain(base.RULES, images.RULES, imports.RULES, tasks.RULES))
