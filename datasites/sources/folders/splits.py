"""Parts of one data set, told by their names: pictures to measure models on are neither a hospital's nor a class.

Whoever takes `train` and `test` for two hospitals trains on what models are to be measured on, and nobody sees it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from policies.errors import DataError

_OF_SETS = r"(?:(?:data|images?|imgs?|pictures?|pics?)?(?:sets?|split)?|s?(?:daten(?:satz)?|bilder))"
_WORDS = (
    "train|training|val|valid|validation|validierung|dev|test|testing|h[oe]ld[-_ ]?out|eval|evaluation|"
    "apprentissage|entra[iî]nement|évaluation|tests|"
    "entrenamiento|pruebas?|validaci[oó]n|evaluaci[oó]n|"
    "treinamento|treino|testes?|valida[cç][aã]o|avalia[cç][aã]o|"
    "addestramento|prova|validazione|valutazione"
)
_PART = re.compile(
    rf"(?<![^\W\d_])({_WORDS})"
    rf"(?={_OF_SETS}(?![^\W\d_]))"
    r"|(训练|验证|测试|訓練|驗證|測試)",
    re.IGNORECASE,
)
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SAYS_NOTHING = re.compile(
    rf"(?:{_OF_SETS}|folder|part)|集|数据集?|圖片|图片|圖像|图像|資料集?|"
    "ensemble|jeu|données|donnees|conjunto|datos|dados|insieme|dati|imágenes|imagens|immagini|de|d|di|da"
)
_TO_TRAIN_ON = re.compile("train|训练|訓練|apprentissage|entraîn|entren|trein|addestr")


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


def are_parts(names: Collection[str]) -> bool:
    """Whether names say nothing but parts of one data set, one to train on and one not, such as `train` and `test`."""
    to_train = {bool(_TO_TRAIN_ON.search(_one_form(name).lower())) for name in names}
    return len(to_train) == 2 and all(map(is_part, names))


def to_train_on(parts: Sequence[str]) -> str:
    """Of parts of one data set the one to train on, else the first."""
    return next((one for one in parts if _TO_TRAIN_ON.search(_one_form(one).lower())), parts[0])


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


def refuse_part_hospitals(names: Collection[str]) -> None:
    """Refuses parts of a data set as hospitals, also one alone beside hospitals.

    Raises:
        DataError: Two or more of the names are such parts', or one says nothing but the part that it is.
    """
    refuse_splits(names)
    if part := part_beside(names):
        raise DataError(
            f"The name {part} is that of a part of a data set, and it would be a hospital beside others: what models "
            "are to be measured on would be trained on. Move it elsewhere, to measure models on it (--test). If it is "
            "a hospital's, rename it, or describe each hospital in a hospitals.toml, with its name as site.",
        )


def refuse_split_levels(paths: Iterable[Sequence[str]], levels: Sequence[str], split: str) -> None:
    """Refuses parts of a data set at a level of folders that says neither a hospital nor a class.

    Args:
        paths: The folders of each picture, from the outermost.
        levels: What they stand for; deeper ones stand for nothing.
        split: `all` says that all parts are to be trained on.

    Raises:
        DataError: Folders of such a level are parts. What else stands in their names is private.
    """
    if split == "all":
        return
    by_place: dict[int, set[str]] = defaultdict(set)
    for folders in set(map(tuple, paths)):
        for place, name in enumerate(folders):
            if place >= len(levels) or levels[place] not in ("site", "class"):
                by_place[place].add(name)
    for names in by_place.values():
        if parts := parts_among(names):
            raise DataError(
                f"The folders {', '.join(dict.fromkeys(parts.values()))} look like parts of one data set, and all of "
                "them would be trained on. Move the part to train on into a folder of its own, PART/CLASS/picture, and "
                "give its path; keep the others to measure models on (--test). If all are to be trained on, set split "
                "to 'all' in [dataset].",
                private=f"Folders: {', '.join(parts)}",
            )


def part_beside(names: Collection[str]) -> str:
    """Of several hospitals' names one that says nothing but which part of a data set it is; empty if none does."""
    return next((name for name in sorted(names) if is_part(name)), "") if len(names) > 1 else ""


def _one_form(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _part_and_rest(name: str) -> tuple[str, str] | None:
    """(the word in a name that says which part it is, what else the name says); None where there is no such word."""
    spaced = _INNER_CAPITAL.sub("_", _one_form(name))
    if (found := _PART.search(spaced)) is None:
        return None
    rest = f"{spaced[: found.start()]}_{spaced[found.end() :]}".lower()
    words = [word for word in re.split(r"[\W_]+", rest) if word and not _SAYS_NOTHING.fullmatch(word)]
    return spaced[found.start() : found.end()], "_".join(words)
