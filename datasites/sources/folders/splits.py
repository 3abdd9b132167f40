"""Parts of one data set, told by their names: pictures to measure models on are neither a hospital's nor a class.

Whoever takes `train` and `test` for two hospitals trains on what models are to be measured on, and nobody sees it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

from policies.errors import DataError

_OF_SETS = r"(?:data|images?|imgs?|pictures?|pics?)?(?:sets?|split)?"
_PART = re.compile(
    r"(?<![^\W\d_])(train|training|val|valid|validation|validierung|dev|test|testing|hold[-_ ]?out|eval|evaluation)"
    rf"(?={_OF_SETS}(?![^\W\d_]))"
    r"|(训练|验证|测试|訓練|驗證|測試)",
    re.IGNORECASE,
)
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SAYS_NOTHING = re.compile(rf"(?:{_OF_SETS}|folder|part)|集|数据集?|圖片|图片|圖像|图像|資料集?")


def parts_among(names: Collection[str]) -> dict[str, str]:
    """Names that differ in nothing but the part that they are of one data set, each with the word that says which.

    `train` and `test` are such names, `training_set` and `test_set`, `seg_train` and `seg_test`; `site_1_train` and
    `site_2_train` are not.

    Args:
        names: Of folders that lie beside each other.
    """
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    for name in sorted(names):
        if (told := _part_and_rest(name)) is not None:
            alike[told[1]][name] = told[0]
    several = [found for found in alike.values() if len({word.lower() for word in found.values()}) > 1]
    return {name: word for found in several for name, word in found.items()}


def is_part(name: str) -> bool:
    """Whether a name says nothing but which part of a data set it is, such as `train` or `Test Set`."""
    told = _part_and_rest(name)
    return told is not None and not told[1]


def to_train_on(parts: Sequence[str]) -> str:
    """Of parts of one data set the one to train on, else the first."""
    return next((one for one in parts if re.search("train|训练|訓練", one.lower())), parts[0])


def refuse_splits(names: Collection[str]) -> None:
    """Refuses parts of a data set, of which some are to measure models on, as hospitals or classes.

    Raises:
        DataError: Two or more of the names are such parts'. What else stands in them is private.
    """
    if parts := parts_among(names):
        raise DataError(
            f"The folders {', '.join(dict.fromkeys(parts.values()))} look like parts of one data set, not like "
            "hospitals or classes. Give the path of the one to train on, and keep the others to measure models on "
            "(--test).",
            private=f"Folders: {', '.join(parts)}",
        )


def _part_and_rest(name: str) -> tuple[str, str] | None:
    """(the word in a name that says which part it is, what else the name says); None where there is no such word."""
    spaced = _INNER_CAPITAL.sub("_", name)
    if (found := _PART.search(spaced)) is None:
        return None
    rest = f"{spaced[: found.start()]}_{spaced[found.end() :]}".lower()
    words = [word for word in re.split(r"[\W_]+", rest) if word and not _SAYS_NOTHING.fullmatch(word)]
    return spaced[found.start() : found.end()], "_".join(words)
