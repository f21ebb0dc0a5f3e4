"""What lists of metadata definitions ask for (reference, sections 15.3 and 15.4)."""

import dataclasses
from collections.abc import Mapping

from imagepipe import errors
from imagepipe.domain import listing
from imagepipe.domain.metadefs import NamespaceVisibility

NAMESPACE_SORT_KEYS = (
    'created_at',
    'updated_at',
    'namespace',
    'display_name',
    'description',
    'visibility',
    'protected',
    'owner',
)
TAG_SORT_KEYS = ('created_at', 'updated_at', 'name')
#: Glance sorts by a number that nobody sees, and that grows with time.
_ALIASES = {'id': 'created_at'}
VISIBILITIES = tuple(visibility.value for visibility in NamespaceVisibility)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """How many, behind which name, in which order; limit None is everything."""

    limit: int | None
    marker: str | None = None
    sort_key: str = 'created_at'
    descending: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamespaceQuery:
    """A page of namespaces; resource_types: associated with any of them."""

    page: Page
    visibility: str | None = None
    resource_types: tuple[str, ...] | None = None


def namespaces(parameters: Mapping[str, str], *, default_limit: int, max_limit: int) -> NamespaceQuery:
    """The query that these parameters mean; others are ignored. Raises InvalidQuery."""
    _check_choice(parameters, 'visibility', VISIBILITIES)
    limit = listing.limit_of(parameters.get('limit'), default=default_limit, largest=max_limit)
    types = _text(parameters, 'resource_types')
    return NamespaceQuery(
        page=_page(parameters, NAMESPACE_SORT_KEYS, limit),
        visibility=parameters.get('visibility'),
        resource_types=None if types is None else tuple(types.split(',')),
    )


def tags(parameters: Mapping[str, str], *, max_limit: int) -> Page:
    """The page that these parameters mean: all tags, unless they say otherwise. Raises InvalidQuery."""
    _check_choice(parameters, 'visibility', (*VISIBILITIES, 'shared'))
    text = parameters.get('limit')
    limit = None if text is None else listing.limit_of(text, default=max_limit, largest=max_limit)
    return _page(parameters, TAG_SORT_KEYS, limit)


def check_objects(parameters: Mapping[str, str]) -> None:
    """Objects are always listed whole; what cannot be meant is refused all the same. Raises InvalidQuery."""
    _check_choice(parameters, 'visibility', (*VISIBILITIES, 'shared'))
    _check_choice(parameters, 'sort_dir', listing.SORT_DIRS)
    if listing.limit_of(parameters.get('limit'), default=1, largest=1) == 0:
        raise errors.InvalidQuery(name='limit', reason='it must be an integer of 1 or more')


def _page(parameters: Mapping[str, str], sort_keys: tuple[str, ...], limit: int | None) -> Page:
    _check_choice(parameters, 'sort_key', (*sort_keys, *_ALIASES))
    _check_choice(parameters, 'sort_dir', listing.SORT_DIRS)
    sort_key = parameters.get('sort_key', 'created_at')
    return Page(
        limit=limit,
        marker=_text(parameters, 'marker') or None,
        sort_key=_ALIASES.get(sort_key, sort_key),
        descending=parameters.get('sort_dir', 'desc') == 'desc',
    )


def _text(parameters: Mapping[str, str], name: str) -> str | None:
    text = parameters.get(name)
    if text is not None and '\0' in text:
        raise errors.InvalidQuery(name=name, reason='it has a NUL')
    return text


def _check_choice(parameters: Mapping[str, str], name: str, choices: tuple[str, ...]) -> None:
    if parameters.get(name, choices[0]) not in choices:
        raise errors.InvalidQuery(name=name, reason=f'it must be one of {", ".join(choices)}')
