"""Signatures of images: certificates from the key manager, and the check of the data's digest.

The data passes once, and its digest by the signature's hash method is computed beside the others;
a signature is over that digest. So nothing here sees the data.
"""

import base64
import dataclasses
import datetime
from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.signature import DSA, ECC, RSA_PSS, Signature
from imagepipe.key_manager import KeyManager

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    'sha224': hashes.SHA224(),
    'sha256': hashes.SHA256(),
    'sha384': hashes.SHA384(),
    'sha512': hashes.SHA512(),
}


class Signatures:
    """What the certificates of the key manager certify."""

    def __init__(self, keys: KeyManager) -> None:
        self._keys = keys

    def complete(self, context: RequestContext, signature: Signature) -> Signature:
        """The signature with the public key to check it with, fetched as the caller.

        Raises KeyManagerMissing, KeyManagerUnavailable, CertificateUnusable.
        """
        certificate_id = signature.certificate_id
        certificate = _parsed(certificate_id, self._keys.certificate(context, certificate_id))
        key = _public_key(signature, certificate)
        pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return dataclasses.replace(signature, public_key=pem.decode())

    def verify(self, signature: Signature, digests: Mapping[str, str]) -> None:
        """Check the digest, by its algorithm, of all the data. Raises SignatureInvalid."""
        try:
            _verify(signature, bytes.fromhex(digests[signature.algorithm]))
        except (InvalidSignature, ValueError) as error:
            # ValueError: a salt or a digest for which the key is too short.
            raise errors.SignatureInvalid(certificate_id=signature.certificate_id) from error


def _parsed(certificate_id: str, data: bytes) -> x509.Certificate:
    load = x509.load_pem_x509_certificate if data.startswith(b'-----') else x509.load_der_x509_certificate
    try:
        return load(data)
    except ValueError as error:
        raise _unusable(certificate_id, 'it is no X.509 certificate') from error


def _public_key(
    signature: Signature, certificate: x509.Certificate
) -> rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey:
    """The certified key, of the type that the image names, if the certificate is valid today."""
    now = datetime.datetime.now(datetime.UTC)
    if now < certificate.not_valid_before_utc:
        raise _unusable(signature.certificate_id, 'it is not valid yet')
    if now > certificate.not_valid_after_utc:
        raise _unusable(signature.certificate_id, 'it has expired')
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable(signature.certificate_id, 'its key is of no known type') from error
    found = _type_of(key)
    if found != signature.key_type:
        raise _unusable(
            signature.certificate_id, f'its key is {found or "of another type"}, not {signature.key_type}'
        )
    return key


def _type_of(key: object) -> str | None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f'{ECC}{key.curve.name.upper()}'
    known = {rsa.RSAPublicKey: RSA_PSS, dsa.DSAPublicKey: DSA}
    return next((name for kind, name in known.items() if isinstance(key, kind)), None)


def _verify(signature: Signature, digest: bytes) -> None:
    value = base64.b64decode(signature.value)
    hashed = _HASHES[signature.algorithm]
    key = serialization.load_pem_public_key(signature.public_key.encode())
    if isinstance(key, rsa.RSAPublicKey):
        salt_length = padding.PSS.AUTO if signature.salt_length is None else signature.salt_length
        scheme = padding.PSS(mgf=padding.MGF1(hashed), salt_length=salt_length)
        key.verify(value, digest, scheme, Prehashed(hashed))
    elif isinstance(key, dsa.DSAPublicKey):
        key.verify(value, digest, Prehashed(hashed))
    else:
        key.verify(value, digest, ec.ECDSA(Prehashed(hashed)))


def _unusable(certificate_id: str, reason: str) -> errors.CertificateUnusable:
    return errors.CertificateUnusable(certificate_id=certificate_id, reason=reason)
