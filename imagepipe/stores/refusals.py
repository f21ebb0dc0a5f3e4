"""What goes wrong in glance_store and in the libraries below it, in our words."""

import errno
import logging
from typing import Self

from glance_store import exceptions as theirs

from imagepipe import errors
from imagepipe.stores.streams import NO_ROOM

LOG = logging.getLogger(__name__)

#: Order matters: the first class that fits decides.
_TABLE: tuple[tuple[tuple[type[Exception], ...], type[errors.ImagepipeError]], ...] = (
    ((theirs.NotFound,), errors.StoreObjectMissing),
    ((theirs.StorageFull,), errors.StoreFull),
    ((theirs.InUseByStore, theirs.HasSnapshot), errors.StoreInUse),
    ((theirs.StoreAddDisabled, theirs.StoreDeleteNotSupported), errors.StoreReadOnly),
    (
        (
            theirs.StorageWriteDenied,
            theirs.Forbidden,
            theirs.NotAuthenticated,
            theirs.AuthorizationFailure,
            theirs.AuthBadRequest,
            theirs.AuthUrlNotFound,
            theirs.MissingCredentialError,
        ),
        errors.StoreDenied,
    ),
    (
        (
            theirs.BadStoreUri,
            theirs.UnknownScheme,
            theirs.Invalid,
            theirs.Duplicate,
            theirs.MaxRedirectsExceeded,
            theirs.StoreGetNotSupported,
        ),
        errors.StorePermanent,
    ),
)

#: Of librbd, librados and boto, whose classes need not be installed: by name.
_BY_NAME: dict[str, type[errors.ImagepipeError]] = {
    'ImageNotFound': errors.StoreObjectMissing,
    'NoSpace': errors.StoreFull,
    'DiskQuotaExceeded': errors.StoreFull,
    'ImageBusy': errors.StoreInUse,
    'ImageHasSnapshots': errors.StoreInUse,
    'PermissionError': errors.StoreDenied,
    'PermissionDeniedError': errors.StoreDenied,
    'NoCredentialsError': errors.StoreDenied,
    'InvalidArgument': errors.StorePermanent,
    'ReadOnlyImage': errors.StorePermanent,
}

#: Packages whose exceptions end at the border; a defect of our own (TypeError ...) passes through it.
_FOREIGN = frozenset(
    {
        'glance_store',
        'swiftclient',
        'keystoneauth1',
        'keystoneclient',
        'cinderclient',
        'os_brick',
        'oslo_concurrency',
        'botocore',
        'boto3',
        's3transfer',
        'rbd',
        'rados',
        'requests',
        'urllib3',
        'http',
        'oslo_vmware',
    }
)

#: What drivers raise around something that says more.
_WRAPPERS = (
    theirs.BadStoreUri,
    theirs.BadStoreConfiguration,
    theirs.BackendException,
    theirs.RemoteServiceUnavailable,
)

_FULL_CODES = frozenset({'QuotaExceeded', 'XAmzContentSHA256QuotaExceeded', 'EntityTooLarge', 'StorageFull'})


class Border:
    """`with Border(store_id):` lets nothing foreign out, and our own errors as they are."""

    def __init__(self, store_id: str) -> None:
        self._store_id = store_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None or isinstance(error, errors.ImagepipeError):
            return
        ours = translate(error, self._store_id)
        if ours is not None:
            LOG.warning('Store %s: %s: %s', self._store_id, type(error).__name__, _shown(error))
            raise ours from error


def translate(error: BaseException, store_id: str) -> errors.ImagepipeError | None:
    """Our error for a foreign one; None for what is neither foreign nor from the system."""
    found = _class_of(error)
    if found is None:
        return None
    return found(store=store_id, image_id='')


def _class_of(error: BaseException) -> type[errors.ImagepipeError] | None:
    if not isinstance(error, Exception):
        return None
    cause = error.__cause__ or error.__context__
    if isinstance(error, _WRAPPERS) and cause is not None:
        found = _class_of(cause)
        if found is not None:
            return found
    for classes, ours in _TABLE:
        if isinstance(error, classes):
            return ours
    if not _is_foreign(error):
        return _by_errno(error) if isinstance(error, OSError) else None
    response = _response(error)
    if response is not None:
        return by_status(*response)
    return _BY_NAME.get(type(error).__name__, errors.StoreTransient)


def _is_foreign(error: BaseException) -> bool:
    return any(kind.__module__.partition('.')[0] in _FOREIGN for kind in type(error).__mro__)


def _response(error: Exception) -> tuple[int, str] | None:
    """HTTP status and S3's code in an error of swiftclient, keystoneauth, cinderclient or boto."""
    response = getattr(error, 'response', None)
    if isinstance(response, dict):
        return response.get('ResponseMetadata', {}).get('HTTPStatusCode', 500), response['Error'].get(
            'Code', ''
        )
    for name in ('http_status', 'code'):
        status = getattr(error, name, None)
        if isinstance(status, int) and 400 <= status < 600:
            return status, ''
    return None


def by_status(status: int, code: str = '') -> type[errors.ImagepipeError]:
    """Our error for an HTTP status that is none of success."""
    if status in (413, 507) or code in _FULL_CODES:
        return errors.StoreFull
    if status in (401, 403):
        return errors.StoreDenied
    if status in (404, 410):
        return errors.StoreObjectMissing
    if status in (408, 425, 429) or status >= 500:
        return errors.StoreTransient
    return errors.StorePermanent


def _by_errno(error: OSError) -> type[errors.ImagepipeError]:
    if error.errno in NO_ROOM:
        return errors.StoreFull
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return errors.StoreDenied
    return errors.StoreTransient


def _shown(error: BaseException) -> str:
    """The text for the log, without what may hold credentials: URLs are cut after the scheme."""
    words = (word.partition('://')[0] + '://...' if '://' in word else word for word in str(error).split())
    return ' '.join(words)[:500]
