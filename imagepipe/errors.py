"""Every error imagepipe can answer with: code, HTTP status, sentence.

An error is declared once. Whoever raises it gives facts; the sentence is made
here, HTTP is made of it in api/rendering.py, and the documentation page of
error codes is generated from REGISTRY. A code, once released, never changes.

The sentences are shown to tenants: no paths of the host, no addresses behind
a refused URL, no secrets.
"""

from collections.abc import Mapping
from typing import ClassVar

REGISTRY: dict[str, type['ImagepipeError']] = {}


class ImagepipeError(Exception):
    """An error with a stable code; `facts` fill its sentence."""

    code = 'imagepipe.internal'
    status = 500
    template = 'The service met an unexpected error. Its log names the request id.'
    #: Whether the same attempt may succeed later without anybody's doing.
    transient = False
    #: Extra response headers, by name.
    headers: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if 'code' not in cls.__dict__:
            return
        known = REGISTRY.setdefault(cls.code, cls)
        if known.__qualname__ != cls.__qualname__:
            raise TypeError(f'error code {cls.code} is declared twice')

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.template.format(**facts))

    @property
    def message(self) -> str:
        """The sentence for the user."""
        return str(self)


REGISTRY[ImagepipeError.code] = ImagepipeError


# Families: they carry the HTTP status and are never raised themselves.


class BadRequest(ImagepipeError):
    status = 400


class Forbidden(ImagepipeError):
    status = 403


class NotFound(ImagepipeError):
    status = 404


class Conflict(ImagepipeError):
    status = 409


class TooLarge(ImagepipeError):
    status = 413


class Unsupported(ImagepipeError):
    status = 415


class Unavailable(ImagepipeError):
    status = 503
    transient = True


# Requests.


class InvalidBody(BadRequest):
    """The request body is missing, is no JSON, or does not fit its schema."""

    code = 'imagepipe.request.invalid_body'
    template = 'The request body is not valid: {reason}'


class BodyNotAllowed(BadRequest):
    """This call takes no body."""

    code = 'imagepipe.request.body_not_allowed'
    template = 'A body is not expected with this request.'


class InvalidQuery(BadRequest):
    """A query parameter has a value that cannot be used."""

    code = 'imagepipe.request.invalid_query'
    template = 'The value of {name} is not valid: {reason}'


class InvalidHeader(BadRequest):
    """A request header has a value that cannot be used."""

    code = 'imagepipe.request.invalid_header'
    template = 'The header {name} is not valid: {reason}'


class InvalidEncoding(BadRequest):
    """The URL is not UTF-8."""

    code = 'imagepipe.request.invalid_encoding'
    template = 'The request could not be decoded as UTF-8.'


class RequestIdTooLong(ImagepipeError):
    """The client's own request id is longer than max_request_id_length."""

    code = 'imagepipe.request.id_too_long'
    status = 431
    template = 'The request id in X-Openstack-Request-ID is longer than {limit} characters.'


class NotAuthenticated(ImagepipeError):
    """The request has no valid token."""

    code = 'imagepipe.request.not_authenticated'
    status = 401
    template = 'A valid token is required.'


class LengthRequired(ImagepipeError):
    """The server that runs the service cannot tell the end of such a body."""

    code = 'imagepipe.request.length_required'
    status = 411
    template = 'A Content-Length is needed here.'


class RouteNotFound(NotFound):
    """Nothing is served under this path."""

    code = 'imagepipe.request.no_such_path'
    template = 'There is no resource at this path.'


class MethodNotAllowed(ImagepipeError):
    """The path exists, the method does not."""

    code = 'imagepipe.request.method_not_allowed'
    status = 405
    template = 'The method {method} is not allowed for this resource.'


class MethodNotImplemented(ImagepipeError):
    """The method is not one of HTTP's that this service knows."""

    code = 'imagepipe.request.method_not_implemented'
    status = 501
    template = 'The method {method} is not implemented.'


