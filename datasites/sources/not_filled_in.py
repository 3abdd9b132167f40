"""Words for an empty cell: what stands in a table or a header where nobody filled it in is no class and no patient."""

from __future__ import annotations

_WORDS = frozenset(
    {
        "nan",
        "n/a",
        "n.a.",
        "<na>",
        "null",
        "?",
        ".",
        "#n/a",
        "#nv",
        "#value!",
        "#wert!",
        "#ref!",
        "#bezug!",
        "#name?",
        "#div/0!",
    }
)
"""Of programs: some write them for an empty cell, some for a sum that could not be done."""
_NO_LABEL = _WORDS | {"na", "nat"}  # of a patient these may be a code or initials
_NOBODY = _WORDS | frozenset(
    {"none", "unknown", "unbekannt", "anonymous", "anonym", "anonymized", "anonymised", "-", "未知", "不详", "匿名"}
)


def is_not_filled_in(label: str) -> bool:
    """Whether a label's cell says that it says nothing."""
    return label.strip().casefold() in _NO_LABEL


def is_nobody(patient: str) -> bool:
    """Whether a patient's identifier is none, so that pictures of several patients would be one's."""
    return patient.strip().casefold() in _NOBODY
