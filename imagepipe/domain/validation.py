"""validation_data: what is said of the data at a location (reference, sections 3.3, 6.5 and 10.1)."""

import dataclasses
import hashlib
import string
from collections.abc import Mapping

from imagepipe import errors

#: What POST locations may name.
ALGORITHMS = ('sha1', 'sha256', 'sha512', 'md5')
#: Longest URL of a location.
MAX_URL = 8192
MAX_VALUE = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocationRequest:
    """What POST locations asks for: a URL, and the digest that its data must have."""

    url: str
    os_hash_algo: str | None = None
    os_hash_value: str | None = None

    @classmethod
    def parse(cls, body: Mapping[str, object]) -> 'LocationRequest':
        """The request in a JSON body that fits its schema."""
        return cls(url=body['url'], **body.get('validation_data', {}))

    @property
    def expected(self) -> dict[str, str]:
        """The digest that the data must have, by algorithm. Raises InvalidBody for what is none."""
        if self.os_hash_algo is None:
            return {}
        problem = problem_of(self.os_hash_algo, self.os_hash_value)
        if problem:
            raise errors.InvalidBody(reason=problem)
        return {self.os_hash_algo: self.os_hash_value.lower()}


def problem_of(algorithm: str, value: str) -> str | None:
    """Why a value cannot be a digest of this algorithm; None when it can."""
    length = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    if len(value) != length or not set(value) <= set(string.hexdigits):
        return f'a digest of {algorithm} has {length} hexadecimal digits'
    return None
