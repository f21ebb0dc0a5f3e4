"""imagepipe-manage db import-glance: the images of a Glance 33, taken over until it is switched off."""

import argparse
import json
from collections.abc import Mapping

from oslo_config import cfg

from imagepipe import errors
from imagepipe.cmd import commands, tables
from imagepipe.db.glance import GlanceDatabase
from imagepipe.domain.adoption import Outcome, Report
from imagepipe.operations import adoption
from imagepipe.secrets import GlanceLocations

#: What Glance's own configuration is read for.
_GLANCE = (
    ('database', cfg.StrOpt('connection', secret=True)),
    (None, cfg.StrOpt('metadata_encryption_key', secret=True)),
)
_BECOMES: Mapping[str, str] = {
    'saving': 'queued here: its data waits to be uploaded again',
    'uploading': "queued here: what was staged stays in Glance's staging area",
    'importing': 'queued here: a later run brings what the import made',
    'killed': 'as it is: it can only be deleted',
    'pending_delete': 'a deleted id here: let glance-scrubber remove its data',
}
#: Ids that are printed of those left alone.
_SHOWN = 20


def declare(parsers: commands.Parsers) -> None:
    """The command."""
    parser = commands.add(
        parsers, 'import-glance', run, 'take over what is new in the database of a Glance 33'
    )
    parser.add_argument(
        '--glance-config', action='append', required=True, metavar='FILE',
        help="Glance's configuration, which says where its database is, and its metadata_encryption_key; "
        'several are read in their order',
    )  # fmt: skip
    parser.add_argument(
        '--store', action='append', default=[], type=_mapping, metavar='GLANCE=OURS',
        help="Glance's store GLANCE is our store OURS; where a location has no store, GLANCE is its scheme",
    )  # fmt: skip
    parser.add_argument('--dry-run', action='store_true', help='say what would be done, and do nothing')
    commands.add_format(parser)


def run(conf: cfg.ConfigOpts) -> int:
    """Take over what changed; 1 when something of Glance cannot be read here afterwards."""
    asked = conf.command
    glance = _database(asked.glance_config)
    glance.check()
    with commands.services(conf) as parts:
        report = adoption.adopt(parts, glance, stores=dict(asked.store), dry_run=asked.dry_run)
    print(_as_json(report) if asked.format == 'json' else _as_text(report, dry_run=asked.dry_run))
    return 0 if report.complete else 1


def _database(files: list[str]) -> GlanceDatabase:
    conf = cfg.ConfigOpts()
    for group, option in _GLANCE:
        conf.register_opt(option, group=group)
    try:
        conf([], project='glance', default_config_files=files)
    except cfg.Error as error:
        raise errors.ConfigurationInvalid(reason=f'{", ".join(files)}: {error}') from error
    if not conf.database.connection:
        raise errors.ConfigurationInvalid(reason=f'{", ".join(files)}: [database] connection is not set')
    return GlanceDatabase(
        conf.database.connection, decrypt=GlanceLocations(conf.metadata_encryption_key).decrypt
    )


def _as_text(report: Report, *, dry_run: bool) -> str:
    parts = [
        tables.table([heading, 'NUMBER'], [[what.value, told[what]] for what in Outcome if told[what]])
        for heading, told in (('IMAGES', report.outcomes), ('NAMESPACES', report.namespaces))
        if told
    ] or ['Glance has no images and no metadata definitions.']
    if report.statuses:
        told = [[status, number, _BECOMES[status]] for status, number in sorted(report.statuses.items())]
        parts.append(tables.table(['STATUS IN GLANCE', 'NUMBER', 'WHAT BECOMES OF IT'], told))
    if report.stores:
        told = [[store, number] for store, number in sorted(report.stores.items())]
        parts.append(tables.table(['STORE THAT IS NOT CONFIGURED HERE', 'LOCATIONS'], told))
    if report.left:
        left = sorted(report.left.items())
        parts.append(tables.table(['LEFT ALONE', 'WHY'], [[each, why.value] for each, why in left[:_SHOWN]]))
        if len(left) > _SHOWN:
            parts.append(f'There are {len(left) - _SHOWN} more of these: --format json lists them all.')
    if dry_run:
        parts.append('Nothing was changed: this was a dry run.')
    return '\n\n'.join(parts)


def _as_json(report: Report) -> str:
    told = {
        'images': {what.value: number for what, number in report.outcomes.items()},
        'namespaces': {what.value: number for what, number in report.namespaces.items()},
        'statuses': dict(report.statuses),
        'unknown_stores': dict(report.stores),
        'left_alone': {image_id: why.value for image_id, why in report.left.items()},
    }
    return json.dumps(told, indent=2)


def _mapping(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.partition('=')
    if not (theirs and equals and ours):
        raise argparse.ArgumentTypeError(f'{text} is not GLANCE=OURS')
    return theirs, ours
