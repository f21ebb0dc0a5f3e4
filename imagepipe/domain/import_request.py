"""What a POST .../import asks for, checked for its shape (reference, section 9.1)."""

import dataclasses
import hashlib
import string
from collections.abc import Mapping

from imagepipe import errors

#: Algorithms that `expected` may name: every one of fixed length that Python always has.
ALGORITHMS = tuple(sorted(name for name in hashlib.algorithms_guaranteed if not name.startswith('shake_')))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """stores is None where the request names none; expected maps 'size' and algorithms to values."""

    method: str
    uri: str | None = None
    stores: tuple[str, ...] | None = None
    all_stores: bool = False
    must_succeed: bool = True
    expected: Mapping[str, object] = dataclasses.field(default_factory=dict)
    store_header: str | None = None

    @classmethod
    def parse(cls, body: object, *, store_header: str | None = None) -> 'ImportRequest':
        """The request in a JSON body. Raises InvalidBody."""
        if not isinstance(body, Mapping):
            raise errors.InvalidBody(reason='an object is expected')
        method = body.get('method')
        if not isinstance(method, Mapping) or not isinstance(method.get('name'), str):
            raise errors.InvalidBody(reason="'method' must be an object with a 'name'")
        uri = method.get('uri')
        if uri is not None and not isinstance(uri, str):
            raise errors.InvalidBody(reason="'uri' must be a string")
        return cls(
            method=method['name'],
            uri=uri,
            stores=_stores(body.get('stores')),
            all_stores=_boolean(body, 'all_stores', default=False),
            must_succeed=_boolean(body, 'all_stores_must_succeed', default=True),
            expected=_expected(body.get('expected', {})),
            store_header=store_header,
        )


def _boolean(body: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise errors.InvalidBody(reason=f"'{name}' must be true or false")
    return value


def _stores(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise errors.InvalidBody(reason="'stores' must be a list of store ids")
    return tuple(dict.fromkeys(value))


def _expected(value: object) -> dict[str, object]:
    if not isinstance(value, Mapping):
        raise errors.InvalidBody(reason="'expected' must be an object")
    return {name: _expectation(name, item) for name, item in value.items()}


def _expectation(name: str, value: object) -> object:
    if name == 'size':
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise errors.InvalidBody(reason="'expected.size' must be a number of bytes")
        return value
    if name not in ALGORITHMS:
        raise errors.InvalidBody(reason=f"'expected' knows 'size' and the algorithms {', '.join(ALGORITHMS)}")
    length = hashlib.new(name, usedforsecurity=False).digest_size * 2
    if not isinstance(value, str) or len(value) != length or not set(value) <= set(string.hexdigits):
        raise errors.InvalidBody(reason=f"'expected.{name}' must be {length} hexadecimal digits")
    return value.lower()
