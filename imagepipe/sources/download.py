"""The bytes behind a URL, as one stream, over as many connections as it takes."""

import logging
from collections.abc import Callable

from imagepipe import errors
from imagepipe.sources import answers, validators
from imagepipe.sources.answers import Answer
from imagepipe.sources.limits import Limits
from imagepipe.sources.reasons import Reason
from imagepipe.sources.watch import Watch

LOG = logging.getLogger(__name__)

#: What read(-1) asks for at a time, in bytes.
PIECE = 1 << 20

#: Ask the URL from an offset on, on condition of a validator; follows redirects, checks everything.
Ask = Callable[[int, str | None], Answer]

#: Failures of a connection; what is not among them a new connection does not help.
_CONNECTION = (errors.SourceUnavailable, errors.SourceStalled, errors.SourceTruncated)


class Download:
    """A Reader that continues on a new connection where the old one broke.

    It continues only under a strong validator, or what is `unchanging`, so it
    never joins two versions of the data, and only `max_reconnects` times. `offset` is the position of
    the next byte in the whole, `total` the whole's length if known.
    Raises SourceNotFound, SourceUnavailable, SourceUnusable, SourceTruncated,
    SourceStalled, SourceTimeout, SourceChanged, SourceRefused, ImportCancelled.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        watch: Watch,
        limits: Limits,
        offset: int,
        validator: str | None,
        unchanging: bool = False,
    ) -> None:
        self.offset = offset
        self.validator = validator
        self.total: int | None = None
        self.content_type: str | None = None
        self._ask = ask
        self._watch = watch
        self._limits = limits
        self._unchanging = unchanging
        self._reconnects = 0
        self._fruitless = 0
        self._ended = False  # the data ended where it should
        self._closed = False  # by the reader, or by a failure
        self._answer: Answer | None = None
        try:
            self._connect()
        except errors.SourceUnavailable as error:
            if error.facts['reason'] is not Reason.NO_RESUME:
                raise
            raise errors.SourceChanged() from None  # whoever has the beginning must read it again

    @property
    def resumable(self) -> bool:
        """Whether another download may go on from any offset, with this one's validator."""
        return self._unchanging or self.validator is not None

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes unless the data ends; all of the rest for -1.

        After a failure or close() it raises ValueError, so that no part of the
        data is ever taken for the whole.
        """
        if size is None or size < 0:
            return b''.join(iter(lambda: self.read(PIECE), b''))
        if self._closed:
            raise ValueError('the download has failed or was closed')
        self._watch.check()
        pieces: list[bytes] = []
        missing = size
        while missing and not self._ended:
            piece = self._next(missing)
            pieces.append(piece)
            missing -= len(piece)
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def close(self) -> None:
        self._closed = True
        self._hang_up()

    def _next(self, size: int) -> bytes:
        done = False
        try:
            piece = self._take_or_continue(size)
            done = True
            return piece
        finally:
            if not done:
                self.close()

    def _take_or_continue(self, size: int) -> bytes:
        while True:
            try:
                return self._take(size)
            except _CONNECTION as error:
                self._hang_up()
                self._reconnect(error)

    def _take(self, size: int) -> bytes:
        if self.total is not None:
            size = min(size, self.total - self.offset)
        piece = self._answer.read1(size) if self._answer and size else b''
        self.offset += len(piece)
        if piece:
            self._fruitless = 0
        elif self.total is not None and self.offset < self.total:
            raise errors.SourceTruncated(found=self.offset, expected=self.total)
        else:
            self._ended = True
            self._hang_up()
        return piece

    def _reconnect(self, error: errors.ImagepipeError) -> None:
        """Continue on a new connection, or raise the failure that was the last."""
        while True:
            if not self._may_continue(error):
                raise error
            LOG.info('A download broke at byte %d (%s) and is continued', self.offset, error)
            self._watch.pause(self._delay(error))
            self._reconnects += 1
            self._fruitless += 1
            try:
                self._connect()
                return
            except _CONNECTION as failure:
                error = failure

    def _may_continue(self, error: errors.ImagepipeError) -> bool:
        if error.facts.get('reason') in (Reason.TOO_SLOW, Reason.NO_RESUME):
            return False
        return self.resumable and self._reconnects < self._limits.max_reconnects

    def _delay(self, error: errors.ImagepipeError) -> float:
        """Doubling from `reconnect_delay`; longer if the server asks for it, within bounds."""
        limits = self._limits
        delay = min(limits.reconnect_delay * 2 ** min(self._fruitless, 16), limits.max_reconnect_delay)
        return max(delay, error.facts.get('retry_after') or 0.0)

    def _connect(self) -> None:
        answer = self._ask(self.offset, self.validator)
        done = False
        try:
            if answer.status in (200, 206):
                answers.refuse_encoding(answer)
            if self.offset:
                self._continue(answer)
            else:
                self._begin(answer)
            self._answer = answer
            done = True
        finally:
            if not done:
                answer.close()

    def _begin(self, answer: Answer) -> None:
        """An answer to a request for everything."""
        if answer.status == 206:
            raise errors.SourceUnusable(reason=Reason.PARTIAL)
        if answer.status != 200:
            raise errors.SourceNotFound(status=answer.status)
        again = self._reconnects > 0
        if again and not self._is_same(answer, answer.length):
            raise errors.SourceChanged()
        self.total = answer.length
        self.validator = validators.strong_validator(answer.headers)
        self.content_type = answer.headers.get_content_type() if 'Content-Type' in answer.headers else None

    def _continue(self, answer: Answer) -> None:
        """An answer to a request for the data from `offset` on."""
        part = validators.content_range(answer.headers)
        if answer.status == 416 and part and part.first is None and part.total == self.offset:
            self.total = self.offset  # the end was all that was missing
            return
        if answer.status == 200 and self._is_same(answer, answer.length):
            raise errors.SourceUnavailable(reason=Reason.NO_RESUME)
        if answer.status != 206 or part is None or part.first != self.offset:
            raise errors.SourceChanged()
        if answer.length not in (None, part.length) or not self._is_same(answer, part.total):
            raise errors.SourceChanged()
        self.total = part.total if part.total is not None else self.total

    def _is_same(self, answer: Answer, total: int | None) -> bool:
        if None not in (total, self.total) and total != self.total:
            return False
        if self._unchanging:
            return True
        return self.validator is not None and validators.still_valid(self.validator, answer.headers)

    def _hang_up(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None
