"""JSON columns: strict both ways, so that what one database takes every database takes."""

import json


def dump(value: object) -> str:
    """JSON text; ValueError for NaN, TypeError for what JSON does not have."""
    return json.dumps(value, allow_nan=False, separators=(',', ':'), sort_keys=True)


def dump_in_order(value: object) -> str:
    """JSON text with the names of objects in the order that they have."""
    return json.dumps(value, allow_nan=False, separators=(',', ':'))


def load(text: str | None, default: object = None) -> object:
    """The value of a JSON column; `default` where it is null."""
    return default if text is None else json.loads(text)
