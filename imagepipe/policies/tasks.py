"""Rules of the deprecated tasks API."""

from oslo_policy import policy

from imagepipe.policies import base

TASKS_API_ACCESS = 'tasks_api_access'

RULES = [
    policy.DocumentedRuleDefault(
        TASKS_API_ACCESS,
        base.ADMIN,
        'Use the tasks API.',
        [
            {'method': 'GET', 'path': '/v2/tasks'},
            {'method': 'POST', 'path': '/v2/tasks'},
            {'method': 'GET', 'path': '/v2/tasks/{task_id}'},
            {'method': 'DELETE', 'path': '/v2/tasks/{task_id}'},
        ],
        scope_types=base.SCOPES,
    ),
    # Glance declares these too and asks none of them: tasks_api_access stands before them.
    *(
        policy.RuleDefault(
            name,
            f'rule:{base.DEFAULT}',
            description='Has no effect: tasks_api_access decides.',
            scope_types=base.SCOPES,
        )
        for name in ('get_task', 'get_tasks', 'add_task', 'modify_task')
    ),
]
