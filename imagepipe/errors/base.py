"""What every error has, the registry of codes, and the families that carry the HTTP status."""

from collections.abc import Mapping
from typing import ClassVar

REGISTRY: dict[str, type['ImagepipeError']] = {}


class ImagepipeError(Exception):
    """An error with a stable code; `facts` fill its sentence."""

    code = 'imagepipe.internal'
    status = 500
    template = 'The service met an unexpected error. Its log names the request id.'
    #: What whoever meets it does about it: a sentence for the documentation and the operator.
    cure = 'Look into the log, by the id of the request, and then into the bug tracker of the project.'
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


#: For what passes when somebody has seen to it: seconds.
RETRY_LATER = {'Retry-After': '30'}


def in_general(code: str) -> str:
    """What an error of this code is, without its facts: its sentence if it has none, else what it means."""
    declared = REGISTRY.get(code, ImagepipeError)
    return declared.template if '{' not in declared.template else (declared.__doc__ or '').partition('\n')[0]


class Recorded(ImagepipeError):
    """An error that another process met, with the code and sentence that were recorded."""

    def __init__(self, *, code: str, message: str) -> None:
        self.template = '{message}'
        super().__init__(message=message)
        self.code = code
