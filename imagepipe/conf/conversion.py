"""[conversion]: how qemu-img runs, and how much a compressed image may unpack to."""

from oslo_config import cfg

GROUP = cfg.OptGroup('conversion', title='Conversion and decompression of images')

OPTS = [
    cfg.StrOpt(
        'qemu_img',
        default='qemu-img',
        help='The qemu-img program: a name looked up in PATH, or an absolute path. Imports that convert '
        'fail with imagepipe.conversion.converter_missing on a host where it is not found.',
    ),
    cfg.StrOpt(
        'sandbox',
        default='auto',
        choices=[
            ('auto', 'Run qemu-img in bubblewrap where that works, else with resource limits only.'),
            ('required', 'Run it in bubblewrap; refuse to convert on a host where that does not work.'),
            ('off', 'Run it with resource limits only.'),
        ],
        help='Whether qemu-img, which reads data that users made, runs in a sandbox: without network, seeing '
        'no file but its input, its work directory and system libraries. bubblewrap needs user '
        'namespaces; in containers these are often off. With auto a warning is logged there.',
    ),
    cfg.IntOpt(
        'timeout',
        default=14400,
        min=10,
        help='Seconds that one conversion may take. A longer one is killed and its import fails. Large '
        'images on slow staging need more; keep it above the time in which staging can be read and '
        'written once.',
    ),
    cfg.IntOpt(
        'cpu_limit',
        default=7200,
        min=5,
        help='Seconds of CPU that one qemu-img process may use (RLIMIT_CPU). Compressed sources need most. '
        'Lowering it bounds what a crafted image can cost.',
    ),
    cfg.IntOpt(
        'memory_limit',
        default=1024,
        min=256,
        help='MiB of address space that one qemu-img process may use (RLIMIT_AS). Crafted headers ask for '
        'gigabytes; ordinary images need less than 300 MiB.',
    ),
    cfg.IntOpt(
        'file_size_limit',
        default=2048,
        min=1,
        help='GiB that a file written by qemu-img may have (RLIMIT_FSIZE), holes included. A raw image is as '
        'long as its virtual disk, so larger disks cannot be converted to raw. See also [image_format] '
        'max_virtual_size.',
    ),
    cfg.IntOpt(
        'max_decompression_ratio',
        default=250,
        min=0,
        help='How many times its compressed size an image may unpack to, beyond the first 64 MiB; 0 is any. '
        'Nearly empty disks compress to a ratio of 1000. image_size_cap holds in any case.',
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
