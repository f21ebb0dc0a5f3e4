"""Errors of the members of shared images."""

from imagepipe.errors.base import Conflict, Forbidden, NotFound


class ImageNotShared(Forbidden):
    """Only images of visibility 'shared' have members."""

    code = 'imagepipe.member.image_not_shared'
    template = "Only shared images have members; image {image_id} is '{visibility}'."
    cure = 'Set the visibility of the image to shared.'


class MemberNotFound(NotFound):
    """The project is not a member of the image, or not one that the caller may see."""

    code = 'imagepipe.member.not_found'
    template = 'Project {member} is not a member of image {image_id}.'
    cure = 'List the members of the image.'


class MemberExists(Conflict):
    """The project is a member of the image already."""

    code = 'imagepipe.member.exists'
    template = 'Project {member} is already a member of image {image_id}.'
    cure = 'Nothing: the project is a member already.'
