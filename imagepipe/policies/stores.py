"""Rules of what is told about stores."""

from oslo_policy import policy

from imagepipe.policies import base

STORES_INFO_DETAIL = 'stores_info_detail'

RULES = [
    policy.DocumentedRuleDefault(
        STORES_INFO_DETAIL,
        f'{base.ADMIN} or rule:{base.SERVICE_API}',
        'See the types, weights and properties of the stores.',
        [{'method': 'GET', 'path': '/v2/info/stores/detail'}],
        scope_types=base.SCOPES,
    ),
]
