"""An image that another image service has: where it is, and what is known of it once it was asked."""

import dataclasses
import hashlib
import re
import string
from collections.abc import Iterable, Mapping

from imagepipe import errors
from imagepipe.domain import encryption, properties, records, signature

#: Interfaces of endpoints in a service catalog.
INTERFACES = ('public', 'internal', 'admin')
MAX_REGION = 255

#: Never copied, whatever the prefixes. A signature has to be verified, with a certificate that only the
#: user's token gives, before an image may name it; and the key stays that of the image in the other region.
_ITS_OWN = frozenset({*signature.NAMES, *signature.OPTIONS, encryption.DELETION_POLICY})
_UUID = re.compile('[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}')
_NAMES = ('glance_region', 'glance_image_id', 'glance_service_interface')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What an image service says of an active image, as far as an import goes by it.

    expected: the size, and one digest by its algorithm, that the data must have. properties: what the
    image gets of the source's.
    """

    disk_format: str
    container_format: str
    expected: Mapping[str, object] = dataclasses.field(default_factory=dict)
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, document: object, prefixes: Iterable[str]) -> 'Description':
        """The description in an image's representation.

        Raises RemoteImageNotActive, RemoteImageUnusable.
        """
        if not isinstance(document, Mapping):
            raise errors.RemoteImageUnusable(reason='its description is no JSON object')
        if document.get('status') != 'active':
            raise errors.RemoteImageNotActive(status=_printable(document.get('status')))
        return cls(
            disk_format=_format(document, 'disk_format'),
            container_format=_format(document, 'container_format'),
            expected={**_size(document), **_digest(document)},
            properties=_copied(document, tuple(prefixes)),
        )

    @property
    def unchanging(self) -> bool:
        """Whether the data can be told from other data: then parts of it may be joined."""
        return bool(set(self.expected) - {'size'})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemoteImage:
    """An image in a region of the service catalog; `found` once its service has described it."""

    region: str
    image_id: str
    interface: str = 'public'
    found: Description | None = None

    @classmethod
    def parse(cls, method: Mapping[str, object]) -> 'RemoteImage':
        """The image that the `method` of a request names; check() says whether it can be one."""
        region, image_id, interface = (method.get(name) for name in _NAMES)
        return cls(region=region or '', image_id=image_id or '', interface=interface or 'public')

    def check(self) -> None:
        """Raises RemoteImageInvalid."""
        if not self.region or len(self.region) > MAX_REGION or not self.region.isprintable():
            raise errors.RemoteImageInvalid(
                reason=f"glance-download needs a 'glance_region' of 1 to {MAX_REGION} characters."
            )
        if not _UUID.fullmatch(self.image_id):
            raise errors.RemoteImageInvalid(
                reason=f"'glance_image_id': remote image id does not look like a UUID: "
                f'{_printable(self.image_id) or "there is none"}'
            )
        if self.interface not in INTERFACES:
            raise errors.RemoteImageInvalid(
                reason=f"'glance_service_interface' must be one of {', '.join(INTERFACES)}."
            )

    def as_json(self) -> dict[str, object]:
        """The image as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> 'RemoteImage':
        """The image that as_json wrote."""
        fields = records.known(cls, value)
        if fields.get('found') is not None:
            fields['found'] = Description(**records.known(Description, fields['found']))
        return cls(**fields)


def _format(document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise errors.RemoteImageUnusable(reason=f'it has no {name}')
    return value


def _size(document: Mapping[str, object]) -> dict[str, int]:
    size = document.get('size')
    return {'size': size} if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else {}


def _digest(document: Mapping[str, object]) -> dict[str, str]:
    """The strongest digest that the source names and that can be computed here; {} for none."""
    named = ((document.get('os_hash_algo'), document.get('os_hash_value')), ('md5', document.get('checksum')))
    return next(({name: value.lower()} for name, value in named if _is_digest(name, value)), {})


def _is_digest(algorithm: object, value: object) -> bool:
    if not isinstance(algorithm, str) or not isinstance(value, str):
        return False
    if algorithm not in hashlib.algorithms_guaranteed:
        return False
    length = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    return 0 < length == len(value) and set(value) <= set(string.hexdigits)


def _copied(document: Mapping[str, object], prefixes: tuple[str, ...]) -> dict[str, str]:
    copied = {
        name: value
        for name, value in document.items()
        if name.startswith(prefixes)
        and name not in properties.BASE | properties.RESERVED | _ITS_OWN
        and not name.startswith(properties.RESERVED_PREFIX)
    }
    for name, value in copied.items():
        if not isinstance(value, str) or len(name) > properties.MAX_NAME or not _storable(name + value):
            raise errors.RemoteImageUnusable(
                reason=f"its property '{_printable(name)}' cannot be stored here"
            )
    return copied


def _storable(text: str) -> bool:
    """As for what clients write: below U+10000, no NUL, no half of a pair."""
    return not any(
        character == '\0' or '\ud800' <= character <= '\udfff' or character > '\uffff' for character in text
    )


def _printable(value: object) -> str:
    text = str(value)
    return text[:64] if text.isprintable() else ''
