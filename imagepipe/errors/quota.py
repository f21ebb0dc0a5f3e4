"""Errors of limits: what a project, or an image, has too much of."""

from imagepipe.errors.base import TooLarge, Unavailable


class TooManyProperties(TooLarge):
    """More custom properties than image_property_quota."""

    code = 'imagepipe.quota.properties'
    template = 'The limit of {limit} properties per image has been exceeded: {attempted} given.'
    cure = 'Remove properties, or have image_property_quota raised.'


class TooManyTags(TooLarge):
    """More tags than image_tag_quota."""

    code = 'imagepipe.quota.tags'
    template = 'The limit of {limit} tags per image has been exceeded: {attempted} given.'
    cure = 'Remove tags, or have image_tag_quota raised.'


class TooManyMembers(TooLarge):
    """More members than image_member_quota."""

    code = 'imagepipe.quota.members'
    template = 'The limit of {limit} members per image has been exceeded: {attempted} given.'
    cure = 'Remove members, or have image_member_quota raised.'


class QuotaExceeded(TooLarge):
    """The project's storage quota does not hold this image."""

    code = 'imagepipe.quota.storage'
    template = (
        'The image does not fit into the storage quota of the project: '
        '{requested} bytes more than the {limit} allowed bytes minus {used} used.'
    )
    cure = 'Delete images or ask for a higher limit. Copies in several stores and formats count each.'


class StagedQuotaExceeded(TooLarge):
    """What the project has in the staging area, and this data, is more than it may have there."""

    code = 'imagepipe.quota.staged'
    template = (
        'The data does not fit into what the project may have in the staging area: '
        '{requested} bytes more than the {limit} allowed bytes minus {used} used. '
        'Import or delete images that are staged.'
    )
    cure = 'Import or delete images that are staged, or ask for a higher limit.'


class ImageCountExceeded(TooLarge):
    """The project has as many images as it may have."""

    code = 'imagepipe.quota.images'
    template = 'The project may have {limit} images and has {used}; {requested} more was asked for.'
    cure = 'Delete images, or ask for a higher limit.'


class UploadingCountExceeded(TooLarge):
    """As many images of the project take data in as may at a time."""

    code = 'imagepipe.quota.uploading'
    template = (
        'The project may have {limit} images that are uploaded, staged or imported at a time and has {used}; '
        '{requested} more was asked for. Try again when one has ended.'
    )
    cure = 'Wait until an upload or import of the project has ended.'


class LimitsUnavailable(Unavailable):
    """Keystone, which keeps the limits of projects, did not tell them."""

    code = 'imagepipe.quota.limits_unavailable'
    template = 'The limits of the project cannot be read from the identity service now; try again.'
    cure = (
        "See whether Keystone answers, [oslo_limit], and that the service's user has the role reader on the "
        'system.'
    )


class TooManyLocations(TooLarge):
    """The image would have more locations than image_location_quota allows."""

    code = 'imagepipe.quota.locations'
    template = 'An image may have {limit} locations; {attempted} were attempted.'
    cure = 'Remove a location, or have image_location_quota raised.'
