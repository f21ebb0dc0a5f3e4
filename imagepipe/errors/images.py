"""Errors of an image, its properties and tags, and of the patches that change them."""

from collections.abc import Mapping
from typing import ClassVar

from imagepipe.errors.base import BadRequest, Conflict, Forbidden, ImagepipeError, NotFound, Unsupported


class UnsupportedPatch(Unsupported):
    """A PATCH of an image has a media type of its own."""

    code = 'imagepipe.patch.media_type'
    headers: ClassVar[Mapping[str, str]] = {
        'Accept-Patch': 'application/openstack-images-v2.0-json-patch, '
        'application/openstack-images-v2.1-json-patch',
    }
    template = 'The content type {content_type} is not supported here; send {expected}.'
    cure = 'Send one of the media types that Accept-Patch names.'


class ImageNotFound(NotFound):
    """No such image, or not one that the caller may see."""

    code = 'imagepipe.image.not_found'
    template = 'Image {image_id} could not be found.'
    cure = 'Check the id, and that the image is yours, public, or shared with you.'


class ImageIdTaken(Conflict):
    """An image has, or once had, this id; ids are never used again."""

    code = 'imagepipe.image.id_taken'
    template = 'Image ID {image_id} already exists.'
    cure = 'Choose another id, or let the service choose one.'


class InvalidTransition(Conflict):
    """The image's status does not allow this."""

    code = 'imagepipe.image.invalid_transition'
    template = 'Image {image_id} cannot go from {old} to {new}.'
    cure = "Read the image's status, and wait for what goes on with it."


class ImageChanged(Conflict):
    """Somebody else changed the image in the same instant."""

    code = 'imagepipe.image.changed'
    template = 'Image {image_id} was changed by another request; read it again and retry.'
    cure = 'Read the image again and repeat the request.'


class ImageBeingDeleted(Conflict):
    """The image is being deleted; it is kept if a store keeps its data, and else is gone in a moment."""

    code = 'imagepipe.image.being_deleted'
    template = 'Image {image_id} is being deleted.'
    cure = 'Wait a moment: the image is gone then, or it was kept and can be changed.'


class ImageGone(ImagepipeError):
    """The image was deleted while its data was being received."""

    code = 'imagepipe.image.gone'
    status = 410
    template = 'Image {image_id} was deleted while its data was being received.'
    cure = 'Create the image again if its data is still wanted.'


class ImageProtected(Forbidden):
    """The image has protected=true."""

    code = 'imagepipe.image.protected'
    template = 'Image {image_id} is protected and cannot be deleted.'
    cure = 'Set protected to false, then delete the image.'


class ImageDeactivated(Forbidden):
    """The data of a deactivated image is not served."""

    code = 'imagepipe.image.deactivated'
    template = 'Image {image_id} is deactivated; its data cannot be downloaded.'
    cure = 'Have an administrator reactivate the image.'


class ImageNotRestorable(Conflict):
    """Only an image that was deleted with a delay, and is not scrubbed yet, can be restored."""

    code = 'imagepipe.image.not_restorable'
    template = "Image {image_id} is '{status}': it was not deleted, so there is nothing to restore."
    cure = 'Only images of imagepipe-manage images pending can be restored.'


class PropertyReadOnly(Forbidden):
    """The attribute is set by the service only."""

    code = 'imagepipe.image.property_read_only'
    template = "Attribute '{name}' is read-only."
    cure = 'Leave the attribute out of the request.'


class PropertyReserved(Forbidden):
    """The attribute name is reserved for the service."""

    code = 'imagepipe.image.property_reserved'
    template = "Attribute '{name}' is reserved."
    cure = 'Choose another name.'


class PropertyProtected(Forbidden):
    """A protection of the property does not allow this caller to do this with it."""

    code = 'imagepipe.image.property_protected'
    template = "You are not permitted to {operation} the property '{name}'."
    cure = 'Ask the operator, whose property protections say who may do what.'


class PropertyNotRemovable(Forbidden):
    """A base property can be changed, not removed."""

    code = 'imagepipe.image.property_not_removable'
    template = "Property '{name}' cannot be removed."
    cure = 'Replace the attribute by another value.'


class OwnerForbidden(Forbidden):
    """Only an administrator gives an image to another project."""

    code = 'imagepipe.image.owner_forbidden'
    template = "You are not permitted to set the owner to '{owner}'."
    cure = 'Have an administrator give the image away.'


class FormatsNotSet(BadRequest):
    """disk_format and container_format are needed before data is uploaded."""

    code = 'imagepipe.image.formats_not_set'
    template = 'Properties {names} must be set prior to saving data.'
    cure = 'Set disk_format and container_format, then send the data.'


class FormatsFixed(Forbidden):
    """The formats can be changed only while the image has no data."""

    code = 'imagepipe.image.formats_fixed'
    template = "Attribute '{name}' can only be replaced for a queued image."
    cure = 'Create another image with the right formats; those of an image with data stay.'


class PropertyMissing(Conflict):
    """A patch names a property that the image does not have."""

    code = 'imagepipe.image.property_missing'
    template = "Property '{name}' does not exist."
    cure = 'Add the property instead, or leave it out of the patch.'


class PropertyExists(Conflict):
    """A v2.0 patch adds a property that the image has."""

    code = 'imagepipe.image.property_exists'
    template = "Property '{name}' already exists."
    cure = 'Replace the property instead of adding it.'


class InvalidPatch(BadRequest):
    """The JSON patch is malformed."""

    code = 'imagepipe.patch.invalid'
    template = 'The patch is not valid: {reason}'
    cure = 'Correct the patch as the sentence says.'


class TagNotFound(NotFound):
    """The image does not have this tag."""

    code = 'imagepipe.image.tag_not_found'
    template = "Image {image_id} does not have the tag '{tag}'."
    cure = 'List the tags of the image.'


class InvalidTag(BadRequest):
    """A tag has at most 255 characters, and none that cannot be stored."""

    code = 'imagepipe.image.invalid_tag'
    template = 'The tag is not valid: {reason}'
    cure = 'Use a tag of 1 to 255 characters that can be stored.'


class ActionImpossible(Forbidden):
    """Only an image with data is deactivated or reactivated."""

    code = 'imagepipe.image.action_impossible'
    template = (
        "Image {image_id} is '{status}'; only active and deactivated images can change between the two."
    )
    cure = 'Give the image its data first.'
