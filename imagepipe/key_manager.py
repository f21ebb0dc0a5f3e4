"""The key manager of [key_manager], which may be none: asked, always, as the caller of a request."""

import logging

from castellan import key_manager
from castellan.common import exception as castellan_errors
from castellan.common.objects.certificate import Certificate
from castellan.key_manager.key_manager import KeyManager as Backend
from keystoneauth1 import exceptions as keystone_errors
from oslo_config import cfg
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.context import RequestContext

LOG = logging.getLogger(__name__)

_FAILURES = (castellan_errors.CastellanException, keystone_errors.ClientException)


class KeyManager:
    """Certificates and keys by their ids."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        if self._configured:
            self._backend()

    @property
    def _configured(self) -> bool:
        return bool(self._conf.key_manager.backend)

    def certificate(self, context: RequestContext, certificate_id: str) -> bytes:
        """An X.509 certificate: DER as castellan has it, or PEM as some put it there.

        Raises KeyManagerMissing, KeyManagerUnavailable, CertificateUnusable.
        """
        if not self._configured:
            raise errors.KeyManagerMissing()
        if not uuidutils.is_uuid_like(certificate_id):
            raise _unusable(certificate_id, 'that is not the id of one')
        try:
            found = self._backend().get(context, certificate_id)
        except (castellan_errors.ManagedObjectNotFoundError, castellan_errors.Forbidden) as error:
            raise _unusable(certificate_id, 'the key manager has none of this id for you') from error
        except ValueError as error:  # of the parser that castellan's driver gives it to
            raise _unusable(certificate_id, 'it is no X.509 certificate') from error
        except _FAILURES as error:
            LOG.error('The key manager did not give certificate %s: %s', certificate_id, error)
            raise errors.KeyManagerUnavailable(certificate_id=certificate_id) from error
        if not isinstance(found, Certificate):
            raise _unusable(certificate_id, 'it is a secret of another kind')
        return found.get_encoded() or b''

    def delete(self, context: RequestContext, key_id: str) -> None:
        """Delete a key. That it cannot be deleted is logged, and nothing more."""
        if not self._configured:
            LOG.warning('Key %s stays: there is no key manager', key_id)
            return
        if not uuidutils.is_uuid_like(key_id):  # a driver may make a path of it
            LOG.warning('There is no key %r: that is not the id of one', key_id)
            return
        try:
            self._backend().delete(context, key_id)
        except _FAILURES as error:
            LOG.warning('Key %s stays in the key manager: %s', key_id, error)

    def _backend(self) -> Backend:
        """A new one each time: Barbican's keeps the client, and so the token, of its last caller."""
        try:
            return key_manager.API(self._conf)
        except (ImportError, ValueError, RuntimeError) as error:
            backend = self._conf.key_manager.backend
            raise errors.ConfigurationInvalid(
                reason=f"[key_manager] backend '{backend}' cannot be loaded: {error}"
            ) from error


def _unusable(certificate_id: str, reason: str) -> errors.CertificateUnusable:
    return errors.CertificateUnusable(certificate_id=certificate_id, reason=reason)
