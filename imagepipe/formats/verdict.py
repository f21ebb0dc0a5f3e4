"""What inspection found out about some bytes: plain values, kept in records as JSON."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """One failed safety check. `reason` is a sentence that a tenant may read."""

    check: str
    reason: str
    format: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the whole stream turned out to be; judge() decides whether that is allowed.

    `formats` holds every format that was recognised ('raw' only when none was);
    `format` is the one that counts, None when several claim the bytes.
    `virtual_size` and `size` are bytes; `size` is what passed through.
    `subformat` is the create type of a VMDK, lower case.
    """

    format: str | None
    formats: tuple[str, ...]
    compression: str | None
    virtual_size: int | None
    findings: tuple[Finding, ...]
    size: int = 0
    subformat: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON for a record; from_json() reads it."""
        plain = dataclasses.asdict(self)
        plain['formats'] = list(self.formats)
        plain['findings'] = [dataclasses.asdict(finding) for finding in self.findings]
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> 'Verdict':
        """The verdict that as_json() wrote; keys of a later release are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = {name: value for name, value in plain.items() if name in known}
        values['formats'] = tuple(values['formats'])
        values['findings'] = tuple(Finding(**finding) for finding in values['findings'])
        return cls(**values)
