"""Errors of where an import's bytes come from."""

from imagepipe.errors.base import BadRequest, ImagepipeError


class SourceRefused(BadRequest):
    """The URL is one that this service does not fetch."""

    code = 'imagepipe.source.refused'
    template = "The source URL for host '{host}' does not pass filtering."
    cure = 'Have the operator allow the host in [import_filtering_opts], or upload the file.'


class SourceInvalid(BadRequest):
    """The URL cannot be parsed or has parts that are not allowed."""

    code = 'imagepipe.source.invalid'
    template = 'The source URL is not valid: {reason}'
    cure = 'Correct the URL; it has no user name or password in it.'


class SourceNotFound(ImagepipeError):
    """The source answered that it does not have or does not give the data."""

    code = 'imagepipe.source.not_found'
    template = 'The source answered {status} instead of the image.'
    cure = 'Open the URL yourself: a link with a signature may have expired.'


class SourceUnavailable(ImagepipeError):
    """The source could not be reached or answered with a server error."""

    code = 'imagepipe.source.unavailable'
    transient = True
    template = 'The source could not be read: {reason}'
    cure = 'See whether the source answers, then retry the import.'


class SourceUnusable(ImagepipeError):
    """The source answers in a way that this service does not take, and would again."""

    code = 'imagepipe.source.unusable'
    template = 'The source cannot be used: {reason}'
    cure = 'Open the URL in a browser: it often is a page and not the file.'


class SourceStalled(ImagepipeError):
    """The source sent nothing, or too little, for too long."""

    code = 'imagepipe.source.stalled'
    transient = True
    template = 'The source sent too little data: {reason}'
    cure = 'Retry the import; [web_download] bounds how slow a source may be.'


class SourceTimeout(ImagepipeError):
    """The fetch as a whole took too long."""

    code = 'imagepipe.source.timeout'
    template = 'The source could not be read within {limit} seconds.'
    cure = 'Retry the import when the source is faster, or have the limits of [web_download] raised.'


class SourceTruncated(ImagepipeError):
    """The source ended before its announced length."""

    code = 'imagepipe.source.truncated'
    transient = True
    template = 'The source ended after {found} of {expected} bytes.'
    cure = 'Retry the import; if it happens again, the source is broken.'


class SourceChanged(ImagepipeError):
    """The source has other data than when the fetch began."""

    code = 'imagepipe.source.changed'
    transient = True
    template = 'The source changed while it was being read.'
    cure = 'Retry the import: the file was replaced while it was read.'


class TooManyRedirects(ImagepipeError):
    """The source redirects in a loop or too often."""

    code = 'imagepipe.source.redirects'
    template = 'The source redirected more than {limit} times.'
    cure = 'Give the URL that the redirects end at.'


class RemoteImageInvalid(BadRequest):
    """glance-download was asked for without naming an image that there can be."""

    code = 'imagepipe.source.remote_invalid'
    template = 'The image to download is not named validly: {reason}'
    cure = 'Name the region and the id of an image there.'


class RegionUnknown(ImagepipeError):
    """The service catalog has no such image service for this user."""

    code = 'imagepipe.source.region_unknown'
    template = "The service catalog has no {interface} endpoint of an image service in region '{region}'."
    cure = 'Use a region and interface of the service catalog.'


class RemoteImageNotFound(ImagepipeError):
    """The image service of the region does not have the image, or does not show it to this user."""

    code = 'imagepipe.source.image_not_found'
    template = "Image {image_id} could not be found in region '{region}'."
    cure = 'Check the id and the region, and that you see the image there.'


class RemoteImageDenied(ImagepipeError):
    """The image service of the region does not give the image to this user."""

    code = 'imagepipe.source.image_denied'
    template = "Region '{region}' does not let you read image {image_id}."
    cure = 'Use a user who may read the image in that region.'


class RemoteImageNotActive(ImagepipeError):
    """The image in the other region has no data yet, or does not give it away."""

    code = 'imagepipe.source.image_not_active'
    template = "The image to download is '{status}' in its region; it must be 'active'."
    cure = 'Wait until the image is active in its region.'


class RemoteImageUnusable(ImagepipeError):
    """What the image service of the region says of the image does not describe one that can be had here."""

    code = 'imagepipe.source.image_unusable'
    template = 'The image to download cannot be used: {reason}.'
    cure = 'Correct the image in its region as the sentence says.'
