"""[glance_download_properties]: what an image gets of the one it is downloaded from; by Glance's names."""

from oslo_config import cfg

GROUP = cfg.OptGroup('glance_download_properties', title='What glance-download copies beside the data')

OPTS = [
    cfg.ListOpt(
        'extra_properties',
        default=['hw_', 'trait:', 'os_distro', 'os_secure_boot', 'os_type'],
        help='Properties whose names begin with one of these are copied from the source, over those that the '
        'image has. disk_format and container_format always are; attributes of images that are no '
        'properties, and names beginning with os_glance, never; nor is a signature (img_signature, '
        'img_signature_hash_method, img_signature_key_type, img_signature_certificate_uuid, '
        'mask_gen_algorithm, pss_salt_length), which would stand there unverified, nor '
        'cinder_encryption_key_deletion_policy, by which the key of the source would be deleted. Frozen '
        'into an import when it is accepted.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, OPTS)]
