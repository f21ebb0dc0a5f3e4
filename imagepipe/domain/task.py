"""Tasks of Glance's deprecated API, as views of imports: what may be asked for, and how they are listed.

Reference, section 13.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from imagepipe import errors
from imagepipe.domain import listing
from imagepipe.domain.import_ import Import, ImportState, Method

IMPORT, API_IMAGE_IMPORT, LOCATION_IMPORT = 'import', 'api_image_import', 'location_import'
TYPES = (IMPORT, API_IMAGE_IMPORT, LOCATION_IMPORT)

#: The status of Glance's task that stands for an import.
STATUS: Mapping[ImportState, str] = {
    ImportState.ACCEPTED: 'pending',
    ImportState.RUNNING: 'processing',
    ImportState.COMMITTED: 'processing',
    ImportState.REVERTING: 'processing',
    ImportState.SUCCEEDED: 'success',
    ImportState.FAILED: 'failure',
    ImportState.CANCELLED: 'failure',
}
STATUSES = tuple(dict.fromkeys(STATUS.values()))
SORT_KEYS = ('id', 'type', 'status', 'owner', 'created_at', 'updated_at')
#: What an image is that the task says nothing of.
_UNSAID = {'disk_format': 'qcow2', 'container_format': 'bare'}


def type_of(record: Import) -> str:
    """The type of the task that this import is."""
    if record.task_input is not None:
        return IMPORT
    return LOCATION_IMPORT if record.method == Method.LOCATION_IMPORT else API_IMAGE_IMPORT


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """A POST of a task of type import: a new image with these properties, its data from a URL."""

    import_from: str
    import_from_format: str
    image_properties: Mapping[str, object]

    @classmethod
    def parse(cls, body: Mapping[str, object]) -> 'TaskRequest':
        """The request in a JSON body that fits its schema. Raises TaskTypeRefused."""
        if body['type'] != IMPORT:
            raise errors.TaskTypeRefused(type=body['type'])
        given = body['input']
        return cls(
            import_from=given['import_from'],
            import_from_format=given['import_from_format'],
            image_properties=given['image_properties'] or _UNSAID,
        )

    def recorded(self) -> dict[str, object]:
        """The input as it is kept and shown, less the URL."""
        return {
            'import_from_format': self.import_from_format,
            'image_properties': dict(self.image_properties),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskQuery:
    """One page of tasks, after the one that `marker` names."""

    limit: int
    marker: str | None = None
    status: str | None = None
    type: str | None = None
    owner: str | None = None
    sort_key: str = 'created_at'
    descending: bool = True

    @classmethod
    def parse(cls, pairs: Iterable[tuple[str, str]], *, default_limit: int, max_limit: int) -> 'TaskQuery':
        """The query that these parameters mean; unknown ones mean nothing. Raises InvalidQuery."""
        single = dict(pairs)
        for name in ('owner', 'marker'):
            if '\0' in single.get(name, ''):
                raise errors.InvalidQuery(name=name, reason='it has a NUL')
        return cls(
            limit=listing.limit_of(single.get('limit'), default=default_limit, largest=max_limit),
            marker=single.get('marker'),
            status=_chosen(single, 'status', STATUSES),
            type=_chosen(single, 'type', TYPES),
            owner=single.get('owner'),
            sort_key=_chosen(single, 'sort_key', SORT_KEYS) or 'created_at',
            descending=_chosen(single, 'sort_dir', listing.SORT_DIRS) != 'asc',
        )


def _chosen(single: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = single.get(name)
    if value is not None and value not in allowed:
        raise errors.InvalidQuery(name=name, reason=f'it must be one of {", ".join(allowed)}')
    return value
