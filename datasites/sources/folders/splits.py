"""Parts of one data set, told by their names: pictures to measure models on are neither a hospital's nor a class.

Whoever takes `train` and `test` for two hospitals trains on what models are to be measured on, and nobody sees it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal

from datasites.sources.folders.part_words import (
    FOLD,
    MAY_BE_FINDINGS,
    SAYS_NOTHING,
    SHORT_WORD,
    TO_TRAIN_ON,
    WORD,
    one_form,
)
from policies.errors import DataError

_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_SIGN = re.compile(r"^\(?[-+\u2212\u2013]|[-+\u2212\u2013]\)?$")  # of what a test found, beside its word


def parts_among(names: Collection[str]) -> dict[str, str]:
    """Names that differ in nothing but the part that they are of one data set, each with the word that says which.

    `train` and `test` are such names, `training_set` and `test_set`, `seg_train` and `seg_test`, `01_train` and
    `02_test`, `tr` and `te`, `train80` and `test20`, whose numbers are shares of the whole; `site_1_train` and
    `site_2_train` are not, and neither are `TR` and `TS` beside other names.

    Args:
        names: Of folders that lie beside each other.
    """
    alike: dict[str, dict[str, str]] = defaultdict(dict)
    shares = _shares(names)
    for name in sorted(names):
        if (told := shares.get(name) or _part_and_rest(name)) is not None:
            alike[told[1]][name] = told[0]
    several = [
        found for found in alike.values() if _are_several({word.lower() for word in found.values()}, found, names)
    ]
    return {name: word for found in several for name, word in found.items()}


def _are_several(words: Collection[str], found: Collection[str], names: Collection[str]) -> bool:
    if MAY_BE_FINDINGS.issuperset(words):
        return len(words) > 1 and (len(found) == len(names) or all(map(_part_and_rest, names)))
    return len(words) > 1


def is_part(name: str) -> bool:
    """Whether a name says nothing but which part of a data set it is, such as `train` or `Test Set`."""
    told = _part_and_rest(name)
    return told is not None and not told[1] and not SHORT_WORD.fullmatch(told[0])


def are_parts(names: Collection[str]) -> bool:
    """Whether names say nothing but parts of one data set, one to train on and one not, such as `train` and `test`."""
    shares = _shares(names)
    told = [shares.get(name) or _part_and_rest(name) for name in names]
    words = [one[0].lower() for one in told if one is not None and not one[1]]
    to_train = {bool(TO_TRAIN_ON.match(word)) for word in words}
    return len(words) == len(names) and len(to_train) == 2 and not MAY_BE_FINDINGS.issuperset(words)


def to_train_on(parts: Sequence[str]) -> str:
    """Of parts of one data set the one to train on, else the first."""
    return next((one for one in parts if _is_to_train_on(one)), parts[0])


def _is_to_train_on(name: str) -> bool:
    told = _part_and_rest(name)
    return told is not None and bool(TO_TRAIN_ON.match(told[0]))


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
    if folds := folds_among(names):
        raise DataError(
            f"The folders {', '.join(folds)} look like parts of one data set for cross-validation, not like hospitals. "
            "Give one folder of classes, and keep a part to measure models on elsewhere (--test). If each is to be a "
            "made-up hospital, describe them in a hospitals.toml, each with its own name."
        )
    if part := part_beside(names):
        raise DataError(
            f"The name {part} is that of a part of a data set, and it would be a hospital beside others: what models "
            "are to be measured on would be trained on. Move it elsewhere, to measure models on it (--test). If it is "
            "a hospital's, rename it, or describe each hospital in a hospitals.toml, with its name as site.",
        )


def refuse_part_classes(names: Collection[str]) -> None:
    """Refuses parts of a data set as classes that nobody declared, also one alone beside classes.

    Raises:
        DataError: Two or more of the names are such parts', or one says nothing but the part that it is.
    """
    refuse_splits(names)
    if folds := folds_among(names):
        raise DataError(
            f"The folders {', '.join(folds)} look like parts of one data set for cross-validation, not like classes. "
            'Say what the levels of folders are in folder_levels, such as ["class", "other"]. If they are classes, '
            "declare class_names in [dataset]."
        )
    if part := part_beside(names):
        raise DataError(
            f"The name {part} is that of a part of a data set, and it would be a class beside others. Move it "
            "elsewhere, to measure models on it (--test). If it is a class, declare class_names in [dataset]."
        )


def refuse_split_levels(
    paths: Iterable[Sequence[str]], levels: Sequence[str], split: str, *, of_table: bool = False
) -> None:
    """Refuses parts of a data set at a level of folders that says neither a hospital nor a class.

    Args:
        paths: The folders of each picture, from the outermost.
        levels: What they stand for; deeper ones stand for nothing.
        split: `all` says that all parts are to be trained on.
        of_table: Whether a table names the pictures.

    Raises:
        DataError: Folders of such a level are parts, or one that is not to be trained on lies beside others. What else
            stands in their names is private.
    """
    if split == "all":
        return
    by_place: dict[int, set[str]] = defaultdict(set)
    for folders in set(map(tuple, paths)):
        for place, name in enumerate((*folders, "")):  # where others have a folder more
            if place >= len(levels) or levels[place] not in ("site", "class"):
                by_place[place].add(name)
    for names in by_place.values():
        parts = parts_among(names)
        if not parts and (part := part_beside(names)) and not _is_to_train_on(part):
            parts = {part: part}
        if parts:
            words = ", ".join(dict.fromkeys(parts.values()))
            raise DataError(
                f"The table names pictures in the folders {words}, which look like parts of one data set, and all of "
                "them would be taken together with the others. Give a table of one part alone: one to train on, and "
                "another to measure models on (--test). If all are to be trained on, set split to 'all' in [dataset]."
                if of_table
                else f"The folders {words} look like parts of one data set, and all of them would be trained on "
                "together with the others. Move the part to train on into a folder of its own, PART/CLASS/picture, and "
                "give its path; keep what is to measure models on elsewhere (--test). If all are to be trained on, set "
                "split to 'all' in [dataset].",
                private=f"Folders: {', '.join(parts)}",
            )


def folds_among(names: Collection[str]) -> list[str]:
    """Of several names those that say nothing but which part for cross-validation a folder is, such as `fold_1`."""
    found = sorted(filter(FOLD.fullmatch, names))
    return found if len(found) > 1 else []


def part_beside(names: Collection[str]) -> str:
    """Of several names one that says nothing but which part of a data set it is; empty if none does."""
    contrary = any(name.lower() == "invalid" for name in names)  # valid and invalid are no parts
    parts = (name for name in sorted(names) if is_part(name) and not (contrary and name.lower() == "valid"))
    return next(parts, "") if len(names) > 1 else ""


def _shares(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """As `_part_and_rest`, of names with one number each, the share of the part: 100 together, or 1 as 0.8 and 0.2 are.

    `train1` and `test2` are no such names.
    """
    of_rest: dict[tuple[str, bool], dict[str, tuple[str, Decimal]]] = defaultdict(dict)
    for name in sorted(names):
        numbers = _NUMBER.findall(name)
        told = _part_and_rest(_NUMBER.sub(" ", name)) if len(numbers) == 1 and numbers[0].isascii() else None
        if told is not None:
            share = Decimal(numbers[0].replace(",", "."))
            of_rest[told[1], not numbers[0].isdigit()][name] = (told[0], share)
    return {
        name: (word, rest)
        for (rest, fractions), found in of_rest.items()
        if len(found) > 1
        and len({word.lower() for word, _ in found.values()}) == len(found)
        and sum(share for _, share in found.values()) == (1 if fractions else 100)
        for name, (word, _) in found.items()
    }


def _part_and_rest(name: str) -> tuple[str, str] | None:
    """(the word in a name that says which part it is, what else the name says); None where there is no such word."""
    spaced = _INNER_CAPITAL.sub("_", one_form(name))
    found = WORD.search(spaced) or SHORT_WORD.search(spaced)
    if found is None:
        return None
    rest = f"{spaced[: found.start()]}_{spaced[found.end() :]}".lower()
    words = [word for word in re.split(r"[\W_]+", rest) if word and not SAYS_NOTHING.fullmatch(word)]
    words += _SIGN.findall(spaced.strip())
    return spaced[found.start() : found.end()], "_".join(words)
