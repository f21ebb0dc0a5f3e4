"""The names of an import's steps, in order: they are persisted and shown, so they never change."""

from collections.abc import Callable, Mapping

from imagepipe.domain.import_ import AS_SOURCE, Plan

DESCRIBE = 'describe'
STAGE = 'stage'
INTROSPECT = 'introspect'
DECOMPRESS = 'decompress'
ACTIVATE = 'activate'
NOTIFY = 'notify'
DISCARD = 'discard'
CHECK = 'check'
HASH = 'hash'


def convert(disk_format: str) -> str:
    """The step that makes the image in another format."""
    return f'convert:{disk_format}'


def verify(disk_format: str) -> str:
    """The step that looks at what will be stored in this format."""
    return f'verify:{disk_format}'


def store(store_id: str) -> str:
    """The step that writes to one store."""
    return f'store:{store_id}'


def copy(store_id: str) -> str:
    """The step that copies to one store."""
    return f'copy:{store_id}'


def names(plan: Plan, flow: int) -> tuple[str, ...]:
    """Every step that an import with this plan goes through, in the order of their start."""
    return _NAMES[flow](plan)


def _of_import(plan: Plan) -> tuple[str, ...]:
    before = [DESCRIBE] if plan.disk_format == AS_SOURCE else []
    before += [STAGE, INTROSPECT] + ([DECOMPRESS] if plan.decompress else [])
    formats = dict.fromkeys(target.disk_format for target in plan.targets)
    for disk_format in formats:
        if disk_format != plan.disk_format:
            before.append(convert(disk_format))
        before.append(verify(disk_format))
    stores = [store(target.store) for target in plan.targets]
    return (*before, *stores, ACTIVATE, NOTIFY, DISCARD)


def _of_copy(plan: Plan) -> tuple[str, ...]:
    return (*(copy(target.store) for target in plan.targets), ACTIVATE, NOTIFY)


def _of_location(plan: Plan) -> tuple[str, ...]:
    if not plan.secure_hash:
        return (CHECK, ACTIVATE, NOTIFY)
    # Nobody waits for a digest that nothing is held against.
    return (CHECK, HASH, ACTIVATE, NOTIFY) if plan.compares else (CHECK, ACTIVATE, NOTIFY, HASH)


#: By the number of the flow (import_.FLOWS).
_NAMES: Mapping[int, Callable[[Plan], tuple[str, ...]]] = {
    1: _of_import,
    2: _of_copy,
    3: _of_location,
    4: _of_import,
    5: _of_import,
    6: _of_import,
}
