"""Errors of locations: what is added, removed or looked for."""

from imagepipe.errors.base import BadRequest, Conflict, Forbidden, NotFound


class LocationRefused(BadRequest):
    """The URL or what is said of it cannot be a location."""

    code = 'imagepipe.location.refused'
    template = 'The location cannot be used: {reason}'
    cure = 'Correct the URL; it must be one that a configured store reads.'


class LocationForbidden(Forbidden):
    """Users add http and https locations, where there is a store for them; services add others."""

    code = 'imagepipe.location.forbidden'
    template = 'Only http and https locations can be added here, and only where there is a store for them.'
    cure = 'Use an http or https URL, where a store of type http is configured.'


class LocationsHidden(Forbidden):
    """The service does not show locations in images, so they cannot be changed there."""

    code = 'imagepipe.location.hidden'
    template = 'Locations are not shown here and cannot be changed by a patch.'
    cure = 'Set show_multiple_locations, or use the calls of locations.'


class LocationWrongStatus(Conflict):
    """The image's status does not allow this change of its locations."""

    code = 'imagepipe.location.wrong_status'
    template = "Image status is '{status}'; its locations can only be changed so when it is {needed}."
    cure = 'Wait until the image has the status that is needed.'


class LastLocation(Forbidden):
    """An image cannot be left without a location."""

    code = 'imagepipe.location.last'
    template = 'Image {image_id} must keep at least one location.'
    cure = 'Delete the image, or copy it to another store first.'


class ValidationDataConflict(Conflict):
    """The validation_data does not fit the image, or itself."""

    code = 'imagepipe.location.validation_data'
    template = 'The validation data cannot be used: {reason}'
    cure = "Give digests by an algorithm that is known, and none that differs from the image's own."


class NotInStore(NotFound):
    """The store has no copy of the image."""

    code = 'imagepipe.location.not_in_store'
    template = "Image {image_id} has no data in store '{store}'."
    cure = 'List the stores of the image.'
