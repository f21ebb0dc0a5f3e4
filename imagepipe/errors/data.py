"""Errors of an image's bytes, as they come in and go out."""

from imagepipe.errors.base import RETRY_LATER, BadRequest, ImagepipeError, TooLarge, Unavailable


class SizeMismatch(BadRequest):
    """The data has another length than was announced."""

    code = 'imagepipe.data.size_mismatch'
    template = 'The data has {found} bytes, {expected} were announced.'
    cure = 'Send as many bytes as are announced in Content-Length or x-openstack-image-size.'


class DataTruncated(BadRequest):
    """The client went away before all of the data had arrived."""

    code = 'imagepipe.data.truncated'
    template = 'The data ended early, after {found} bytes.'
    cure = 'Send the data again; look for a proxy that ends long requests.'


class SizeCapExceeded(TooLarge):
    """The data is larger than image_size_cap."""

    code = 'imagepipe.data.size_cap_exceeded'
    template = 'The data is larger than the {limit} bytes that an image may have.'
    cure = 'Bring a smaller image, or have image_size_cap raised.'


class RangeNotSatisfiable(ImagepipeError):
    """The Range is malformed or lies beyond the data."""

    code = 'imagepipe.data.range'
    status = 416
    template = 'The range {range} cannot be served for data of {size} bytes.'
    cure = 'Ask for a range that begins within the data.'


class RangesNotSupported(BadRequest):
    """Only one range at a time is served."""

    code = 'imagepipe.data.several_ranges'
    template = 'Requests with several ranges are not supported.'
    cure = 'Ask for one range at a time.'


class DataUnavailable(Unavailable):
    """No location of the image could be read just now."""

    code = 'imagepipe.data.unavailable'
    template = 'The data of image {image_id} cannot be read at the moment.'
    headers = RETRY_LATER
    cure = 'Run imagepipe-manage stores check. The log has a line for each store that was tried.'


class DigestMismatch(ImagepipeError):
    """The data is not what the request expected."""

    code = 'imagepipe.data.digest_mismatch'
    template = 'The {algorithm} of the data is {found}, {expected} was expected.'
    cure = 'Ask the publisher of the data for its digest. Do not just drop the expectation.'


class ExpectedSizeMismatch(ImagepipeError):
    """The data has another size than the import expected."""

    code = 'imagepipe.data.expected_size_mismatch'
    template = 'The data has {found} bytes, {expected} were expected.'
    cure = 'Ask the publisher of the data for its size, or correct the expectation.'
