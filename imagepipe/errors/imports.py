"""Errors of imports, of the tasks that show them, and of their flows."""

from imagepipe.errors.base import BadRequest, Conflict, ImagepipeError, NotFound


class FormatsNotSetForImport(Conflict):
    """disk_format and container_format are needed before an import."""

    code = 'imagepipe.import.formats_not_set'
    template = 'Properties {names} must be set prior to importing data.'
    cure = 'Set disk_format and container_format, then import.'


class UnknownImportStore(Conflict):
    """The import names a store that is not configured."""

    code = 'imagepipe.import.unknown_store'
    template = "Store '{store}' is not known."
    cure = 'Use stores that GET /v2/info/stores lists and that take data.'


class AllStoresFailed(ImagepipeError):
    """No store took the image."""

    code = 'imagepipe.import.all_stores_failed'
    template = 'None of the stores took the image: {reasons}'
    cure = 'Read what each store answered, run imagepipe-manage stores check, and retry the import.'


class StoreFailed(ImagepipeError):
    """A store failed, and all had to succeed."""

    code = 'imagepipe.import.store_failed'
    template = "Store '{store}' did not take the image: {reason}"
    cure = (
        'Run imagepipe-manage stores check. Retry later, without that store, or with '
        'all_stores_must_succeed false.'
    )


class AlreadyInStore(BadRequest):
    """The copy is asked for where the image is already."""

    code = 'imagepipe.import.already_in_store'
    template = "Image {image_id} is already in store '{store}'."
    cure = 'Name other stores, or use all_stores, which leaves those out that have the image.'


class CopyNeedsStores(Conflict):
    """There is one store only, so nothing can be copied."""

    code = 'imagepipe.import.copy_needs_stores'
    template = 'Images can only be copied where several stores are configured.'
    cure = 'Configure several stores in enabled_backends.'


class ImportNotFound(NotFound):
    """No such import, or not one that the caller may see."""

    code = 'imagepipe.import.not_found'
    template = 'Import {import_id} could not be found.'
    cure = (
        'Check the id, and that the image is one that you see. Old imports are forgotten by '
        'imagepipe-manage db purge.'
    )


class TaskNotFound(NotFound):
    """No such task, or not one that the caller may see."""

    code = 'imagepipe.task.not_found'
    template = 'Task {task_id} could not be found.'
    cure = 'Check the id; a task is an import.'


class TaskTypeRefused(BadRequest):
    """Such tasks are made by other calls only."""

    code = 'imagepipe.task.type_refused'
    template = "A task of type '{type}' is not made here; it comes with an import of an image."
    cure = 'Import with POST /v2/images/{image_id}/import.'


class ImportMethodDisabled(BadRequest):
    """The import method is unknown or not enabled."""

    code = 'imagepipe.import.method_disabled'
    template = "Import method '{method}' is unknown or not enabled."
    cure = 'Use a method that GET /v2/info/import lists.'


class StagingDisabled(NotFound):
    """glance-direct is not enabled, so there is nothing to stage for."""

    code = 'imagepipe.import.staging_disabled'
    template = 'Staging is not enabled at this site.'
    cure = 'Use another method, or have glance-direct enabled in enabled_import_methods.'


class ImportWrongStatus(Conflict):
    """The image's status does not allow this import method."""

    code = 'imagepipe.import.wrong_status'
    template = "Image status is '{status}'; import method {method} needs '{needed}'."
    cure = (
        'Wait until the image has the status that is needed, or choose the method for the status that it has.'
    )


class ImportInProgress(Conflict):
    """The image has a live import."""

    code = 'imagepipe.import.in_progress'
    template = 'Image {image_id} is being imported by import {import_id}.'
    cure = 'Wait for the import that is named, or cancel it.'


class ImportEnding(Conflict):
    """The last import of the image is committed and has not ended: callers wait for that, for seconds."""

    code = 'imagepipe.import.ending'
    template = 'Import {import_id} of image {image_id} has done its work and has not ended yet.'
    cure = (
        'Repeat the request. An import that stays committed either computes the digests of a location, or '
        'its worker has died and another takes it over when its lease is out.'
    )


