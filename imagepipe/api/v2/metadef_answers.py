"""Answers and errors that the calls for the contents of namespaces of metadata definitions have in common."""

from imagepipe import errors
from imagepipe.api.description import Answer

GONE = {204: Answer(description='It is gone.')}
ALL_GONE = {204: Answer(description='They are gone.')}

LISTING = (errors.MetadefNamespaceNotFound,)
SHOWING = (*LISTING, errors.MetadefNotFound)
ADDING = (*LISTING, errors.MetadefReadOnly, errors.MetadefExists)
REPLACING = (*ADDING, errors.MetadefNotFound)
REMOVING = (*SHOWING, errors.MetadefProtected)
CLEARING = (*LISTING, errors.MetadefProtected)
