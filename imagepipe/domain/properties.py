"""The attributes of an image that a client writes: which are base, read-only, reserved, custom."""

import hashlib
from collections.abc import Iterable, Mapping

from imagepipe import errors

#: Set by the service; a client that writes one of them is refused (reference, sections 4 and 6.3).
READ_ONLY = frozenset(
    {
        'id',
        'created_at',
        'updated_at',
        'status',
        'checksum',
        'os_hash_algo',
        'os_hash_value',
        'size',
        'virtual_size',
        'direct_url',
        'self',
        'file',
        'schema',
    }
)
#: Names that no property may have.
RESERVED = frozenset({'location', 'deleted', 'deleted_at'})
RESERVED_PREFIX = 'os_glance'
#: Refused in a create before the body is even held against the schema.
REFUSED_FIRST = ('direct_url', 'self', 'file', 'schema', 'stores')
#: Base attributes that a client writes at any time.
WRITABLE = frozenset({'name', 'visibility', 'protected', 'os_hidden', 'min_disk', 'min_ram', 'tags'})
#: Base attributes that a client writes while the image has no data.
FORMATS = frozenset({'disk_format', 'container_format'})
#: Everything that is an attribute of its own in a representation, never a custom property.
BASE = READ_ONLY | WRITABLE | FORMATS | {'owner', 'locations'}

#: Longest name of a custom property.
MAX_NAME = 255
#: Longest tag.
MAX_TAG = 255


def digest(value: str) -> str:
    """By what a custom property's value is found: it is too long for an index."""
    return hashlib.sha256(value.encode()).hexdigest()


def check_first(names: Iterable[str]) -> None:
    """What a create refuses whatever its value is. Raises PropertyReadOnly."""
    for name in names:
        if name in REFUSED_FIRST:
            raise errors.PropertyReadOnly(name=name)


def check_writable(name: str) -> None:
    """Raises PropertyReadOnly or PropertyReserved."""
    if name in READ_ONLY:
        raise errors.PropertyReadOnly(name=name)
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise errors.PropertyReserved(name=name)


def check_name(name: str) -> None:
    """Raises InvalidBody for a name that cannot be stored."""
    if len(name) > MAX_NAME:
        raise errors.InvalidBody(reason=f'a property name is longer than {MAX_NAME} characters')


def check_texts(attributes: Mapping[str, object]) -> None:
    """Names and values of properties stay below U+10000, as in Glance; tags do not have to.

    Raises InvalidBody.
    """
    for name, value in attributes.items():
        text = f'{name}{value}' if isinstance(value, str) else name
        if not text.isascii() and any(character > '\uffff' for character in text):
            raise errors.InvalidBody(reason='names and values cannot have characters above U+FFFF')


def check_quota(properties: Mapping[str, str], limit: int) -> None:
    """Raises TooManyProperties; a negative limit is none."""
    counted = sum(not name.startswith(RESERVED_PREFIX) for name in properties)
    if 0 <= limit < counted:
        raise errors.TooManyProperties(limit=limit, attempted=counted)


def check_tag(tag: str) -> None:
    """Raises InvalidTag for a tag that cannot be stored."""
    if len(tag) > MAX_TAG:
        raise errors.InvalidTag(reason=f'it is longer than {MAX_TAG} characters')
    if '\0' in tag:
        raise errors.InvalidTag(reason='it has a NUL')


def check_tags(tags: frozenset[str], limit: int) -> None:
    """Raises TooManyTags; a negative limit is none."""
    if 0 <= limit < len(tags):
        raise errors.TooManyTags(limit=limit, attempted=len(tags))
