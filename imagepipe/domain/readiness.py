"""What the service needs to do its work, and what of it is missing."""

import dataclasses
import enum


class Part(enum.StrEnum):
    """A thing that the service cannot do all of its work without."""

    DATABASE = 'database'
    STAGING = 'staging'
    CONDUCTOR = 'conductor'
    #: Where conductors are; STAGING is that of the process which is asked.
    CONDUCTOR_STAGING = 'conductor_staging'
    CONVERTER = 'converter'
    BROKER = 'broker'
    DEFAULT_STORE = 'default_store'
    STORE = 'store'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lack:
    """A part that is missing, and a sentence for operators."""

    part: Part
    reason: str
