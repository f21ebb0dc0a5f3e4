"""How long, how slowly and how often a source may answer."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Field names are option names of [web_download]; times in seconds."""

    connect_timeout: float = 10
    read_timeout: float = 60
    total_timeout: float = 43200
    #: Bytes a second, over each window of waiting; 0 is no lower bound.
    min_rate: int = 16384
    min_rate_window: float = 60
    max_redirects: int = 5
    max_reconnects: int = 10
    reconnect_delay: float = 1
    max_reconnect_delay: float = 30
    max_retry_after: float = 120
    max_header_bytes: int = 65536
    #: Media types that are never an image: an expired link is often answered with 200 and a page.
    refused_content_types: Collection[str] = ('text/html',)
    #: A bundle of certificate authorities instead of the system's.
    ca_file: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'refused_content_types', tuple(self.refused_content_types))
