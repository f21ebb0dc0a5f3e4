"""Rules of locations: where an image's data is, and where it is copied to."""

from imagepipe.policies import base

GET_IMAGE_LOCATION = 'get_image_location'
SET_IMAGE_LOCATION = 'set_image_location'
DELETE_IMAGE_LOCATION = 'delete_image_location'
ADD_IMAGE_LOCATION = 'add_image_location'
FETCH_IMAGE_LOCATION = 'fetch_image_location'
COPY_IMAGE = 'copy_image'

_IMAGE = '/v2/images/{image_id}'
_STORE = ('DELETE', '/v2/stores/{store}/{image_id}')


RULES = [
    base.rule(
        GET_IMAGE_LOCATION,
        base.ADMIN_OR_READER,
        'Name the store that a copy of an image is deleted from. What images themselves show of their '
        'locations is decided by show_image_direct_url and show_multiple_locations alone.',
        _STORE,
    ),
    base.rule(
        SET_IMAGE_LOCATION,
        base.ADMIN_OR_MEMBER,
        'Add and replace the locations of an image by a patch. Locations other than http and https need '
        'the service role besides.',
        ('PATCH', _IMAGE),
    ),
    base.rule(
        DELETE_IMAGE_LOCATION,
        base.ADMIN,
        'Remove a location of an image, and with it the data.',
        ('PATCH', _IMAGE),
        _STORE,
    ),
    base.rule(
        ADD_IMAGE_LOCATION,
        f'rule:service_api or ({base.MEMBER} and project_id:%(owner)s)',
        'Give an image its data by a location. Locations other than http and https need the service role '
        'besides.',
        ('POST', f'{_IMAGE}/locations'),
    ),
    base.rule(
        FETCH_IMAGE_LOCATION, 'rule:service_api', "See an image's locations.", ('GET', f'{_IMAGE}/locations')
    ),
    base.rule(COPY_IMAGE, base.ADMIN, 'Copy an image to other stores.', ('POST', f'{_IMAGE}/import')),
]
