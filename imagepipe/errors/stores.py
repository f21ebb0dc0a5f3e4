"""Errors of the stores."""

from imagepipe.errors.base import (
    RETRY_LATER,
    BadRequest,
    Conflict,
    Forbidden,
    ImagepipeError,
    NotFound,
    TooLarge,
    Unavailable,
)


class UnknownStore(BadRequest):
    """The store is not configured."""

    code = 'imagepipe.store.unknown'
    template = "Store '{store}' is not known."
    cure = 'Use stores that GET /v2/info/stores lists.'


class StoresNotEnabled(NotFound):
    """Several stores are not configured (enabled_backends)."""

    code = 'imagepipe.store.not_enabled'
    template = 'Multi backend is not supported at this site.'
    cure = 'Set enabled_backends.'


class StoreReadOnly(ImagepipeError):
    """The store takes no data."""

    code = 'imagepipe.store.read_only'
    status = 410
    template = "Store '{store}' takes no data."
    cure = 'Name another store.'


class StoreObjectMissing(ImagepipeError):
    """The store answers that it has no such object."""

    code = 'imagepipe.store.object_missing'
    template = "Store '{store}' does not have the data."
    cure = 'Find out who removed the data; delete the image, or copy it from another store.'


class StoreTransient(Unavailable):
    """The store cannot be reached or is busy; it may work later."""

    code = 'imagepipe.store.transient'
    template = "Store '{store}' cannot be used at the moment."
    headers = RETRY_LATER
    cure = 'Run imagepipe-manage stores check, and see whether the store is up. Then try again.'


class StoreDown(Unavailable):
    """The store was known to be down, and was not needed."""

    code = 'imagepipe.store.down'
    transient = False
    template = "Store '{store}' is down."
    cure = (
        'Run imagepipe-manage stores check, and see to the store. When it is up, bring the image into it by '
        'the import method copy-image.'
    )


class StorePermanent(ImagepipeError):
    """The store refuses, and will refuse again."""

    code = 'imagepipe.store.permanent'
    template = "Store '{store}' refused the operation."
    cure = 'Read in the log what the store answered, and correct its section of the configuration.'


class StoreDenied(Unavailable):
    """The store does not let the service in."""

    code = 'imagepipe.store.denied'
    transient = False
    template = "Store '{store}' denied the service access."
    cure = 'Correct the credentials in the section of the store, or its rights.'


class StoreFull(TooLarge):
    """The store has no room."""

    code = 'imagepipe.store.full'
    template = "Store '{store}' has no room for this image."
    cure = 'Make room in the store; imagepipe-manage stores gc removes what nobody owns.'


class StoreInUse(Conflict):
    """The store keeps the data because something is built on it."""

    code = 'imagepipe.store.in_use'
    template = 'Image {image_id} could not be deleted because it is in use.'
    cure = 'Delete first what is built on the image, such as volumes and snapshots.'


class StoreKeeps(Forbidden):
    """The store does not allow the service to delete the data."""

    code = 'imagepipe.store.keeps'
    template = 'Image {image_id} could not be deleted because its store does not allow it.'
    cure = 'Let the store allow deletes, or leave the data where it is.'


class StoredDataDiffers(ImagepipeError):
    """What the store holds is not what was sent."""

    code = 'imagepipe.store.data_differs'
    template = "Store '{store}' holds other data than was sent to it."
    cure = (
        'Do not trust the store before you know why it holds other bytes than it was sent. Then retry the '
        'import.'
    )


class StoreNotConfigured(Conflict):
    """The store in the path is not configured."""

    code = 'imagepipe.store.not_configured'
    template = "Store '{store}' is not configured here."
    cure = 'Use stores that GET /v2/info/stores lists.'