class UnsupportedMediaType(Unsupported):
    """The Content-Type is not one this call takes."""

    code = 'imagepipe.request.media_type'
    template = 'The content type {content_type} is not supported here; send {expected}.'


class UnsupportedPatch(Unsupported):
    """A PATCH of an image has a media type of its own."""

    code = 'imagepipe.patch.media_type'
    headers: ClassVar[Mapping[str, str]] = {
        'Accept-Patch': 'application/openstack-images-v2.0-json-patch, '
        'application/openstack-images-v2.1-json-patch',
    }
    template = 'The content type {content_type} is not supported here; send {expected}.'


class BodyTooLarge(TooLarge):
    """The JSON body is larger than [api] max_json_body."""

    code = 'imagepipe.request.body_too_large'
    template = 'The request body is larger than {limit} bytes.'


class ReadOnlyCaller(Forbidden):
    """An anonymous caller may look, never change."""

    code = 'imagepipe.request.read_only'
    template = 'A request without a token may only read.'


class PolicyForbids(Forbidden):
    """policy.yaml does not allow this caller to do this."""

    code = 'imagepipe.policy.forbidden'
    template = 'You are not authorized to complete {rule} action.'


# Images.


class ImageNotFound(NotFound):
    """No such image, or not one that the caller may see."""

    code = 'imagepipe.image.not_found'
    template = 'Image {image_id} could not be found.'


class ImageIdTaken(Conflict):
    """An image has, or once had, this id; ids are never used again."""

    code = 'imagepipe.image.id_taken'
    template = 'Image ID {image_id} already exists.'


class InvalidTransition(Conflict):
    """The image's status does not allow this."""

    code = 'imagepipe.image.invalid_transition'
    template = 'Image {image_id} cannot go from {old} to {new}.'


class ImageChanged(Conflict):
    """Somebody else changed the image in the same instant."""

    code = 'imagepipe.image.changed'
    template = 'Image {image_id} was changed by another request; read it again and retry.'


class ImageGone(ImagepipeError):
    """The image was deleted while its data was being received."""

    code = 'imagepipe.image.gone'
    status = 410
    template = 'Image {image_id} was deleted while its data was being received.'


class ImageProtected(Forbidden):
    """The image has protected=true."""

    code = 'imagepipe.image.protected'
    template = 'Image {image_id} is protected and cannot be deleted.'


class ImageDeactivated(Forbidden):
    """The data of a deactivated image is not served."""

    code = 'imagepipe.image.deactivated'
    template = 'Image {image_id} is deactivated; its data cannot be downloaded.'


class PropertyReadOnly(Forbidden):
    """The attribute is set by the service only."""

    code = 'imagepipe.image.property_read_only'
    template = "Attribute '{name}' is read-only."


class PropertyReserved(Forbidden):
    """The attribute name is reserved for the service."""

    code = 'imagepipe.image.property_reserved'
    template = "Attribute '{name}' is reserved."


class PropertyNotRemovable(Forbidden):
    """A base property can be changed, not removed."""

    code = 'imagepipe.image.property_not_removable'
    template = "Property '{name}' cannot be removed."


class OwnerForbidden(Forbidden):
    """Only an administrator gives an image to another project."""

    code = 'imagepipe.image.owner_forbidden'
    template = "You are not permitted to set the owner to '{owner}'."


class FormatsNotSet(BadRequest):
    """disk_format and container_format are needed before data is uploaded."""

    code = 'imagepipe.image.formats_not_set'
    template = 'Properties {names} must be set prior to saving data.'


class FormatsNotSetForImport(Conflict):
    """disk_format and container_format are needed before an import."""

    code = 'imagepipe.import.formats_not_set'
    template = 'Properties {names} must be set prior to importing data.'


class FormatsFixed(Forbidden):
    """The formats can be changed only while the image has no data."""

    code = 'imagepipe.image.formats_fixed'
    template = "Attribute '{name}' can only be replaced for a queued image."


