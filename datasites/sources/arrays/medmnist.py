"""MedMNIST by name: public pictures for a trial, from the place and with the digest that their makers publish.

What is fetched is public; nothing of the hospital goes out but that its machine asked for the file.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from datasites.sources.dataset_settings import NAMED
from policies.errors import ConfigError, DataError

ADDRESS = "https://zenodo.org/records/10519652/files/{name}.npz?download=1"
_SECONDS = 60.0
_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)


@dataclass(frozen=True)
class _Known:
    """A data set of MedMNIST v2, of 28 pixels a side.

    Attributes:
        md5: Of its file, as it is published: against damage on the way, not against a forger.
        class_names: In label order, shortened where researchers could not be shown them.
    """

    md5: str
    class_names: tuple[str, ...]


def _known(md5: str, *names: str) -> _Known:
    return _Known(md5, names)


KNOWN = {
    "pathmnist": _known(
        "a8b06965200029087d5bd730944a56c1",
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    ),
    "chestmnist": _known(
        "02c8a6516a18b556561a56cbdd36c4a8",
        "atelectasis",
        "cardiomegaly",
        "effusion",
        "infiltration",
        "mass",
        "nodule",
        "pneumonia",
        "pneumothorax",
        "consolidation",
        "edema",
        "emphysema",
        "fibrosis",
        "pleural",
        "hernia",
    ),
    "dermamnist": _known(
        "0744692d530f8e62ec473284d019b0c7",
        "actinic keratoses and intraepithelial carcinoma",
        "basal cell carcinoma",
        "benign keratosis-like lesions",
        "dermatofibroma",
        "melanoma",
        "melanocytic nevi",
        "vascular lesions",
    ),
    "octmnist": _known(
        "c68d92d5b585d8d81f7112f81e2d0842", "choroidal neovascularization", "diabetic macular edema", "drusen", "normal"
    ),
    "pneumoniamnist": _known("28209eda62fecd6e6a2d98b1501bb15f", "normal", "pneumonia"),
    "retinamnist": _known("bd4c0672f1bba3e3a89f0e4e876791e4", "0", "1", "2", "3", "4"),
    "breastmnist": _known("750601b1f35ba3300ea97c75c52ff8f6", "malignant", "normal, benign"),
    "bloodmnist": _known(
        "7053d0359d879ad8a5505303e11de1dc",
        "basophil",
        "eosinophil",
        "erythroblast",
        "immature granulocytes",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "platelet",
    ),
    "tissuemnist": _known(
        "ebe78ee8b05294063de985d821c1c34b",
        "Collecting Duct, Connecting Tubule",
        "Distal Convoluted Tubule",
        "Glomerular endothelial cells",
        "Interstitial endothelial cells",
        "Leukocytes",
        "Podocytes",
        "Proximal Tubule Segments",
        "Thick Ascending Limb",
    ),
    "organamnist": _known("68e3f8846a6bd62f0c9bf841c0d9eacc", *_ORGANS),
    "organcmnist": _known("b9ceb9546e10131b32923c5bbeaea2b1", *_ORGANS),
    "organsmnist": _known("9ab87b696fb54e2a387ebe992d6ed5f1", *_ORGANS),
}


def class_names(data_path: str) -> tuple[str, ...]:
    """The classes of the data set that a data path names.

    Raises:
        ConfigError: There is no such one.
    """
    return KNOWN[_name(data_path)].class_names


def fetched(data_path: str) -> Path:
    """The file of a data set, where the package medmnist keeps it too; fetched if it is not there.

    Raises:
        ConfigError: There is no such data set.
        DataError: It cannot be fetched, or what is there is not what was published.
    """
    name = _name(data_path)
    file = Path.home() / ".medmnist" / f"{name}.npz"
    if file.is_file():
        _check(file, name)
        return file
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(exist_ok=True)
        with aside.open("xb") as stream:
            _fetch(ADDRESS.format(name=name), stream)
        _check(aside, name)
        aside.replace(file)
    except (OSError, httpx.HTTPError) as error:
        raise DataError(
            f"{name} cannot be fetched from {ADDRESS.format(name=name)}. Without a network, copy the file to {file}.",
            private=f"{type(error).__name__}: {error}",
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return file


def _fetch(address: str, stream: BinaryIO) -> None:
    with httpx.stream("GET", address, timeout=_SECONDS, follow_redirects=True) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            stream.write(part)


def _name(data_path: str) -> str:
    name = data_path.removeprefix(NAMED)
    if name not in KNOWN:
        raise ConfigError(f"No data set {name!r} is known by name; {NAMED} takes {', '.join(KNOWN)}.")
    return name


def _check(file: Path, name: str) -> None:
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != KNOWN[name].md5:
        raise DataError(
            f"The file of {name} is not the one that was published: its MD5 is {found}. Remove it and fetch it again.",
            private=str(file),
        )
