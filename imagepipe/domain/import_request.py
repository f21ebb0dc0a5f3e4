"""What a POST .../import asks for, taken apart (reference, section 9.1)."""

import dataclasses
import hashlib
from collections.abc import Mapping

from imagepipe.domain.import_ import Method
from imagepipe.domain.remote import RemoteImage

#: Algorithms that `expected` may name: every one of fixed length that Python always has.
ALGORITHMS = tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith('shake_')))
#: How many hexadecimal digits each has.
DIGITS = {name: hashlib.new(name, usedforsecurity=False).digest_size * 2 for name in ALGORITHMS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """stores is None where the request names none; expected maps 'size' and algorithms to values."""

    method: str
    uri: str | None = None
    remote: RemoteImage | None = None
    stores: tuple[str, ...] | None = None
    all_stores: bool = False
    must_succeed: bool = True
    expected: Mapping[str, object] = dataclasses.field(default_factory=dict)
    store_header: str | None = None
    #: See Import.task_input.
    task_input: Mapping[str, object] | None = None
    #: The import that this is asked for again.
    retry_of: str | None = None

    @classmethod
    def parse(cls, body: Mapping[str, object], *, store_header: str | None = None) -> 'ImportRequest':
        """The request in a JSON body that fits its schema."""
        method, stores = body['method'], body.get('stores')
        return cls(
            method=method['name'],
            uri=method.get('uri'),
            remote=RemoteImage.parse(method) if method['name'] == Method.GLANCE_DOWNLOAD else None,
            stores=None if stores is None else tuple(dict.fromkeys(stores)),
            all_stores=body.get('all_stores', False),
            must_succeed=body.get('all_stores_must_succeed', True),
            expected={name: _expectation(value) for name, value in body.get('expected', {}).items()},
            store_header=store_header,
        )


def _expectation(value: str | float) -> object:
    """A digest as we write it; a size, which JSON may have written as 1.0."""
    return value.lower() if isinstance(value, str) else int(value)