class PropertyMissing(Conflict):
    """A patch names a property that the image does not have."""

    code = 'imagepipe.image.property_missing'
    template = "Property '{name}' does not exist."


class PropertyExists(Conflict):
    """A v2.0 patch adds a property that the image has."""

    code = 'imagepipe.image.property_exists'
    template = "Property '{name}' already exists."


class InvalidPatch(BadRequest):
    """The JSON patch is malformed."""

    code = 'imagepipe.patch.invalid'
    template = 'The patch is not valid: {reason}'


class TooManyProperties(TooLarge):
    """More custom properties than image_property_quota."""

    code = 'imagepipe.quota.properties'
    template = 'The limit of {limit} properties per image has been exceeded: {attempted} given.'


class TooManyTags(TooLarge):
    """More tags than image_tag_quota."""

    code = 'imagepipe.quota.tags'
    template = 'The limit of {limit} tags per image has been exceeded: {attempted} given.'


class InvalidMarker(BadRequest):
    """The marker names no image or import."""

    code = 'imagepipe.request.invalid_marker'
    template = 'The marker {marker} could not be found.'


class MarkerForbidden(Forbidden):
    """The marker names an image that the caller may not see."""

    code = 'imagepipe.request.marker_forbidden'
    template = 'The marker {marker} is not visible to you.'


# Image data.


class SizeMismatch(BadRequest):
    """The data has another length than was announced."""

    code = 'imagepipe.data.size_mismatch'
    template = 'The data has {found} bytes, {expected} were announced.'


class DataTruncated(BadRequest):
    """The client went away before all of the data had arrived."""

    code = 'imagepipe.data.truncated'
    template = 'The data ended early, after {found} bytes.'


class SizeCapExceeded(TooLarge):
    """The data is larger than image_size_cap."""

    code = 'imagepipe.data.size_cap_exceeded'
    template = 'The data is larger than the {limit} bytes that an image may have.'


class QuotaExceeded(TooLarge):
    """The project's storage quota does not hold this image."""

    code = 'imagepipe.quota.storage'
    template = (
        'The image does not fit into the storage quota of the project: '
        '{requested} bytes more than the {limit} allowed bytes minus {used} used.'
    )


class StagingFull(TooLarge):
    """The staging area cannot take the data."""

    code = 'imagepipe.staging.full'
    template = 'The staging area has no room for this image.'


class StagingUnavailable(Unavailable):
    """The staging area cannot be written or read."""

    code = 'imagepipe.staging.unavailable'
    template = 'The staging area cannot be used at the moment.'


class StagingLost(ImagepipeError):
    """The staged data is gone or was changed by somebody else."""

    code = 'imagepipe.staging.lost'
    template = 'The staged data of image {image_id} is no longer there; stage or upload it again.'


class RangeNotSatisfiable(ImagepipeError):
    """The Range is malformed or lies beyond the data."""

    code = 'imagepipe.data.range'
    status = 416
    template = 'The range {range} cannot be served for data of {size} bytes.'


class RangesNotSupported(BadRequest):
    """Only one range at a time is served."""

    code = 'imagepipe.data.several_ranges'
    template = 'Requests with several ranges are not supported.'


class DataUnavailable(Unavailable):
    """No location of the image could be read just now."""

    code = 'imagepipe.data.unavailable'
    template = 'The data of image {image_id} cannot be read at the moment.'


class TransferLost(Conflict):
    """The lease of the upload expired and somebody else ended it."""

    code = 'imagepipe.transfer.lost'
    template = 'The upload of image {image_id} was ended because it gave no sign for too long.'


class UploadInProgress(Conflict):
    """The image is being uploaded or staged by another request."""

    code = 'imagepipe.transfer.in_progress'
    template = 'Image {image_id} already receives data from another request.'


# Stores.


