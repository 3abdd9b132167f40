"""Limits' values as an officer reads and writes them. For the hospital's own eyes."""

from __future__ import annotations

import json
import re
from typing import Any

from policies.validate import as_people_write

_FROM_TO = re.compile(r"(\S+) to (\S+)")


def told_limit(value: object) -> str:
    """A limit's value as a text: `0.00001`, `yes`, `0.01 to 10`."""
    return as_people_write(value)


def typed_limit(value: object) -> str:
    """A limit's value as `read_limit` takes it: as `told_limit` tells it, or as JSON where it is a list of names."""
    names = isinstance(value, list | tuple) and (not value or any(isinstance(one, str) for one in value))
    return json.dumps(value) if names else told_limit(value)


def read_limit(text: str) -> Any:
    """A limit's value as JSON has it, `true` or `[0.01, 10]`, or as `told_limit` tells it, `yes` or `0.01 to 10`.

    Raises:
        ValueError: It is neither, or no number that can be sent as JSON.
        RecursionError: It is nested too deeply.
    """
    words = text.strip()
    if words.lower() in ("yes", "no"):
        return words.lower() == "yes"
    if ends := _FROM_TO.fullmatch(words):
        return [read_limit(one) for one in ends.groups()]
    read = json.loads(text)
    json.dumps(read, allow_nan=False)  # JSON has no such number
    return read
