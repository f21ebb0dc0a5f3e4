"""imagepipe-manage images: those that were deleted with a delay, and the way back for them."""

import datetime
import json
from collections.abc import Mapping

from oslo_config import cfg

from imagepipe.cmd import commands, tables
from imagepipe.domain.event import timestamp
from imagepipe.domain.pending_delete import PendingDelete
from imagepipe.operations import pending_deletes

_HEADERS = ('ID', 'NAME', 'OWNER', 'SIZE', 'DELETED', 'KEPT UNTIL')


def declare(nouns: commands.Parsers) -> None:
    """The commands of deleted images."""
    parsers = commands.noun(nouns, 'images', 'deleted images')
    command = commands.add(parsers, 'pending', show_pending, 'list deleted images that can be restored')
    commands.add_limit(command)
    commands.add_format(command)
    command = commands.add(parsers, 'restore', restore, 'give a deleted image back to its users')
    command.add_argument('image_id', metavar='ID')


def show_pending(conf: cfg.ConfigOpts) -> int:
    """Print the images that wait for their scrubbing, the first to go first."""
    kept = datetime.timedelta(seconds=conf.scrub_time)
    with commands.services(conf) as parts:
        found = [_shown(each, kept) for each in pending_deletes.search(parts, limit=conf.command.limit)]
    if conf.command.format == 'json':
        print(json.dumps({'images': found}, indent=2, ensure_ascii=False))
    elif not found:
        print('No image waits to be scrubbed.')
    else:
        print(tables.table(_HEADERS, [_row(each) for each in found]))
    return 0


def restore(conf: cfg.ConfigOpts) -> int:
    """Give an image back to its users. Raises ImageNotFound, ImageNotRestorable."""
    with commands.services(conf) as parts:
        image = pending_deletes.restore(parts, conf.command.image_id)
    print(f'Image {image.id} is {image.status.value} again.')
    return 0


def _shown(found: PendingDelete, kept: datetime.timedelta) -> dict[str, object]:
    return {
        'id': found.image.id,
        'name': found.image.name,
        'owner': found.image.owner,
        'size': found.image.size,
        'status': found.status.value,
        'deleted_at': timestamp(found.deleted_at),
        'kept_until': timestamp(found.deleted_at + kept),
    }


def _row(image: Mapping[str, object]) -> tuple[object, ...]:
    size = tables.size(image['size'])
    return (image['id'], image['name'], image['owner'], size, image['deleted_at'], image['kept_until'])
