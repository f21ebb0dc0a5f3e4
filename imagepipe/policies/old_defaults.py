"""What rules were by default before roles and scope, for clouds with enforce_new_defaults = false.

Then an old default is OR-ed to the new one, and since most of the old ones let everybody pass, an owner
is asked for besides (reference, section 18).
"""

from oslo_policy import policy

from imagepipe.policies import base

_EVERYBODY = f'rule:{base.DEFAULT}'
_METADEFS = 'rule:metadef_default'
_CACHE = 'rule:manage_image_cache'

OLD_DEFAULTS = {
    base.DEFAULT: base.ADMIN,
    **dict.fromkeys(
        (
            'add_image', 'delete_image', 'get_image', 'get_images', 'modify_image', 'communitize_image',
            'download_image', 'upload_image', 'delete_image_location', 'get_image_location',
            'set_image_location', 'add_member', 'delete_member', 'get_member', 'get_members',
            'modify_member', 'deactivate', 'reactivate', 'get_task', 'get_tasks', 'add_task',
        ),
        _EVERYBODY,
    ),
    **dict.fromkeys(('cache_image', 'cache_list', 'cache_delete'), _CACHE),
    'stores_info_detail': base.ADMIN,
    **dict.fromkeys(
        (
            'get_metadef_namespace', 'get_metadef_namespaces', 'get_metadef_object', 'get_metadef_objects',
            'get_metadef_property', 'get_metadef_properties', 'get_metadef_tag', 'get_metadef_tags',
            'list_metadef_resource_types', 'get_metadef_resource_type',
        ),
        _METADEFS,
    ),
}  # fmt: skip

#: With old defaults: only for an administrator or the project that owns the target.
OWNERS_ONLY = frozenset(
    {
        'modify_image', 'upload_image', 'delete_image', 'deactivate', 'reactivate', 'delete_image_location',
        'add_member', 'delete_member',
    }
)  # fmt: skip
#: With old defaults: not for the project that owns the target.
NOT_FOR_OWNERS = frozenset({'modify_member'})


def with_old_default(rule: policy.RuleDefault) -> policy.RuleDefault:
    """The rule as declared, knowing its old default if it has one."""
    if rule.name not in OLD_DEFAULTS:
        return rule
    arguments = {
        'description': rule.description,
        'scope_types': rule.scope_types,
        'deprecated_rule': policy.DeprecatedRule(
            rule.name,
            OLD_DEFAULTS[rule.name],
            deprecated_reason='The new default asks for a role of the project.',
            deprecated_since='the first release',
        ),
    }
    if isinstance(rule, policy.DocumentedRuleDefault):
        return policy.DocumentedRuleDefault(
            rule.name, rule.check_str, operations=rule.operations, **arguments
        )
    return policy.RuleDefault(rule.name, rule.check_str, **arguments)
