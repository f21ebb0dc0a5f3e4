"""The names of objects in stores and of files in staging: made here, read back here, nowhere else.

`<image>.<import or transfer>.<epoch>.<part>`: legal in every driver (file,
Swift, S3, RBD), below 200 characters, and listable by image and by import.
A part has no hyphen: Swift appends `-00001` to segments and joins whatever
begins with `<name>-`, so no name may begin with another one and a hyphen.
"""

import re
from dataclasses import dataclass

_ID = r'[A-Za-z0-9][A-Za-z0-9_-]{0,63}'
_PART = r'[A-Za-z0-9][A-Za-z0-9_]{0,47}'
_NAME = re.compile(
    rf'(?P<image_id>{_ID})\.(?P<owner_id>{_ID})\.(?P<epoch>0|[1-9][0-9]{{0,9}})\.(?P<part>{_PART})'
)


@dataclass(frozen=True)
class ObjectName:
    """What a name says: whose bytes these are, and written by which claim."""

    image_id: str
    owner_id: str
    epoch: int
    part: str

    def __str__(self) -> str:
        return f'{self.image_id}.{self.owner_id}.{self.epoch}.{self.part}'


def object_name(image_id: str, owner_id: str, epoch: int, part: str) -> str:
    """The name under which one step of an import, or a transfer, keeps its bytes.

    `owner_id` is the import's or transfer's id, `epoch` the claim's, `part`
    the purpose ('data', 'converted_qcow2'). ValueError for what would not
    survive parse().
    """
    name = str(ObjectName(image_id, owner_id, epoch, part))
    if parse(name) != ObjectName(image_id, owner_id, epoch, part):
        raise ValueError(f'no object name can be made of {name!r}')
    return name


def parse(name: str) -> ObjectName | None:
    """The parts of a name; None for a name that is not ours, whose object is left alone."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return ObjectName(match['image_id'], match['owner_id'], int(match['epoch']), match['part'])


def prefix(image_id: str, owner_id: str | None = None) -> str:
    """What all names of an image, or of one of its imports or transfers, begin with."""
    return f'{image_id}.' if owner_id is None else f'{image_id}.{owner_id}.'
