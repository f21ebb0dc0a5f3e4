"""Errors of a request as such: its path, method, headers, query and body."""

from imagepipe.errors.base import BadRequest, Forbidden, ImagepipeError, NotFound, TooLarge, Unsupported


class InvalidBody(BadRequest):
    """The request body is missing, is no JSON, or does not fit its schema."""

    code = 'imagepipe.request.invalid_body'
    template = 'The request body is not valid: {reason}'
    cure = 'Correct the body as the sentence says; GET /v2/openapi.json has its schema.'


class BodyNotAllowed(BadRequest):
    """This call takes no body."""

    code = 'imagepipe.request.body_not_allowed'
    template = 'A body is not expected with this request.'
    cure = 'Send the request without a body.'


class InvalidQuery(BadRequest):
    """A query parameter has a value that cannot be used."""

    code = 'imagepipe.request.invalid_query'
    template = 'The value of {name} is not valid: {reason}'
    cure = 'Correct the parameter as the sentence says.'


class InvalidHeader(BadRequest):
    """A request header has a value that cannot be used."""

    code = 'imagepipe.request.invalid_header'
    template = 'The header {name} is not valid: {reason}'
    cure = 'Correct the header as the sentence says.'


class InvalidEncoding(BadRequest):
    """The URL is not UTF-8."""

    code = 'imagepipe.request.invalid_encoding'
    template = 'The request could not be decoded as UTF-8.'
    cure = 'Encode the URL as UTF-8.'


class RequestIdTooLong(ImagepipeError):
    """The client's own request id is longer than max_request_id_length."""

    code = 'imagepipe.request.id_too_long'
    status = 431
    template = 'The request id in X-Openstack-Request-ID is longer than {limit} characters.'
    cure = 'Send a shorter X-Openstack-Request-ID, or none.'


class NotAuthenticated(ImagepipeError):
    """The request has no valid token."""

    code = 'imagepipe.request.not_authenticated'
    status = 401
    template = 'A valid token is required.'
    cure = 'Get a new token from Keystone.'


class LengthRequired(ImagepipeError):
    """The server that runs the service cannot tell the end of such a body."""

    code = 'imagepipe.request.length_required'
    status = 411
    template = 'A Content-Length is needed here.'
    cure = 'Send a Content-Length.'


class RouteNotFound(NotFound):
    """Nothing is served under this path."""

    code = 'imagepipe.request.no_such_path'
    template = 'There is no resource at this path.'
    cure = 'Check the path, and that the endpoint in the catalog ends before /v2.'


class MethodNotAllowed(ImagepipeError):
    """The path exists, the method does not."""

    code = 'imagepipe.request.method_not_allowed'
    status = 405
    template = 'The method {method} is not allowed for this resource.'
    cure = 'Use a method that the header Allow names.'


class MethodNotImplemented(ImagepipeError):
    """The method is not one of HTTP's that this service knows."""

    code = 'imagepipe.request.method_not_implemented'
    status = 501
    template = 'The method {method} is not implemented.'
    cure = 'Use a method of HTTP that the service knows.'


class UnsupportedMediaType(Unsupported):
    """The Content-Type is not one this call takes."""

    code = 'imagepipe.request.media_type'
    template = 'The content type {content_type} is not supported here; send {expected}.'
    cure = 'Send the media type that the sentence names.'


class BodyTooLarge(TooLarge):
    """The JSON body is larger than [api] max_json_body."""

    code = 'imagepipe.request.body_too_large'
    template = 'The request body is larger than {limit} bytes.'
    cure = 'Send less, or have [api] max_json_body raised.'


class ReadOnlyCaller(Forbidden):
    """An anonymous caller may look, never change."""

    code = 'imagepipe.request.read_only'
    template = 'A request without a token may only read.'
    cure = 'Send a token.'


class InvalidMarker(BadRequest):
    """The marker names no image or import."""

    code = 'imagepipe.request.invalid_marker'
    template = 'The marker {marker} could not be found.'
    cure = 'List again from the beginning: what the marker names is gone.'


class MarkerForbidden(Forbidden):
    """The marker names an image that the caller may not see."""

    code = 'imagepipe.request.marker_forbidden'
    template = 'The marker {marker} is not visible to you.'
    cure = 'List again from the beginning.'