class UnknownStore(BadRequest):
    """The store is not configured."""

    code = 'imagepipe.store.unknown'
    template = "Store '{store}' is not known."


class UnknownImportStore(Conflict):
    """The import names a store that is not configured."""

    code = 'imagepipe.import.unknown_store'
    template = "Store '{store}' is not known."


class StoresNotEnabled(NotFound):
    """Several stores are not configured (enabled_backends)."""

    code = 'imagepipe.store.not_enabled'
    template = 'Multi backend is not supported at this site.'


class StoreReadOnly(ImagepipeError):
    """The store takes no data."""

    code = 'imagepipe.store.read_only'
    status = 410
    template = "Store '{store}' takes no data."


class StoreObjectMissing(ImagepipeError):
    """The store answers that it has no such object."""

    code = 'imagepipe.store.object_missing'
    template = "Store '{store}' does not have the data."


class StoreTransient(Unavailable):
    """The store cannot be reached or is busy; it may work later."""

    code = 'imagepipe.store.transient'
    template = "Store '{store}' cannot be used at the moment."


class StorePermanent(ImagepipeError):
    """The store refuses, and will refuse again."""

    code = 'imagepipe.store.permanent'
    template = "Store '{store}' refused the operation."


class StoreDenied(Unavailable):
    """The store does not let the service in."""

    code = 'imagepipe.store.denied'
    transient = False
    template = "Store '{store}' denied the service access."


class StoreFull(TooLarge):
    """The store has no room."""

    code = 'imagepipe.store.full'
    template = "Store '{store}' has no room for this image."


class StoreInUse(Conflict):
    """The store keeps the data because something is built on it."""

    code = 'imagepipe.store.in_use'
    template = 'Image {image_id} could not be deleted because it is in use.'


class StoreKeeps(Forbidden):
    """The store does not allow the service to delete the data."""

    code = 'imagepipe.store.keeps'
    template = 'Image {image_id} could not be deleted because its store does not allow it.'


class AllStoresFailed(ImagepipeError):
    """No store took the image."""

    code = 'imagepipe.import.all_stores_failed'
    template = 'None of the stores took the image: {reasons}'


class StoreFailed(ImagepipeError):
    """A store failed, and all had to succeed."""

    code = 'imagepipe.import.store_failed'
    template = "Store '{store}' did not take the image: {reason}"


class StoredDataDiffers(ImagepipeError):
    """What the store holds is not what was sent."""

    code = 'imagepipe.store.data_differs'
    template = "Store '{store}' holds other data than was sent to it."


# Formats.


class FormatMismatch(Unsupported):
    """The content is not of the declared disk_format."""

    code = 'imagepipe.format.mismatch'
    template = "The image is declared as '{declared}' but its content is '{detected}'."


class FormatAmbiguous(Unsupported):
    """The content is of several formats at once."""

    code = 'imagepipe.format.ambiguous'
    template = 'The content of the image is of several formats at once: {formats}.'


class FormatUnsafe(Unsupported):
    """The content fails a safety check."""

    code = 'imagepipe.format.unsafe'
    template = 'The image fails the safety check {check}: {reason}'


class VirtualSizeExceeded(TooLarge):
    """The virtual disk is larger than allowed."""

    code = 'imagepipe.format.virtual_size_exceeded'
    template = 'The virtual disk has {found} bytes, {limit} are allowed.'


class DecompressionFailed(Unsupported):
    """The compressed data cannot be unpacked."""

    code = 'imagepipe.format.decompression_failed'
    template = 'The compressed image could not be unpacked: {reason}'


class DecompressionBomb(TooLarge):
    """The data unpacks to more than is allowed."""

    code = 'imagepipe.format.decompression_bomb'
    template = 'The compressed image unpacks to more than the allowed {limit}.'


class ConversionFailed(ImagepipeError):
    """qemu-img could not convert the image."""

    code = 'imagepipe.conversion.failed'
    template = 'The image could not be converted from {source} to {target}.'


