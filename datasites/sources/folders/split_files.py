"""Parts of one data set whose files lie together: only their names tell those to measure models on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from datasites.sources.folders.splits import are_parts, is_part
from policies.errors import DataError

_FIRST = re.compile(r"[^\W\d_]+(?=[-_. \d])")
_LAST = re.compile(r"(?<=[-_. \d])[^\W\d_]+(?=\.\w+$)")


def refuse_split_files(places: Iterable[str], split: str) -> None:
    """Refuses pictures of which each file's name begins or ends with a part of a data set, `train_1.png` beside
    `test_1.png`, where some are to be trained on and others not.

    Args:
        places: Of the files, with '/' between folders; looked at until one is called otherwise.
        split: `all` says that all parts are to be trained on.

    Raises:
        DataError: They are such.
    """
    if split == "all":
        return
    parts: set[str] = set()
    for place in places:
        if not (part := _part_of(place.rpartition("/")[2])):
            return
        parts.add(part)
    if are_parts(parts):
        raise DataError(
            f"The files' names begin or end with {', '.join(sorted(parts))}, as those of parts of one data set do, and "
            "all of them would be trained on together. Take those to train on alone, and keep the others to measure "
            "models on (--test). If all are to be trained on, set split to 'all' in [dataset]."
        )


def _part_of(name: str) -> str:
    words = (found[0] for found in (_FIRST.match(name), _LAST.search(name)) if found)
    return next(filter(None, map(_part, words)), "")


@lru_cache(maxsize=4096)
def _part(word: str) -> str:
    return word.lower() if is_part(word) else ""
