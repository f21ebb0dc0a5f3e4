"""[import_flow]: how an import goes. Frozen into the import's plan when it is accepted."""

from oslo_config import cfg

GROUP = cfg.OptGroup('import_flow', title='The flow of an import')

OPTS = [
    cfg.DictOpt(
        'target_formats',
        default={},
        help='The disk format each store shall hold, such as "ceph:raw,archive:qcow2". An image of '
        'another format is converted, once per format. A store that is not named keeps the format '
        'it is given. The image takes the format of the first store that took it.',
    ),
    cfg.IntOpt(
        'small',
        default=1 << 30,
        min=0,
        help='An import whose data is known to have no more bytes than this when it is accepted is a small '
        'one: see [conductor] small_slots. The size of uploaded and of copied data is known, that of a URL '
        'if the request says what it expects.',
    ),
    cfg.ListOpt(
        'convert_methods',
        default=['glance-direct', 'web-download'],
        help='Import methods for which target_formats is applied.',
    ),
    cfg.ListOpt(
        'convert_formats',
        default=['qcow2', 'raw', 'vmdk', 'vhd', 'vhdx', 'vdi'],
        help='Declared disk formats that are converted. Others are stored as they come.',
    ),
    cfg.ListOpt(
        'decompress_methods',
        default=[],
        help='Import methods for which data compressed with gzip, bzip2, xz or zip is unpacked before '
        'it is looked at. Data that is not compressed is left as it is.',
    ),
    cfg.ListOpt(
        'decompress_formats',
        default=['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso'],
        help='Declared disk formats for which data is unpacked.',
    ),
    cfg.ListOpt(
        'expected_required',
        default=[],
        help='Import methods that need an "expected" with a digest in their request; others are refused '
        'with 400. Set it to web-download where sources are not trusted.',
    ),
    cfg.ListOpt(
        'digests',
        default=['sha256'],
        help='Hash algorithms computed over every source besides md5 and hashing_algorithm, so that an '
        'expected digest of theirs needs no second reading. Each costs CPU for every byte.',
    ),
    cfg.IntOpt(
        'fetch_attempts',
        default=3,
        min=1,
        max=100,
        help='How often a web-download is tried when the source fails in a way that can pass by itself.',
    ),
    cfg.IntOpt(
        'store_attempts',
        default=3,
        min=1,
        max=100,
        help='How often writing to a store is tried when it fails in a way that can pass by itself.',
    ),
    cfg.IntOpt(
        'restage_attempts',
        default=2,
        min=1,
        max=10,
        help='How often an import starts over after its staged data was lost and the source can be read '
        'again.',
    ),
    cfg.FloatOpt(
        'backoff',
        default=1.0,
        min=0.0,
        max=3600.0,
        help='Seconds before the second try of a step; doubled for each further one, up to five minutes.',
    ),
    cfg.BoolOpt(
        'step_events',
        default=False,
        help='Send a notification import.step for each step that starts or ends.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the group."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """For the sample generator."""
    return [(GROUP, OPTS)]
