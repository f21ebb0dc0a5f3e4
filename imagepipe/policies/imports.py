"""Rules of imports, imagepipe's extension of the Images API."""

from oslo_policy import policy

from imagepipe.policies import base

GET_IMPORT = 'get_import'
GET_IMPORTS = 'get_imports'
CANCEL_IMPORT = 'cancel_import'
RETRY_IMPORT = 'retry_import'
GET_IMPORT_SOURCE = 'get_import_source'

RULES = [
    policy.DocumentedRuleDefault(
        GET_IMPORT,
        f'{base.ADMIN} or (role:reader and ({base.SEEN}))',
        'See an import of an image that the caller sees: its state, steps and results.',
        [
            {'method': 'GET', 'path': '/v2/imports/{import_id}'},
            {'method': 'GET', 'path': '/v2/images/{image_id}/imports'},
        ],
        scope_types=base.SCOPES,
    ),
    policy.DocumentedRuleDefault(
        GET_IMPORTS,
        base.ADMIN_OR_READER,
        "List the imports of the caller's project; an administrator lists those of all.",
        [{'method': 'GET', 'path': '/v2/imports'}],
        scope_types=base.SCOPES,
    ),
    policy.DocumentedRuleDefault(
        CANCEL_IMPORT,
        base.ADMIN_OR_MEMBER,
        'Cancel an import; it is reverted.',
        [{'method': 'POST', 'path': '/v2/imports/{import_id}/cancel'}],
        scope_types=base.SCOPES,
    ),
    policy.DocumentedRuleDefault(
        RETRY_IMPORT,
        base.ADMIN_OR_MEMBER,
        'Ask once more for an import that failed or was cancelled; what an import needs is asked too.',
        [{'method': 'POST', 'path': '/v2/imports/{import_id}/retry'}],
        scope_types=base.SCOPES,
    ),
    policy.DocumentedRuleDefault(
        GET_IMPORT_SOURCE,
        base.ADMIN_OR_READER,
        'See the URL that an import fetches from. Whoever merely shares the image does not.',
        [
            {'method': 'GET', 'path': '/v2/imports/{import_id}'},
            {'method': 'GET', 'path': '/v2/images/{image_id}/imports'},
        ],
        scope_types=base.SCOPES,
    ),
]
