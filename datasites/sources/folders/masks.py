"""Masks beside the pictures that they outline something in: black and white drawings, and no pictures of a class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from datasites.sources.folders.levels import one_form
from policies.errors import DataError

_MASK = re.compile(
    r"(.+?)[-_. ]+(?:mask|masks|seg|segmentation|gt|ground[-_ ]?truth|annotation)(?:[-_. ]?\(?\d+\)?)?", re.IGNORECASE
)
_OF_MASKS = re.compile(
    r"(?:masks?|segmentations?|ground[-_ ]?truths?|annotations?|gts?|labels?|segmentation(?:class|object)|masken?|"
    r"segmentierung(?:en)?|masques?|m[aá]scaras?|maschere?|маск[аи]|разметка|掩膜|掩码|遮罩|标注|标签|分割|マスク|마스크)",
    re.IGNORECASE,
)
_OF_PICTURES = re.compile(
    r"(?:images?|imgs?|pictures?|pics?|originals?|scans?|frames?|jpegimages|bild(?:er)?|im[aá]gene?s|imagens|immagini|"
    r"изображени[ея]|снимки|图像|图片|原图|画像|이미지)",
    re.IGNORECASE,
)


def refuse_masks(files: Iterable[str]) -> None:
    """Refuses pictures that are called after another one of their folder and a word for a mask.

    Args:
        files: Where the pictures are, with '/' between folders.

    Raises:
        DataError: One is. Which is private.
    """
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    for inside in files:
        path = PurePosixPath(inside)
        by_folder[str(path.parent)][path.stem] = inside
    for names in by_folder.values():
        masks = [name for name in names if (told := _MASK.fullmatch(name)) and told[1] in names]
        if masks:
            raise DataError(
                "Pictures are called like masks of others beside them, and each would be a picture of its class. Move "
                "the masks out of the class folders.",
                private=f"For instance: {names[min(masks)]}",
            )


def refuse_folder_of_masks(classes: Collection[str]) -> None:
    """Refuses a folder of masks beside one of pictures as two classes.

    Raises:
        DataError: These are the names of two class folders.
    """
    if _are_masks_and_pictures(classes):
        raise DataError(
            "A folder of masks lies beside one of pictures, and each would be a class. Give the folder whose folders "
            "are the classes, or a table of labels; masks are not read. If they are classes, list them in class_names."
        )


def refuse_masks_as_hospitals(sites: Collection[str]) -> None:
    """Refuses a folder of masks beside one of pictures as two hospitals.

    Raises:
        DataError: These are the names of two folders that would be hospitals.
    """
    if _are_masks_and_pictures(sites):
        raise DataError(
            "A folder of masks lies beside one of pictures, and each would be a hospital. Give the path of the folder "
            "of pictures; masks are not read. If they are hospitals, describe each in hospitals.toml."
        )


def _are_masks_and_pictures(names: Collection[str]) -> bool:
    plain = list(map(one_form, names))
    return any(map(_OF_MASKS.fullmatch, plain)) and any(map(_OF_PICTURES.fullmatch, plain))
