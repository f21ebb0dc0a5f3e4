"""Secrets at rest: text encrypted under keys that can be rotated."""

import base64
import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from imagepipe import errors


class Secrets:
    """Encrypts under the first key, decrypts under any.

    Fernet: AES-128-CBC with HMAC-SHA256, so a changed text is noticed.
    Raises ConfigurationInvalid for a missing or malformed key; no key and no
    text ever stands in an error.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise errors.ConfigurationInvalid(reason='[secrets] key_file has no key.')
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError:
            raise errors.ConfigurationInvalid(
                reason='[secrets] key_file has a line that is not a Fernet key.'
            ) from None

    def encrypt(self, text: str) -> str:
        """The text as a token of printable ASCII, different at each call."""
        return self._fernet.encrypt(text.encode('utf-8')).decode('ascii')

    def decrypt(self, token: str) -> str:
        """The text again; raises SecretUnreadable for a foreign, changed or malformed token."""
        try:
            return self._fernet.decrypt(token.encode('utf-8')).decode('utf-8')
        except (InvalidToken, ValueError):
            raise errors.SecretUnreadable() from None

    def rotate(self, token: str) -> str:
        """The same text under the first key; raises SecretUnreadable."""
        try:
            return self._fernet.rotate(token.encode('utf-8')).decode('ascii')
        except (InvalidToken, ValueError):
            raise errors.SecretUnreadable() from None

    def __repr__(self) -> str:
        return 'Secrets(...)'


class GlanceLocations:
    """Decrypts the URLs of locations that Glance stored with its metadata_encryption_key.

    They are base64 of AES-CBC: the initial vector, then the text, a NUL, and padding without one.
    """

    def __init__(self, key: str | None) -> None:
        self._key = None if key is None else key.encode('utf-8')
        if self._key is not None and len(self._key) not in (16, 24, 32):
            raise errors.ConfigurationInvalid(reason='metadata_encryption_key has not 16, 24 or 32 bytes.')

    def decrypt(self, stored: str) -> str:
        """The URL; one that is not encrypted comes out as it is. Raises GlanceLocationUnreadable."""
        if '://' in stored:  # base64 has no colon
            return stored
        if self._key is None:
            raise errors.GlanceLocationUnreadable()
        try:
            return self._decrypted(base64.urlsafe_b64decode(stored))
        except ValueError:
            raise errors.GlanceLocationUnreadable() from None

    def _decrypted(self, data: bytes) -> str:
        decryptor = Cipher(algorithms.AES(self._key), modes.CBC(data[:16])).decryptor()
        padded = decryptor.update(data[16:]) + decryptor.finalize()
        url = padded[: padded.rindex(b'\0')].decode('utf-8')
        if '://' not in url:
            raise ValueError('another key')
        return url


def read_key_file(path: str | os.PathLike[str]) -> list[str]:
    """The keys of a key file, in their order; raises ConfigurationInvalid."""
    try:
        if os.stat(path).st_mode & 0o007:
            raise errors.ConfigurationInvalid(
                reason='[secrets] key_file can be accessed by every user of the host.'
            )
        lines = Path(path).read_text('ascii').split('\n')
    except (OSError, UnicodeDecodeError):
        raise errors.ConfigurationInvalid(reason='[secrets] key_file cannot be read.') from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith('#')]


def generate_key_file(path: str | os.PathLike[str]) -> None:
    """Make a key file with one new key, mode 0600, whole or not at all.

    An existing file is kept, by whichever process was first: a key that may
    be in use is never overwritten. Raises OSError.
    """
    target = Path(path)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f'.{target.name}.')  # mode 0600
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(Fernet.generate_key() + b'\n')
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, target)
    finally:
        os.unlink(name)
