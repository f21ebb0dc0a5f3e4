"""Whether a store can be used, as the hosts that look at it have found."""

import dataclasses
import datetime
import enum
from collections.abc import Sequence


class StoreState(enum.StrEnum):
    """What those who looked lately say together. partial: it cannot be used on some hosts only."""

    UP = 'up'
    PARTIAL = 'partial'
    DOWN = 'down'
    FULL = 'full'
    #: Nobody has looked lately.
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreCheck:
    """What a host has found of a store. code, message: why it cannot be used, None where it can.

    full: that is because it has no room. since: when it began to be so, naive UTC.
    """

    host: str
    store: str
    code: str | None
    message: str | None
    full: bool
    since: datetime.datetime


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreHealth:
    """The state of a store; where something is wrong, what, since when, and on which hosts."""

    state: StoreState
    code: str | None = None
    message: str | None = None
    since: datetime.datetime | None = None
    hosts: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether its data can be read, as far as anybody knows: a full store still gives what it has."""
        return self.state not in (StoreState.DOWN, StoreState.PARTIAL)


def health(checks: Sequence[StoreCheck]) -> StoreHealth:
    """What the checks of one store say together: they are those of one host each."""
    wrong = sorted((check for check in checks if check.code is not None), key=lambda check: check.since)
    if not wrong:
        return StoreHealth(state=StoreState.UP if checks else StoreState.UNKNOWN)
    down = [check for check in wrong if not check.full]
    told = down or wrong
    state = StoreState.FULL
    if down:
        state = StoreState.DOWN if len(down) == len(checks) else StoreState.PARTIAL
    return StoreHealth(
        state=state,
        code=told[0].code,
        message=told[0].message,
        since=told[0].since,
        hosts=tuple(sorted(check.host for check in told)),
    )
