"""Limits' values as an officer reads and writes them. For the hospital's own eyes."""

from __future__ import annotations

import json
import re
from typing import Any

from policies.plans.model_spec import MODEL_SOURCES
from policies.validate import as_people_write

_FROM_TO = re.compile(r"(\S+) to (\S+)")


def told_limit(value: object) -> str:
    """A limit's value as a text: `0.00001`, `yes`, `0.01 to 10`, `built_in, graph`."""
    return as_people_write(value)


def read_limit(text: str) -> Any:
    """A limit's value as `told_limit` tells it, `yes`, `0.01 to 10` or `built_in, graph`, or as JSON has it.

    Raises:
        ValueError: It is neither, or no number that can be sent as JSON.
        RecursionError: It is nested too deeply.
    """
    words = text.strip()
    if words.lower() in ("yes", "no"):
        return words.lower() == "yes"
    if words == told_limit([]):
        return []
    if ends := _FROM_TO.fullmatch(words):
        return [read_limit(one) for one in ends.groups()]
    names = [one.strip() for one in words.split(",")]
    if all(one in MODEL_SOURCES for one in names):
        return names
    read = json.loads(text)
    json.dumps(read, allow_nan=False)  # JSON has no such number
    return read
