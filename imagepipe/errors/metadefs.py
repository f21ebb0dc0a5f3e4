"""Errors of metadata definitions."""

from imagepipe.errors.base import Conflict, Forbidden, ImagepipeError, NotFound


class MetadefNamespaceNotFound(NotFound):
    """No such namespace of metadata definitions, or not one that the caller may see."""

    code = 'imagepipe.metadef.namespace_not_found'
    template = "The metadata definition namespace '{namespace}' could not be found."
    cure = 'List the namespaces that you see.'


class MetadefNotFound(NotFound):
    """The namespace has no object, property, tag or resource type of this name."""

    code = 'imagepipe.metadef.not_found'
    template = "The namespace '{namespace}' has no {noun} '{name}'."
    cure = 'List what the namespace has.'


class MetadefPrefixMissing(NotFound):
    """The name of a property does not begin as its resource type wants it."""

    code = 'imagepipe.metadef.prefix_missing'
    template = (
        "The property '{name}' could not be found: for the resource type '{resource_type}' "
        "names begin with '{prefix}'."
    )
    cure = 'Name the property with the prefix of its resource type.'


class MetadefHidden(NotFound):
    """policy.yaml does not let this caller see metadata definitions at all."""

    code = 'imagepipe.metadef.hidden'
    template = 'The resource could not be found.'
    cure = 'Have the operator allow metadata definitions to you in policy.yaml.'


class MetadefNamespaceExists(Conflict):
    """Another namespace has this name."""

    code = 'imagepipe.metadef.namespace_exists'
    template = "A metadata definition namespace '{namespace}' already exists."
    cure = 'Update the namespace, or choose another name.'


class MetadefExists(Conflict):
    """The namespace has an object, property, tag or resource type of this name."""

    code = 'imagepipe.metadef.exists'
    template = "The namespace '{namespace}' already has the {noun} '{name}'."
    cure = 'Update what is there, or choose another name.'


class MetadefRepeated(Conflict):
    """One request gives the same name twice."""

    code = 'imagepipe.metadef.repeated'
    template = "The {noun} '{name}' is given more than once."
    cure = 'Give each name once.'


class MetadefProtected(Forbidden):
    """Neither a protected namespace nor anything in it can be deleted."""

    code = 'imagepipe.metadef.protected'
    template = "The namespace '{namespace}' is protected: neither it nor anything in it can be deleted."
    cure = 'Set protected of the namespace to false first.'


class MetadefReadOnly(Forbidden):
    """The attribute is set by the service only."""

    code = 'imagepipe.metadef.read_only'
    template = "Attribute '{name}' is read-only."
    cure = 'Leave the attribute out of the request.'


class MetadefFileInvalid(ImagepipeError):
    """A file of metadata definitions cannot be loaded."""

    code = 'imagepipe.metadef.file_invalid'
    template = '{path}: {reason}'
    cure = 'Correct the file as the sentence says, and load it again.'
