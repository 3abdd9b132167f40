"""Classes that a table's column seems to hold and seldom means: several findings in one, numbers that are no classes.

All of them would be public, and a model would learn them. A hospital that means them lists them in class_names.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from policies.errors import DataError

_BETWEEN = "|;"  # no single class has these in its name
_PERHAPS_BETWEEN = ",/+&"  # some have these
_LIST = re.compile(r"\[.*\]|\{.*\}|\(.*,.*\)|b'.*'|b\".*\"", re.DOTALL)
_NUMBER = re.compile(
    r"-\s*\d+(?:[.,]\d+)?|[+-]?\d*[.,]\d*[1-9]\d*|[+-]?\d+(?:[.,]\d+)?e[+-]?\d+|[+-]?inf", re.IGNORECASE
)
_SPACES = re.compile(r"[\s_-]+")
_NONE = frozenset(
    (
        *("nofinding", "nofindings", "none", "nil", "negative", "normal", "healthy", "unremarkable", "nopathology"),
        *("noabnormality", "keine", "keinbefund", "keinebefunde", "unauffällig", "gesund", "o.b.", "sinhallazgos"),
        *("aucune", "r.a.s.", "0", "正常", "无", "未见异常", "无异常"),
    )
)


def separator_in(names: Collection[str]) -> str:
    """What stands between several findings in some of the cells; empty where each seems to be one.

    Args:
        names: The different cells of a column.
    """
    for between in _BETWEEN:
        if any(between in name.strip(between) for name in names):
            return between
    for between in _PERHAPS_BETWEEN:
        for name in names:
            parts = [part.strip() for part in name.split(between)]
            if len(parts) > 1 and all(part in names for part in parts):
                return between
    return ""


def says_that_there_is_none(name: str) -> bool:
    """Whether a finding is called as pictures without any finding are."""
    return _SPACES.sub("", name).casefold() in _NONE


def refuse_unlikely_classes(names: Collection[str], *, multi: bool) -> None:
    """Refuses what nobody declared and hardly anybody means as classes or findings.

    Args:
        names: As they would be published.
        multi: Whether a picture may have several of them.

    Raises:
        DataError: With an example in private.
    """
    if listed := sorted(name for name in names if _LIST.fullmatch(name)):
        raise DataError(
            "Labels are lists or bytes as a program writes them. Write them as texts, as a column of 0 and 1 for each "
            "finding, or as findings with one character between them and set label_separator; or list them in "
            "class_names if each is a class.",
            private=f"For instance {listed[0]!r}.",
        )
    if between := separator_in(names):
        several = sorted(name for name in names if between in name)
        raise DataError(
            "Labels seem to be several findings in one cell. Set label_kind to 'multi', and label_separator to what "
            "stands between them; or list them in class_names if each is a class.",
            private=f"For instance {several[0]!r}, with {between!r} between them.",
        )
    if numbers := sorted(name for name in names if _NUMBER.fullmatch(name)):
        raise DataError(
            "Labels are numbers below 0 or with a fraction, as scores, measures and marks of what nobody knows are. "
            "Name a column of classes, or make classes of the numbers; or list them in class_names if each is a class.",
            private=f"For instance {numbers[0]!r}.",
        )
    if multi and (nothing := sorted(filter(says_that_there_is_none, names))):
        raise DataError(
            "One of the findings is called as pictures without any are. Set no_finding to what stands there; or list "
            "all findings in class_names if it is one of them.",
            private=f"It is {nothing[0]!r}.",
        )
