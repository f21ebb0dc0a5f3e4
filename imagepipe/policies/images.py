"""Rules of images and their data."""

from oslo_policy import policy

from imagepipe.policies import base

ADD_IMAGE = 'add_image'
GET_IMAGE = 'get_image'
GET_IMAGES = 'get_images'
MODIFY_IMAGE = 'modify_image'
DELETE_IMAGE = 'delete_image'
PUBLICIZE_IMAGE = 'publicize_image'
COMMUNITIZE_IMAGE = 'communitize_image'
UPLOAD_IMAGE = 'upload_image'
DOWNLOAD_IMAGE = 'download_image'
DOWNLOAD_FROM_STORE = 'download_from_store'

_IMAGE = '/v2/images/{image_id}'
_DOWNLOAD = f'{base.ADMIN} or (role:member and ({base.SEEN}))'


def _rule(name: str, check: str, description: str, *operations: tuple[str, str]) -> policy.RuleDefault:
    return policy.DocumentedRuleDefault(
        name,
        check,
        description,
        [{'method': method, 'path': path} for method, path in operations],
        scope_types=base.SCOPES,
    )


RULES = [
    _rule(
        ADD_IMAGE,
        f'{base.ADMIN} or ({base.MEMBER} and project_id:%(owner)s)',
        'Create an image.',
        ('POST', '/v2/images'),
    ),
    _rule(
        GET_IMAGE,
        f'{base.ADMIN} or (role:reader and ({base.SEEN}))',
        'See an image. An image that fails this is not found, whatever is asked of it.',
        ('GET', _IMAGE),
    ),
    _rule(GET_IMAGES, base.ADMIN_OR_READER, 'List images.', ('GET', '/v2/images')),
    _rule(
        MODIFY_IMAGE,
        base.ADMIN_OR_MEMBER,
        'Change an image, stage its data, import it.',
        ('PATCH', _IMAGE),
        ('PUT', f'{_IMAGE}/stage'),
        ('POST', f'{_IMAGE}/import'),
    ),
    _rule(DELETE_IMAGE, base.ADMIN_OR_MEMBER, 'Delete an image.', ('DELETE', _IMAGE)),
    _rule(PUBLICIZE_IMAGE, base.ADMIN, 'Make an image public.', ('POST', '/v2/images'), ('PATCH', _IMAGE)),
    _rule(
        COMMUNITIZE_IMAGE,
        base.ADMIN_OR_MEMBER,
        'Make an image a community image.',
        ('POST', '/v2/images'),
        ('PATCH', _IMAGE),
    ),
    _rule(UPLOAD_IMAGE, base.ADMIN_OR_MEMBER, "Upload an image's data.", ('PUT', f'{_IMAGE}/file')),
    _rule(DOWNLOAD_IMAGE, _DOWNLOAD, "Download an image's data.", ('GET', f'{_IMAGE}/file')),
    _rule(
        DOWNLOAD_FROM_STORE,
        _DOWNLOAD,
        'Choose the stores that a download is tried from.',
        ('GET', f'{_IMAGE}/file'),
    ),
]
