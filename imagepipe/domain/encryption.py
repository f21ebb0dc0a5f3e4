"""The key that Cinder encrypted an image with, by the properties that Cinder gives the image."""

from collections.abc import Mapping

KEY_ID = 'cinder_encryption_key_id'
DELETION_POLICY = 'cinder_encryption_key_deletion_policy'
_WITH_IMAGE = 'on_image_deletion'


def key_deleted_with(properties: Mapping[str, str]) -> str | None:
    """The id of the key that nobody needs when the image is gone (reference, section 5.2)."""
    return properties.get(KEY_ID) if properties.get(DELETION_POLICY) == _WITH_IMAGE else None