class ConversionNotPossible(Unsupported):
    """The format can be stored, not converted."""

    code = 'imagepipe.conversion.not_possible'
    template = "An image of format '{source}' cannot be converted to '{target}'."


class ConversionTimeout(ImagepipeError):
    """qemu-img took longer than [conversion] timeout."""

    code = 'imagepipe.conversion.timeout'
    template = 'The conversion took longer than the allowed {limit} seconds.'


class ConversionLimit(ImagepipeError):
    """qemu-img hit its limit of memory, CPU time or file size."""

    code = 'imagepipe.conversion.limit'
    template = 'The conversion of the image needs more resources than are allowed.'


class ConverterMissing(ImagepipeError):
    """qemu-img, or the sandbox it must run in, is not on the host."""

    code = 'imagepipe.conversion.converter_missing'
    transient = True
    template = 'The service has no usable converter on this host: {reason}'


class ConversionNoSpace(TooLarge):
    """The staging area cannot hold the converted image."""

    code = 'imagepipe.conversion.no_space'
    template = 'The staging area has no room for the converted image.'


# Sources.


class SourceRefused(BadRequest):
    """The URL is one that this service does not fetch; the sentence never says more."""

    code = 'imagepipe.source.refused'
    template = "The source URL for host '{host}' does not pass filtering."


class SourceInvalid(BadRequest):
    """The URL cannot be parsed or has parts that are not allowed."""

    code = 'imagepipe.source.invalid'
    template = 'The source URL is not valid: {reason}'


class SourceNotFound(ImagepipeError):
    """The source answered that it does not have or does not give the data."""

    code = 'imagepipe.source.not_found'
    template = 'The source answered {status} instead of the image.'


class SourceUnavailable(ImagepipeError):
    """The source could not be reached or answered with a server error."""

    code = 'imagepipe.source.unavailable'
    transient = True
    template = 'The source could not be read: {reason}'


class SourceUnusable(ImagepipeError):
    """The source answers in a way that this service does not take, and would again."""

    code = 'imagepipe.source.unusable'
    template = 'The source cannot be used: {reason}'


class SourceStalled(ImagepipeError):
    """The source sent nothing, or too little, for too long."""

    code = 'imagepipe.source.stalled'
    transient = True
    template = 'The source sent too little data: {reason}'


class SourceTimeout(ImagepipeError):
    """The fetch as a whole took too long."""

    code = 'imagepipe.source.timeout'
    template = 'The source could not be read within {limit} seconds.'


class SourceTruncated(ImagepipeError):
    """The source ended before its announced length."""

    code = 'imagepipe.source.truncated'
    transient = True
    template = 'The source ended after {found} of {expected} bytes.'


class SourceChanged(ImagepipeError):
    """The source has other data than when the fetch began."""

    code = 'imagepipe.source.changed'
    transient = True
    template = 'The source changed while it was being read.'


class TooManyRedirects(ImagepipeError):
    """The source redirects in a loop or too often."""

    code = 'imagepipe.source.redirects'
    template = 'The source redirected more than {limit} times.'


class DigestMismatch(ImagepipeError):
    """The data is not what the request expected."""

    code = 'imagepipe.data.digest_mismatch'
    template = 'The {algorithm} of the data is {found}, {expected} was expected.'


class ExpectedSizeMismatch(ImagepipeError):
    """The data has another size than the import expected."""

    code = 'imagepipe.data.expected_size_mismatch'
    template = 'The data has {found} bytes, {expected} were expected.'


# Imports.


class ImportNotFound(NotFound):
    """No such import, or not one that the caller may see."""

    code = 'imagepipe.import.not_found'
    template = 'Import {import_id} could not be found.'


class TaskNotFound(NotFound):
    """No such task, or not one that the caller may see."""

    code = 'imagepipe.task.not_found'
    template = 'Task {task_id} could not be found.'


