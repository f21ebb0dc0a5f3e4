"""Whether two answers are parts of the same data (RFC 9110, sections 8.8, 13.1.5 and 14.4)."""

import email.utils
import re
from dataclasses import dataclass
from datetime import datetime
from email.message import Message

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r'bytes (?:([0-9]{1,19})-([0-9]{1,19})|\*)/([0-9]{1,19}|\*)')
_PRINTABLE = re.compile(r'[\x20-\x7e]{1,256}')


@dataclass(frozen=True)
class ContentRange:
    """The Content-Range of an answer; first and last are None in a 416, total where it is `*`."""

    first: int | None
    last: int | None
    total: int | None

    @property
    def length(self) -> int | None:
        return None if self.first is None or self.last is None else self.last - self.first + 1


def strong_validator(headers: Message) -> str | None:
    """What may stand in If-Range: a strong ETag, else a Last-Modified that is strong, else nothing.

    None too when the server says that it serves no ranges.
    """
    if headers.get('Accept-Ranges', '').strip().lower() == 'none':
        return None
    etag = headers.get('ETag', '').strip()
    if etag:
        return etag if _STRONG_ETAG.fullmatch(etag) else None
    modified = headers.get('Last-Modified', '').strip()
    return modified if _is_strong_date(modified, headers.get('Date', '')) else None


def still_valid(validator: str, headers: Message) -> bool:
    """Whether an answer's own validators, as far as it has any, agree with the one known."""
    name = 'ETag' if validator.startswith('"') else 'Last-Modified'
    return headers.get(name, validator).strip() == validator


def content_range(headers: Message) -> ContentRange | None:
    """The one range of the answer; None if there is none or it makes no sense."""
    match = _CONTENT_RANGE.fullmatch(headers.get('Content-Range', '').strip())
    if match is None:
        return None
    first, last, total = (None if part in (None, '*') else int(part) for part in match.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        return None
    return ContentRange(first, last, total)


def _is_strong_date(modified: str, date: str) -> bool:
    """A date with seconds is strong only if the data was older than that when it was sent."""
    changed, sent = _moment(modified), _moment(date)
    return changed is not None and sent is not None and (sent - changed).total_seconds() >= 1


def _moment(text: str) -> datetime | None:
    if not _PRINTABLE.fullmatch(text) or not text.endswith('GMT'):
        return None
    try:
        return email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
