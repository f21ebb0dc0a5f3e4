"""What is settled before data comes: the limits of its project, and the key of its signature.

Keystone and the key manager are asked here, between two transactions: that which looked at the
image, and that which changes it.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.image import Image
from imagepipe.domain.import_ import Plan
from imagepipe.domain.signature import Signature
from imagepipe.domain.usage import Limits

if TYPE_CHECKING:
    from imagepipe.services import Services


@dataclasses.dataclass(frozen=True)
class Terms:
    """Limits by resource, and the signature that the data must have, complete with its key."""

    limits: Limits
    signature: Signature | None = None

    @classmethod
    def read(cls, services: 'Services', context: RequestContext, image: Image) -> 'Terms':
        """The terms for data of this image.

        Raises LimitsUnavailable, SignaturePropertiesInvalid, KeyManagerMissing,
        KeyManagerUnavailable, CertificateUnusable.
        """
        named = Signature.of(image.properties)
        signature = None if named is None else services.signatures.complete(context, named)
        return cls(services.quota.limits(image.owner), signature)

    @classmethod
    def staging(cls, services: 'Services', image: Image) -> 'Terms':
        """The terms for data that is staged: its signature is the import's to verify, and is only named.

        Raises LimitsUnavailable, SignaturePropertiesInvalid.
        """
        return cls(services.quota.limits(image.owner), Signature.of(image.properties))

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The digests that the signature needs."""
        return () if self.signature is None else (self.signature.algorithm,)

    def check(self, image: Image) -> None:
        """Raise ImageChanged if the image has come to name another signature since."""
        known = self.signature and dataclasses.replace(self.signature, public_key=None)
        if Signature.of(image.properties) != known:
            raise errors.ImageChanged(image_id=image.id)

    def verify(self, services: 'Services', digests: Mapping[str, str]) -> None:
        """Raise SignatureInvalid if the data has not the signature that it must have."""
        if self.signature is not None:
            services.signatures.verify(self.signature, digests)

    def frozen(self, plan: Plan) -> Plan:
        """The plan of an import on these terms; signed data is read, whatever the plan would spare."""
        return dataclasses.replace(
            plan,
            limits=self.limits,
            signature=self.signature,
            digests=tuple(dict.fromkeys([*plan.digests, *self.algorithms])),
            secure_hash=plan.secure_hash or self.signature is not None,
        )
