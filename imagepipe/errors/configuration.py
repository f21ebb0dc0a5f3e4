"""Errors of what the operator configured."""

from imagepipe.errors.base import ImagepipeError


class SecretUnreadable(ImagepipeError):
    """A stored secret cannot be decrypted with the configured keys."""

    code = 'imagepipe.secret.unreadable'
    template = 'A stored secret cannot be read with the configured keys.'
    cure = (
        'Put the key back that the secret was stored with: [secrets] key_file must be the same on every host.'
    )


class ConfigurationInvalid(ImagepipeError):
    """The configuration cannot work; the sentence names the option."""

    code = 'imagepipe.configuration.invalid'
    template = 'The configuration is not valid: {reason}'
    cure = 'Correct the option that the sentence names, and start the service again.'
