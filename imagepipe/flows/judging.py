"""What an import makes of the inspector's verdict: the rules, with this cloud's reliefs."""

import dataclasses
from collections.abc import Mapping

from imagepipe.domain.import_ import Plan
from imagepipe.formats import rules
from imagepipe.formats.verdict import Verdict


class Judge:
    """Judges recorded verdicts; a resource of the steps."""

    def __init__(self, reliefs: rules.Rules) -> None:
        self._reliefs = reliefs

    def verdict(self, recorded: Mapping[str, object]) -> Verdict:
        """The verdict as a value."""
        return Verdict.from_json(recorded)

    def __call__(
        self,
        recorded: Mapping[str, object],
        plan: Plan,
        *,
        disk_format: str | None = None,
        container_format: str | None = None,
    ) -> int | None:
        """The virtual size in bytes, where it is known.

        Raises FormatMismatch, FormatAmbiguous, FormatUnsafe, VirtualSizeExceeded.
        """
        return rules.judge(
            self.verdict(recorded),
            disk_format=disk_format or plan.disk_format,
            container_format=container_format or plan.container_format,
            rules=dataclasses.replace(self._reliefs, max_virtual_size=plan.max_virtual_size or 0),
        )
