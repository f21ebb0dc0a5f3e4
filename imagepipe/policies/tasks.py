"""Rules of the deprecated tasks API."""

from oslo_policy import policy

from imagepipe.policies import base

TASKS_API_ACCESS = 'tasks_api_access'

RULES = [
    policy.DocumentedRuleDefault(
        TASKS_API_ACCESS,
        base.ADMIN,
        'Use the tasks API.',
        [{'method': 'GET', 'path': '/v2/tasks/{task_id}'}],
        scope_types=base.SCOPES,
    ),
]
