"""The keys under which secrets are stored."""

from collections.abc import Sequence

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'secrets',
    title='Encryption of stored secrets',
    help='A source URL may hold a signature or a token in its query, so it is stored encrypted.',
)

OPTS = [
    cfg.StrOpt(
        'key_file',
        help='A file with one Fernet key per line, the same on every host; empty lines and lines that '
        'begin with # are skipped. The first key encrypts, all of them decrypt. To rotate: add a new key '
        'as the last line on every host and restart the services, then move it to the first line on every '
        'host and restart them again; remove the old key when no import from before the move can be '
        'retried any more. An import whose key was removed too early fails with '
        'imagepipe.secret.unreadable. The file must not be readable by other users.',
    ),
    cfg.IntOpt(
        'keep_sources',
        default=604800,
        min=0,
        help='Seconds for which the URL of an import that failed or was cancelled is kept, encrypted, so '
        'that the import can be retried. It is erased earlier when the image is deleted or gets its data '
        'in another way, and at once when an import succeeds. After it a retry is answered with 409.',
    ),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Add the group to a ConfigOpts."""
    conf.register_group(GROUP)
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[cfg.OptGroup, Sequence[cfg.Opt]]]:
    """For the sample configuration."""
    return [(GROUP, OPTS)]
