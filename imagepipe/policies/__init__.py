"""Policy rules, declared per noun: the constant that code uses stands beside its rule.

Names and defaults are Glance's (reference, section 18) where Glance has the rule. Rules only:
no enforcement (that is policy.py) and no other import of ours.
"""

import importlib
import pkgutil

from oslo_policy import policy

from imagepipe.policies import old_defaults


def list_rules() -> list[policy.RuleDefault]:
    """Every rule, for the sample file and the documentation: those of each noun, by its name."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    nouns = [importlib.import_module(f'{__name__}.{name}') for name in names]
    return [rule for noun in nouns for rule in getattr(noun, 'RULES', ())]


def enforced() -> list[policy.RuleDefault]:
    """Every rule with its old default, for an Enforcer."""
    return [old_defaults.with_old_default(rule) for rule in list_rules()]
