"""Rules that other rules are made of."""

from oslo_policy import policy

DEFAULT = 'default'
CONTEXT_IS_ADMIN = 'context_is_admin'
SERVICE_API = 'service_api'

ADMIN = 'rule:context_is_admin'
MEMBER = 'role:member and project_id:%(project_id)s'
READER = 'role:reader and project_id:%(project_id)s'
#: The image is the caller's, shared with the caller, or everybody's.
SEEN = (
    "project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s "
    "or 'public':%(visibility)s or 'shared':%(visibility)s"
)

ADMIN_OR_MEMBER = f'{ADMIN} or ({MEMBER})'
ADMIN_OR_READER = f'{ADMIN} or ({READER})'

SCOPES = ['project']


def rule(name: str, check: str, description: str, *operations: tuple[str, str]) -> policy.RuleDefault:
    """A rule for these calls, each by its method and path."""
    return policy.DocumentedRuleDefault(
        name,
        check,
        description,
        [{'method': method, 'path': path} for method, path in operations],
        scope_types=SCOPES,
    )


RULES = [
    policy.RuleDefault(DEFAULT, '', description='What is asked for under a name that has no rule.'),
    policy.RuleDefault(
        CONTEXT_IS_ADMIN,
        'role:admin',
        scope_types=SCOPES,
        description='Who is an administrator: sees and may change the images of every project.',
    ),
    policy.RuleDefault(
        SERVICE_API,
        'role:service or role:admin',
        scope_types=SCOPES,
        description='Who calls as another OpenStack service.',
    ),
]
