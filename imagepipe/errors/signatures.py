"""Errors of signed images and their certificates."""

from imagepipe.errors.base import BadRequest, Unavailable


class SignatureInvalid(BadRequest):
    """The data is not what was signed, or was signed with another key."""

    code = 'imagepipe.signature.invalid'
    template = (
        'The data does not have the signature that the properties img_signature* of the image name, '
        'checked with certificate {certificate_id}.'
    )
    cure = 'Sign the data again with the key of the certificate, or import the data that was signed.'


class SignaturePropertiesInvalid(BadRequest):
    """The properties of the image name a signature that cannot be checked."""

    code = 'imagepipe.signature.properties'
    template = 'The signature of the image cannot be checked: its property {name} {reason}.'
    cure = 'Correct or remove the properties img_signature*.'


class CertificateUnusable(BadRequest):
    """The certificate that the image names is not there, not valid, or of another type."""

    code = 'imagepipe.signature.certificate'
    template = 'Certificate {certificate_id} cannot be used to check the signature of the image: {reason}.'
    cure = 'Upload a certificate that is valid and of the type that the signature needs, and name it.'


class KeyManagerMissing(BadRequest):
    """The image is signed, and [key_manager] backend is not set."""

    code = 'imagepipe.signature.no_key_manager'
    template = (
        'The image names a signature, but this service has no key manager to fetch its certificate from. '
        'Without the properties img_signature* the data is taken unverified.'
    )
    cure = 'Have [key_manager] backend set, or remove the properties img_signature*.'


class KeyManagerUnavailable(Unavailable):
    """The key manager did not give the certificate."""

    code = 'imagepipe.signature.key_manager_unavailable'
    template = (
        'The key manager does not give certificate {certificate_id} now; '
        'try again, and see whether you may read it.'
    )
    cure = 'See whether the key manager answers, and that the user may read the certificate.'