class ImportNotCancellable(Conflict):
    """The import has passed its commit point or has ended."""

    code = 'imagepipe.import.not_cancellable'
    template = 'Import {import_id} is {state} and cannot be cancelled.'
    cure = 'Delete the image if its data is not wanted; an import that has ended needs nothing.'


class NothingToExplain(NotFound):
    """The id is neither an import's nor that of a request that asked for one."""

    code = 'imagepipe.import.unexplained'
    template = 'No import has the id {id}, and no request of this id asked for one.'
    cure = (
        'Look for the id in imagepipe-manage imports list; requests that asked for no import are in the '
        'logs only.'
    )


class ImportNotRetryable(Conflict):
    """The import has not failed, or what it read from is not there any more."""

    code = 'imagepipe.import.not_retryable'
    template = 'Import {import_id} cannot be retried: {reason}.'
    cure = 'Ask for a new import of the image, and give what is missing.'


class ImportNotClaimed(Conflict):
    """No worker has the import, so it cannot be taken away from one."""

    code = 'imagepipe.import.not_claimed'
    template = 'Import {import_id} is {state}, and no worker has claimed it.'
    cure = (
        'Nothing is to be taken away: a free worker takes the import. imagepipe-manage explain tells what '
        'it waits for.'
    )


class ImportCancelled(ImagepipeError):
    """A user cancelled the import."""

    code = 'imagepipe.import.cancelled'
    template = 'The import was cancelled.'
    cure = 'Retry the import if it is wanted after all.'


class ImageDeletedDuringImport(ImagepipeError):
    """The image was deleted while it was being imported."""

    code = 'imagepipe.import.image_deleted'
    template = 'The image was deleted while it was being imported.'
    cure = 'Create another image if its data is still wanted.'


class ImportAttemptsExhausted(ImagepipeError):
    """The process died too often in the same step."""

    code = 'imagepipe.import.attempts_exhausted'
    template = "The step '{step}' was interrupted {attempts} times; the import was given up."
    cure = 'Find what kills the workers: memory, or a store or file system that hangs. Then retry the import.'


class StepInterrupted(ImagepipeError):
    """The worker that ran the step died, or was not seen for too long; another one begins it again."""

    code = 'imagepipe.import.step_interrupted'
    template = 'The step was interrupted.'
    transient = True
    cure = 'Nothing is to be done: another worker does it again. The log of its host tells why.'


class ImportUnreadable(ImagepipeError):
    """The recorded flow cannot be loaded."""

    code = 'imagepipe.import.unreadable'
    template = 'The record of this import cannot be read; it was reverted.'
    cure = (
        'Look into the log, by the id of the import: what is recorded of it is damaged. Ask for a new import.'
    )


class ImportFlowUnknown(ImagepipeError):
    """No conductor that is there knows the flow that another release has accepted the import with."""

    code = 'imagepipe.import.flow_unknown'
    template = 'The import was accepted by another release, which is not there any more; it was reverted.'
    cure = (
        'Ask for a new import. Conductors were taken back to an older release while imports of the newer one '
        'waited: let these end first.'
    )


class StoresConflict(BadRequest):
    """Several ways of naming the stores were used together."""

    code = 'imagepipe.import.stores_conflict'
    template = '{first} and {second} cannot be used together.'
    cure = 'Name the stores in one way only.'


class ExpectedRequired(BadRequest):
    """The operator wants an expected digest with every such import."""

    code = 'imagepipe.import.expected_required'
    template = "An import by {method} needs 'expected' with one of: {algorithms}."
    cure = 'Give a digest of the data in expected.'


class StepResultInvalid(ImagepipeError):
    """A step returned something that is not plain JSON: a defect of the step."""

    code = 'imagepipe.flow.invalid_result'
    template = "Step '{step}' returned a result that cannot be recorded."
    cure = 'Report it with the log: it is a defect of the service.'


class ClaimLost(ImagepipeError):
    """Another worker has taken the import over; nothing may be written any more."""

    code = 'imagepipe.import.claim_lost'
    template = 'The claim on import {import_id} is no longer ours.'
    cure = 'Nothing: the worker that took the import over goes on with it.'
