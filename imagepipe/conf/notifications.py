"""Notifications: Glance's options, and [notifications] for the sender."""

from oslo_config import cfg

DEFAULT_OPTS = [
    cfg.StrOpt(
        'default_publisher_id',
        default='image.localhost',
        help='Publisher id of every notification.',
    ),
    cfg.ListOpt(
        'disabled_notifications',
        default=[],
        help='Event types that are not sent: an exact name, or the part before the first dot ("image", '
        '"task").',
    ),
]

GROUP = cfg.OptGroup('notifications', title='Sending notifications')

OPTS = [
    cfg.FloatOpt(
        'interval',
        default=0.5,
        min=0.02,
        max=60.0,
        help='Seconds between two looks for notifications to send.',
    ),
    cfg.FloatOpt(
        'timeout',
        default=10.0,
        min=0.5,
        help='Seconds a broker has to take one notification. Then it is tried again later. Only the thread '
        'that sends notifications waits for it.',
    ),
    cfg.FloatOpt(
        'retry_wait',
        default=2.0,
        min=0.05,
        help='Seconds before a notification that the broker did not take is tried again; doubled each '
        'time, up to five minutes. A broker that takes none is asked at least each 15 seconds, and gets all '
        'of them at once when it is back.',
    ),
    cfg.IntOpt(
        'keep',
        default=86400,
        min=0,
        help='Seconds a sent notification is kept in the database.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Register both groups."""
    conf.register_opts(DEFAULT_OPTS)
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup | str, list[cfg.Opt]]]:
    """For the sample generator."""
    return [('DEFAULT', DEFAULT_OPTS), (GROUP, OPTS)]
