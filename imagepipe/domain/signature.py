"""The signature that an image's properties name (reference, section 22.3)."""

import base64
import binascii
import dataclasses
from collections.abc import Mapping

from imagepipe import errors

#: All of them make an image signed; with fewer there is nothing to verify.
NAMES = (
    'img_signature',
    'img_signature_hash_method',
    'img_signature_key_type',
    'img_signature_certificate_uuid',
)
#: What besides belongs to a signature.
OPTIONS = ('mask_gen_algorithm', 'pss_salt_length')
#: hashlib's names of the hash methods.
HASH_METHODS: Mapping[str, str] = {
    'SHA-224': 'sha224',
    'SHA-256': 'sha256',
    'SHA-384': 'sha384',
    'SHA-512': 'sha512',
}
RSA_PSS = 'RSA-PSS'
DSA = 'DSA'
#: Followed by the name of the curve, as in ECC_SECP384R1.
ECC = 'ECC_'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature over all of an image's data, and what it is checked with. Plain JSON by asdict().

    value: base64. algorithm: of hashlib. salt_length: bytes of salt that an RSA-PSS signature must
    have, None is any number. public_key: PEM, once the certificate was fetched.
    """

    value: str
    algorithm: str
    key_type: str
    certificate_id: str
    salt_length: int | None = None
    public_key: str | None = None

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> 'Signature | None':
        """The signature that an image's properties name. Raises SignaturePropertiesInvalid."""
        if any(name not in properties for name in NAMES):
            return None
        value, hash_method, key_type, certificate_id = (properties[name] for name in NAMES)
        if hash_method not in HASH_METHODS:
            raise _invalid(NAMES[1], f'is none of {", ".join(HASH_METHODS)}')
        if key_type not in (RSA_PSS, DSA) and not key_type.startswith(ECC):
            raise _invalid(NAMES[2], f'is not {RSA_PSS}, {DSA} or {ECC} followed by a curve')
        return cls(
            value=_base64(value),
            algorithm=HASH_METHODS[hash_method],
            key_type=key_type,
            certificate_id=certificate_id,
            salt_length=_salt_length(properties) if key_type == RSA_PSS else None,
        )


def _base64(text: str) -> str:
    """Without line ends, which many tools put in."""
    text = ''.join(text.split())
    try:
        if base64.b64decode(text, validate=True):
            return text
    except (binascii.Error, ValueError):
        pass
    raise _invalid(NAMES[0], 'is not base64')


def _salt_length(properties: Mapping[str, str]) -> int | None:
    if properties.get(OPTIONS[0], 'MGF1') != 'MGF1':
        raise _invalid(OPTIONS[0], 'is not MGF1')
    text = properties.get(OPTIONS[1])
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        raise _invalid(OPTIONS[1], 'is not a number of bytes')
    return int(text)


def _invalid(name: str, reason: str) -> errors.SignaturePropertiesInvalid:
    return errors.SignaturePropertiesInvalid(name=name, reason=reason)