class ImportMethodDisabled(BadRequest):
    """The import method is unknown or not enabled."""

    code = 'imagepipe.import.method_disabled'
    template = "Import method '{method}' is unknown or not enabled."


class StagingDisabled(NotFound):
    """glance-direct is not enabled, so there is nothing to stage for."""

    code = 'imagepipe.import.staging_disabled'
    template = 'Staging is not enabled at this site.'


class ImportWrongStatus(Conflict):
    """The image's status does not allow this import method."""

    code = 'imagepipe.import.wrong_status'
    template = "Image status is '{status}'; import method {method} needs '{needed}'."


class ImportInProgress(Conflict):
    """The image has a live import."""

    code = 'imagepipe.import.in_progress'
    template = 'Image {image_id} is being imported by import {import_id}.'


class ImportNotCancellable(Conflict):
    """The import has passed its commit point or has ended."""

    code = 'imagepipe.import.not_cancellable'
    template = 'Import {import_id} is {state} and cannot be cancelled.'


class ImportCancelled(ImagepipeError):
    """A user cancelled the import."""

    code = 'imagepipe.import.cancelled'
    template = 'The import was cancelled.'


class ImageDeletedDuringImport(ImagepipeError):
    """The image was deleted while it was being imported."""

    code = 'imagepipe.import.image_deleted'
    template = 'The image was deleted while it was being imported.'


class ImportAttemptsExhausted(ImagepipeError):
    """The process died too often in the same step."""

    code = 'imagepipe.import.attempts_exhausted'
    template = "The step '{step}' was interrupted {attempts} times; the import was given up."


class ImportUnreadable(ImagepipeError):
    """The recorded flow cannot be loaded."""

    code = 'imagepipe.import.unreadable'
    template = 'The record of this import cannot be read; it was reverted.'


class StoresConflict(BadRequest):
    """Several ways of naming the stores were used together."""

    code = 'imagepipe.import.stores_conflict'
    template = '{first} and {second} cannot be used together.'


class ExpectedRequired(BadRequest):
    """The operator wants an expected digest with every such import."""

    code = 'imagepipe.import.expected_required'
    template = "An import by {method} needs 'expected' with one of: {algorithms}."


class StepResultInvalid(ImagepipeError):
    """A step returned something that is not plain JSON: a defect of the step."""

    code = 'imagepipe.flow.invalid_result'
    template = "Step '{step}' returned a result that cannot be recorded."


class ClaimLost(ImagepipeError):
    """Another worker has taken the import over; nothing may be written any more."""

    code = 'imagepipe.import.claim_lost'
    template = 'The claim on import {import_id} is no longer ours.'


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or stays busy."""

    code = 'imagepipe.database.unavailable'
    template = 'The database cannot be used at the moment.'


class DatabaseUnusable(ImagepipeError):
    """The database refuses a command of the operator; the sentence has the driver's words."""

    code = 'imagepipe.database.unusable'
    template = 'The database cannot be used: {reason}'


class DatabaseNotSynced(ImagepipeError):
    """The database has the tables of another release, or none."""

    code = 'imagepipe.database.not_synced'
    template = (
        'The database is at revision {found}, this release needs {wanted}: run imagepipe-manage db sync.'
    )


class SecretUnreadable(ImagepipeError):
    """A stored secret cannot be decrypted with the configured keys."""

    code = 'imagepipe.secret.unreadable'
    template = 'A stored secret cannot be read with the configured keys.'


class ConfigurationInvalid(ImagepipeError):
    """The configuration cannot work; the sentence names the option."""

    code = 'imagepipe.configuration.invalid'
    template = 'The configuration is not valid: {reason}'


class Recorded(ImagepipeError):
    """An error that another process met, with the code and sentence that were recorded."""

    def __init__(self, *, code: str, message: str) -> None:
        self.template = '{message}'
        super().__init__(message=message)
        self.code = code
