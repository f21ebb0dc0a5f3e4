"""How long, how slowly and how often a source URL may answer."""

from collections.abc import Sequence

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'web_download',
    title='Limits of a fetch from a URL',
    help='They hold for every fetch on behalf of a user. The size is limited by image_size_cap.',
)

OPTS = [
    cfg.FloatOpt(
        'connect_timeout',
        default=10,
        min=0.1,
        help='Seconds for each of: resolving the name, connecting to one address, the TLS handshake. '
        'An import request waits this long for the name.',
    ),
    cfg.FloatOpt(
        'read_timeout',
        default=60,
        min=0.1,
        help='Seconds within which the headers of an answer must be there, and after which a source that '
        'sends nothing is given up or, if it can continue where it stopped, connected to again.',
    ),
    cfg.FloatOpt(
        'total_timeout',
        default=43200,
        min=1,
        help='Seconds that one fetch may take with all its redirects and reconnections. Too low a value '
        'fails the import of large images from slow sources; a retry of the import starts anew.',
    ),
    cfg.IntOpt(
        'min_rate',
        default=16384,
        min=0,
        help='Bytes per second that a source must send on average over each min_rate_window of waiting '
        'for it; time in which the service itself is busy does not count. 0 sets no lower bound; then a '
        'source can hold a worker until total_timeout.',
    ),
    cfg.FloatOpt(
        'min_rate_window',
        default=60,
        min=0.1,
        help='Seconds of waiting over which min_rate is measured.',
    ),
    cfg.IntOpt(
        'max_redirects',
        default=5,
        min=0,
        help='Redirects that are followed, each after the checks of [import_filtering_opts]. A redirect '
        'from https to http is never followed.',
    ),
    cfg.IntOpt(
        'max_reconnects',
        default=10,
        min=0,
        help='How often one fetch is continued after its connection broke, if the source has a strong '
        'ETag or a Last-Modified date. Otherwise, or past this number, the step fails and may be retried '
        'from the beginning.',
    ),
    cfg.FloatOpt(
        'reconnect_delay',
        default=1,
        min=0,
        help='Seconds before the first reconnection; doubled for each further one without a byte between.',
    ),
    cfg.FloatOpt(
        'max_reconnect_delay',
        default=30,
        min=0,
        help='The longest delay between two reconnections, in seconds.',
    ),
    cfg.FloatOpt(
        'max_retry_after',
        default=120,
        min=0,
        help='A Retry-After header of a source is obeyed up to so many seconds.',
    ),
    cfg.IntOpt(
        'max_header_bytes',
        default=65536,
        min=1024,
        help='The most bytes that the headers of an answer may have.',
    ),
    cfg.ListOpt(
        'refused_content_types',
        default=['text/html'],
        help='Media types of answers that are not taken for an image. An expired link is often answered '
        'with 200 and a web page, which would pass as a raw image. Empty: any type is taken.',
    ),
    cfg.StrOpt(
        'ca_file',
        help='A file of certificate authorities in PEM format, used instead of those of the system to '
        'verify https sources.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Add the group to a ConfigOpts."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[cfg.Opt]]]:
    """For the sample configuration."""
    return [(GROUP, OPTS)]
