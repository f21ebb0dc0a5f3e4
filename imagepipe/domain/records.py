"""Records that a newer release may have written: what this one does not know of them is left out."""

import dataclasses
from collections.abc import Mapping


def known(cls: type, value: Mapping[str, object]) -> dict[str, object]:
    """Those of the fields that this dataclass has."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: item for name, item in value.items() if name in names}
