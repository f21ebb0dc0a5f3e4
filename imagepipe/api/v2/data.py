"""PUT file, GET file, PUT stage."""

from typing import TYPE_CHECKING

import webob

from imagepipe import errors
from imagepipe.api.description import OCTETS, Answer, describe
from imagepipe.api.v2 import parameters
from imagepipe.domain.ranges import RangeRequest
from imagepipe.operations import data

if TYPE_CHECKING:
    from imagepipe.services import Services

#: The request header by which a client that sends chunks tells how many bytes they will be.
ANNOUNCED_SIZE = 'x-openstack-image-size'
STORE = 'X-Image-Meta-Store'

#: What taking data in may end with.
RECEIVING = (
    errors.ImageNotFound,
    errors.ImageChanged,
    errors.ImageBeingDeleted,
    errors.ImageGone,
    errors.InvalidTransition,
    errors.SizeMismatch,
    errors.SizeCapExceeded,
    errors.DataTruncated,
    errors.LimitsUnavailable,
    errors.UploadingCountExceeded,
    errors.QuotaExceeded,
    errors.StagedQuotaExceeded,
    errors.StagingFull,
    errors.StagingUnavailable,
    errors.TransferLost,
    errors.SignaturePropertiesInvalid,
)
#: What the signature may meet that the image names, before any data.
SIGNED = (
    errors.SignaturePropertiesInvalid,
    errors.KeyManagerMissing,
    errors.KeyManagerUnavailable,
    errors.CertificateUnusable,
)
#: What a store may say to it.
STORING = (
    errors.UnknownStore,
    errors.StoreReadOnly,
    errors.StoreFull,
    errors.StoreTransient,
    errors.StoreDenied,
    errors.StorePermanent,
)
#: What the data may turn out to be.
NOT_THIS = (
    errors.FormatMismatch,
    errors.FormatAmbiguous,
    errors.FormatUnsafe,
    errors.VirtualSizeExceeded,
    errors.SignatureInvalid,
)


@describe(
    'Upload the data of an image',
    {204: Answer(description='The image is active.')},
    takes={OCTETS: None},
    parameters=(parameters.STORE, parameters.SIZE),
    errors=(*RECEIVING, *SIGNED, *STORING, errors.FormatsNotSet, *NOT_THIS),
)
def upload(request: webob.Request, services: 'Services', image_id: str) -> webob.Response:
    """204: the image is active."""
    check_octets(request)
    data.upload(
        services,
        request.context,
        image_id,
        request.environ['wsgi.input'],
        content_length=request.content_length,
        announced_size=announced_size(request),
        store=request.headers.get(STORE),
    )
    return no_content()


@describe(
    'Stage data for an import',
    {204: Answer(description='The data waits for an import.')},
    takes={OCTETS: None},
    parameters=(parameters.SIZE,),
    errors=(*RECEIVING, errors.StagingDisabled),
)
def stage(request: webob.Request, services: 'Services', image_id: str) -> webob.Response:
    """204: the data waits for an import."""
    check_octets(request)
    data.stage(
        services,
        request.context,
        image_id,
        request.environ['wsgi.input'],
        content_length=request.content_length,
        announced_size=announced_size(request),
    )
    return no_content()


@describe(
    'Download the data of an image',
    {
        200: Answer(
            description='All of the data.',
            media=OCTETS,
            headers={'Content-MD5': 'The MD5 of the data in hexadecimal digits.'},
        ),
        206: Answer(
            description='The range that was asked for.',
            media=OCTETS,
            headers={
                'Content-MD5': 'The MD5 of the whole data in hexadecimal digits.',
                'Content-Range': 'Which bytes, of how many.',
            },
        ),
        204: Answer(description='There is no data.'),
    },
    parameters=(parameters.RANGE, parameters.PREFER),
    errors=(
        errors.ImageNotFound,
        errors.ImageDeactivated,
        errors.RangesNotSupported,
        errors.RangeNotSatisfiable,
        errors.InvalidQuery,
        errors.UnknownStore,
        errors.DataUnavailable,
    ),
)
def download(request: webob.Request, services: 'Services', image_id: str) -> webob.Response:
    """200 with all of the data, 206 with a part of it, 204 when there is none."""
    found = data.download(
        services,
        request.context,
        image_id,
        range_=range_of(request),
        prefer=preferred(request),
        remote_address=request.remote_addr,
    )
    if found is None:
        return webob.Response(status=204, headerlist=[])
    headers = [('Content-Type', OCTETS), ('Content-Length', str(found.length))]
    if found.image.checksum:
        headers.append(('Content-MD5', found.image.checksum))
    if range_of(request) is None:
        return webob.Response(status=200, headerlist=headers, app_iter=_whole(request, found))
    headers.append(('Content-Range', f'bytes {found.start}-{found.stop - 1}/{found.size}'))
    return webob.Response(status=206, headerlist=headers, app_iter=found)


def _whole(request: webob.Request, found: data.Download) -> object:
    """The server's own way to send a file, where there is a file and the server has one."""
    wrapper = request.environ.get('wsgi.file_wrapper')
    file = found.file() if wrapper is not None else None
    return found if file is None else wrapper(file, data.CHUNK)


def check_octets(request: webob.Request) -> None:
    """The body is image data. Raises UnsupportedMediaType."""
    given = request.headers.get('Content-Type', '')
    if given.partition(';')[0].strip().lower() != OCTETS:
        raise errors.UnsupportedMediaType(content_type=given or 'none', expected=OCTETS)


def announced_size(request: webob.Request) -> int | None:
    """What the client says about the length of its data. Raises InvalidHeader."""
    text = request.headers.get(ANNOUNCED_SIZE)
    if text is None:
        return None
    if not (text.isascii() and text.strip().isdigit()):
        raise errors.InvalidHeader(name=ANNOUNCED_SIZE, reason='it must be a number of bytes')
    return int(text)


def range_of(request: webob.Request) -> RangeRequest | None:
    """The range asked for; old clients say Content-Range in a request."""
    if text := request.headers.get('Range'):
        return RangeRequest(text=text)
    if text := request.headers.get('Content-Range'):
        return RangeRequest(text=text, content=True)
    return None


def preferred(request: webob.Request) -> list[str]:
    """The stores to try first."""
    return [name for name in request.GET.get('prefer', '').split(',') if name]


def no_content() -> webob.Response:
    """204 as Glance answers it: an empty body with a type and a length."""
    return webob.Response(
        status=204, headerlist=[('Content-Type', 'text/html; charset=UTF-8'), ('Content-Length', '0')]
    )
