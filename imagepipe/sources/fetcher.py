"""The one way out: every URL that a tenant names is fetched here.

For each hop the host is resolved, refused or permitted by address, and the
connection made to the very address that was checked; TLS and the Host header
use the name. A redirect starts from the beginning (OSSA-2026-004).
"""

import functools
import logging
import socket
import ssl
from collections.abc import Callable, Mapping

from imagepipe import errors
from imagepipe.sources import answers, urls
from imagepipe.sources.answers import Answer
from imagepipe.sources.download import Download
from imagepipe.sources.limits import Limits
from imagepipe.sources.pace import HeadGuard
from imagepipe.sources.reasons import Reason
from imagepipe.sources.resolving import Resolver, permitted_addresses
from imagepipe.sources.rules import UrlRules
from imagepipe.sources.terms import STRANGER, Terms
from imagepipe.sources.urls import SourceUrl
from imagepipe.sources.watch import Watch
from imagepipe.sources.wire import Wire, dial

LOG = logging.getLogger(__name__)


class Fetcher:
    """Fetches by HTTP and HTTPS; one for a process, used by any number of threads.

    Knows no proxies of the environment, no netrc, no cookies.
    """

    def __init__(self, *, rules: UrlRules, limits: Limits, resolver: Resolver = socket.getaddrinfo) -> None:
        self._rules = rules
        self._limits = limits
        self._resolver = resolver
        self._tls = _tls_context(limits.ca_file)

    @staticmethod
    def shown(url: str) -> str:
        """The URL without user name, query and fragment, for records and logs."""
        return urls.shown(url)

    def check(self, url: str) -> None:
        """Whether the URL would be fetched now; raises SourceInvalid or SourceRefused.

        Resolves the host and connects to nothing. A name that does not
        resolve is refused in the words of a name that must not be fetched.
        """
        parsed = urls.parse(url)
        watch = Watch(cancelled=lambda: False, total=self._limits.connect_timeout + 1)
        try:
            self._addresses(parsed, watch)
        except errors.SourceUnavailable:
            raise errors.SourceRefused(host=parsed.typed_host) from None

    def open(
        self,
        url: str,
        *,
        offset: int = 0,
        validator: str | None = None,
        cancelled: Callable[[], bool],
        limit: int | None = None,
        terms: Terms = STRANGER,
    ) -> Download:
        """Ask for the data from `offset` on; one attempt, the download itself reconnects.

        An offset needs the `validator` of the Download that read the bytes
        before it, or data that `terms` say is unchanging: SourceChanged says
        to start from zero. `terms` hold for the origin of `url` only. An
        announced length over `limit` is refused with
        SizeCapExceeded; counting what comes is the pump's. `cancelled` is
        asked at least every 0.2 s while nothing comes. SourceUnavailable has
        the fact `retry_after` (seconds or None) if the server answered.
        """
        if offset and validator is None and not terms.unchanging:
            raise errors.SourceChanged()
        start = urls.parse(url)
        watch = Watch(cancelled=cancelled, total=self._limits.total_timeout)

        def ask(position: int, condition: str | None) -> Answer:
            conditions = _range_headers(position, condition)
            return self._follow(start, conditions, terms, watch)

        download = Download(
            ask,
            watch=watch,
            limits=self._limits,
            offset=offset,
            validator=validator,
            unchanging=terms.unchanging,
        )
        if _media_type(download.content_type) in self._limits.refused_content_types:
            download.close()
            raise errors.SourceUnusable(reason=Reason.WRONG_TYPE)
        if limit is not None and download.total is not None and download.total > limit:
            download.close()
            raise errors.SizeCapExceeded(limit=limit)
        return download

    def _follow(self, start: SourceUrl, conditions: Mapping[str, str], terms: Terms, watch: Watch) -> Answer:
        """The answer at the end of the redirects, each of them checked like the first URL of a stranger."""
        url = start
        for _hop in range(self._limits.max_redirects + 1):
            answer = self._exchange(start, url, {**conditions, **terms.headers()}, terms, watch)
            if answer.status not in answers.REDIRECTS:
                return self._kept(answer)
            answer.close()
            target = _redirected(start, url, answer)
            if target.origin != url.origin:
                terms = STRANGER
            url = target
        raise errors.TooManyRedirects(limit=self._limits.max_redirects)

    def _kept(self, answer: Answer) -> Answer:
        """The answer, unless its status is a failure."""
        try:
            answers.refuse_failure(answer, most_wait=self._limits.max_retry_after)
        except errors.ImagepipeError:
            answer.close()
            raise
        return answer

    def _exchange(
        self, start: SourceUrl, url: SourceUrl, headers: Mapping[str, str], terms: Terms, watch: Watch
    ) -> Answer:
        watch.check()
        try:
            permitted = self._addresses(url, watch, terms)
        except errors.SourceRefused:
            raise _refused(start, url) from None
        connection = dial(permitted, url, tls=self._tls, limits=self._limits, watch=watch)
        guard = HeadGuard(most_bytes=self._limits.max_header_bytes, seconds=self._limits.read_timeout)
        wire = Wire(connection, watch=watch, seconds=self._limits.read_timeout, guard=guard)
        return answers.ask(wire, url, headers, self._limits)

    def _addresses(self, url: SourceUrl, watch: Watch, terms: Terms = STRANGER) -> list[urls.Address]:
        rules = UrlRules.only(url.host) if terms.trusted else self._rules
        rules.check(url)
        return permitted_addresses(
            url,
            rules=rules,
            resolver=self._resolver,
            watch=watch,
            seconds=self._limits.connect_timeout,
        )


@functools.cache  # of one bundle of certificates there is one context: reading the system's takes 30 ms
def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError:
        raise errors.ConfigurationInvalid(
            reason='[web_download] ca_file cannot be read as a bundle of certificates.'
        ) from None
    context.set_alpn_protocols(['http/1.1'])
    return context


def _range_headers(offset: int, validator: str | None) -> dict[str, str]:
    if not offset:
        return {}
    condition = {} if validator is None else {'If-Range': validator}
    return {'Range': f'bytes={offset}-', **condition}


def _redirected(start: SourceUrl, url: SourceUrl, answer: Answer) -> SourceUrl:
    """Where a redirect leads; a place that must not be fetched is SourceRefused for the first host."""
    location = answer.headers.get('Location')
    if not location:
        raise errors.SourceUnusable(reason=Reason.NO_LOCATION)
    try:
        target = urls.join(url, location.encode('latin-1').decode('utf-8'))
    except (ValueError, errors.SourceInvalid, errors.SourceRefused):
        raise _refused(start, None) from None
    if url.secure and not target.secure:
        raise _refused(start, target)
    return target


def _refused(start: SourceUrl, url: SourceUrl | None) -> errors.SourceRefused:
    """One sentence for every refusal; only the log tells which hop it was."""
    if url is not start:
        hop = urls.shown(url.text) if url else urls.UNREADABLE
        LOG.info('A redirect from %s to %s was refused', urls.shown(start.text), hop)
    return errors.SourceRefused(host=start.typed_host)


def _media_type(content_type: str | None) -> str:
    return (content_type or '').partition(';')[0].strip().lower()
