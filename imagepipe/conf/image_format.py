"""[image_format]: which formats images may have, and how strictly their content is held to them."""

from oslo_config import cfg, types

GROUP = cfg.OptGroup('image_format', title='Formats of images')

DISK_FORMATS = ['ami', 'ari', 'aki', 'vhd', 'vhdx', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso', 'ploop']
CONTAINER_FORMATS = ['ami', 'ari', 'aki', 'bare', 'ovf', 'ova', 'docker', 'compressed']

OPTS = [
    cfg.ListOpt(
        'container_formats',
        default=CONTAINER_FORMATS,
        deprecated_opts=[cfg.DeprecatedOpt('container_formats', group='DEFAULT')],
        help='Values that container_format of an image may have. Only the content of bare images is '
        'inspected. Removing a value does not touch images that have it.',
    ),
    cfg.ListOpt(
        'disk_formats',
        default=DISK_FORMATS,
        deprecated_opts=[cfg.DeprecatedOpt('disk_formats', group='DEFAULT')],
        help='Values that disk_format of an image may have. Removing a value does not touch images that have '
        'it. A value that inspection does not know (ami, ari, aki, ploop, or one of your own) takes data '
        'in which no format is recognised.',
    ),
    cfg.ListOpt(
        'vmdk_allowed_types',
        default=['streamOptimized', 'monolithicSparse'],
        help='Create types that a vmdk image may have. Only these two keep their data in the image itself; '
        'naming others has no effect, as their descriptors name files of the host (CVE-2022-47951). An '
        'empty list refuses every vmdk image.',
    ),
    cfg.BoolOpt(
        'require_image_format_match',
        default=True,
        help='Refuse bare images whose content is not of their disk_format (415). When false, a difference '
        'is only logged and virtual_size stays unset; safety checks, and allow_raw_containing, hold all the '
        'same.',
    ),
    cfg.ListOpt(
        'gpt_safety_checks_nonfatal',
        default=[],
        item_type=types.String(choices=['mbr']),
        help='Safety checks of partition tables that are logged instead of refusing the image. The only one '
        'is mbr: the partitions in the first sector are plausible. Raw images with a boot sector of '
        'their own may need it.',
    ),
    cfg.ListOpt(
        'allow_raw_containing',
        default=[],
        item_type=types.String(choices=['qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'qed', 'hybrid-iso']),
        help='Formats that the content of an image declared as raw may have. By default such images are '
        'refused: a consumer that guesses the format would open them by structures that their user wrote '
        '(CVE-2024-40767). hybrid-iso is an ISO with a partition table. The safety checks of the format '
        'found hold all the same, but for qed, which has none.',
    ),
    cfg.IntOpt(
        'max_virtual_size',
        default=0,
        min=0,
        help='Bytes that the virtual disk of a bare image may have (413 beyond); 0 is any. A small qcow2 '
        'file can be a disk of petabytes, which its consumers then have to hold.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Make the group known to `conf`."""
    # a copy: registering GROUP itself would share overrides between all ConfigOpts of the process
    conf.register_group(cfg.OptGroup(GROUP.name, title=GROUP.title))
    conf.register_opts(OPTS, group=GROUP.name)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample configuration."""
    return [(GROUP, OPTS)]
