"""Rules of images and their data."""

from imagepipe.policies import base

ADD_IMAGE = 'add_image'
SET_IMAGE_ID = 'set_image_id'
GET_IMAGE = 'get_image'
GET_IMAGES = 'get_images'
MODIFY_IMAGE = 'modify_image'
DELETE_IMAGE = 'delete_image'
PUBLICIZE_IMAGE = 'publicize_image'
COMMUNITIZE_IMAGE = 'communitize_image'
UPLOAD_IMAGE = 'upload_image'
DOWNLOAD_IMAGE = 'download_image'
DOWNLOAD_FROM_STORE = 'download_from_store'
DEACTIVATE = 'deactivate'
REACTIVATE = 'reactivate'

_IMAGE = '/v2/images/{image_id}'
_DOWNLOAD = f'{base.ADMIN} or (role:member and ({base.SEEN}))'


RULES = [
    base.rule(
        ADD_IMAGE,
        f'{base.ADMIN} or ({base.MEMBER} and project_id:%(owner)s)',
        'Create an image.',
        ('POST', '/v2/images'),
    ),
    base.rule(
        SET_IMAGE_ID,
        f'rule:{ADD_IMAGE}',
        'Choose the id of a new image. Others are given one. An id that an image ever had is refused to all.',
        ('POST', '/v2/images'),
    ),
    base.rule(
        GET_IMAGE,
        f'{base.ADMIN} or (role:reader and ({base.SEEN}))',
        'See an image. An image that fails this is not found, whatever is asked of it.',
        ('GET', _IMAGE),
    ),
    base.rule(GET_IMAGES, base.ADMIN_OR_READER, 'List images.', ('GET', '/v2/images')),
    base.rule(
        MODIFY_IMAGE,
        base.ADMIN_OR_MEMBER,
        'Change an image and its tags, stage its data, import it.',
        ('PATCH', _IMAGE),
        ('PUT', f'{_IMAGE}/tags/{{tag}}'),
        ('DELETE', f'{_IMAGE}/tags/{{tag}}'),
        ('PUT', f'{_IMAGE}/stage'),
        ('POST', f'{_IMAGE}/import'),
    ),
    base.rule(DELETE_IMAGE, base.ADMIN_OR_MEMBER, 'Delete an image.', ('DELETE', _IMAGE)),
    base.rule(
        PUBLICIZE_IMAGE, base.ADMIN, 'Make an image public.', ('POST', '/v2/images'), ('PATCH', _IMAGE)
    ),
    base.rule(
        COMMUNITIZE_IMAGE,
        base.ADMIN_OR_MEMBER,
        'Make an image a community image.',
        ('POST', '/v2/images'),
        ('PATCH', _IMAGE),
    ),
    base.rule(UPLOAD_IMAGE, base.ADMIN_OR_MEMBER, "Upload an image's data.", ('PUT', f'{_IMAGE}/file')),
    base.rule(DOWNLOAD_IMAGE, _DOWNLOAD, "Download an image's data.", ('GET', f'{_IMAGE}/file')),
    base.rule(
        DOWNLOAD_FROM_STORE,
        _DOWNLOAD,
        'Choose the stores that a download is tried from.',
        ('GET', f'{_IMAGE}/file'),
    ),
    base.rule(
        DEACTIVATE,
        base.ADMIN_OR_MEMBER,
        'Deactivate an image: its data is for administrators only.',
        ('POST', f'{_IMAGE}/actions/deactivate'),
    ),
    base.rule(
        REACTIVATE,
        base.ADMIN_OR_MEMBER,
        'Put a deactivated image back into service.',
        ('POST', f'{_IMAGE}/actions/reactivate'),
    ),
]
