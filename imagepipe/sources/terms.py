"""How a source is fetched that is more than a URL that somebody typed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What holds for the origin of a URL, and ends with the first redirect to another one.

    headers: asked for before each request, so that a token may be a fresh one. trusted: the URL is the
    operator's word, and [import_filtering_opts] does not hold for it. unchanging: the data under the
    URL is always the same and will be checked as a whole, so it is continued without a validator.
    """

    headers: Callable[[], Mapping[str, str]] = _no_headers
    trusted: bool = False
    unchanging: bool = False


#: Of a URL that a user gave.
STRANGER = Terms()
