"""Errors of uploads and of the staging area."""

from imagepipe.errors.base import Conflict, ImagepipeError, TooLarge, Unavailable


class StagingFull(TooLarge):
    """The staging area cannot take the data."""

    code = 'imagepipe.staging.full'
    template = 'The staging area has no room for this image.'
    cure = (
        'Run imagepipe-manage staging list, then staging gc; give the area more room, or raise [staging] '
        'capacity.'
    )


class StagingUnavailable(Unavailable):
    """The staging area cannot be written or read."""

    code = 'imagepipe.staging.unavailable'
    template = 'The staging area cannot be used at the moment.'
    cure = 'See whether the staging directory is mounted and writable on this host.'


class StagingLost(ImagepipeError):
    """The staged data is gone or was changed by somebody else."""

    code = 'imagepipe.staging.lost'
    template = 'The staged data of image {image_id} is no longer there; stage or upload it again.'
    cure = (
        'Stage the data again, and find out who else writes in the staging directory, or whether hosts see '
        'different ones.'
    )


class StagingHostLost(ImagepipeError):
    """Only one host could reach the staged data, and it was given up."""

    code = 'imagepipe.staging.host_lost'
    template = 'The host that had the staged data is lost; stage or upload the data again.'
    cure = (
        'Stage the data again. When the host comes back, its conductor removes what is left there. To wait '
        'for a host for longer, raise [staging] lost_after.'
    )


class TransferLost(Conflict):
    """The lease of the upload expired and somebody else ended it."""

    code = 'imagepipe.transfer.lost'
    template = 'The upload of image {image_id} was ended because it gave no sign for too long.'
    cure = 'Send the data again; look for what stopped it for so long.'


class UploadInProgress(Conflict):
    """The image is being uploaded or staged by another request."""

    code = 'imagepipe.transfer.in_progress'
    template = 'Image {image_id} already receives data from another request.'
    cure = 'Wait until the other upload has ended; one whose client is gone ends by itself.'
