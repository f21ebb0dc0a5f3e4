"""The names of an import's steps, in order: they are persisted and shown, so they never change."""

from imagepipe.domain.import_ import Plan

STAGE = 'stage'
INTROSPECT = 'introspect'
DECOMPRESS = 'decompress'
ACTIVATE = 'activate'
NOTIFY = 'notify'
DISCARD = 'discard'


def convert(disk_format: str) -> str:
    """The step that makes the image in another format."""
    return f'convert:{disk_format}'


def verify(disk_format: str) -> str:
    """The step that looks at what will be stored in this format."""
    return f'verify:{disk_format}'


def store(store_id: str) -> str:
    """The step that writes to one store."""
    return f'store:{store_id}'


def names(plan: Plan) -> tuple[str, ...]:
    """Every step that an import with this plan goes through, in the order of their start."""
    before = [STAGE, INTROSPECT] + ([DECOMPRESS] if plan.decompress else [])
    formats = dict.fromkeys(target.disk_format for target in plan.targets)
    for disk_format in formats:
        if disk_format != plan.disk_format:
            before.append(convert(disk_format))
        before.append(verify(disk_format))
    stores = [store(target.store) for target in plan.targets]
    return (*before, *stores, ACTIVATE, NOTIFY, DISCARD)
