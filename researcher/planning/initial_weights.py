"""Public pretrained weights as a study's first global model. They come from outside and go to every hospital.

A source is a file, or the name of weights that timm or torchvision publish, which are downloaded:

    weights.safetensors                          arrays as this platform, timm or torchvision name them
    timm:resnet50_gn.a1h_in1k                    from the Hugging Face hub
    torchvision:ResNet18_Weights.IMAGENET1K_V1   from the project's server
    timm:resnet50_gn.a1h_in1k=model.safetensors  the same weights in a file that is already here

Whatever the source, the SHA-256 of the file must be the one stated, before anything in it is read. A name tells
besides how pictures were normalised; a file alone is taken to be made for pictures as this platform makes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from policies.errors import ConfigError
from policies.plans.training import ModelSpec
from researcher import atomic_file

if TYPE_CHECKING:
    from datasites.training.models.public.pretrained import Normalisation

RECORD_FILE = "initial_weights.json"
LIBRARIES = ("timm", "torchvision")
_EXAMPLES = ("resnet50_gn.a1h_in1k", "ResNet18_Weights.IMAGENET1K_V1")
_HUB_FILE = "model.safetensors"

Download = Callable[["Source"], Path]


@dataclass(frozen=True)
class Source:
    """Where public weights are.

    Attributes:
        library: `timm`, `torchvision`, or empty for a file alone.
        name: As the library names them; empty for a file alone.
        file: The file, if it is already here.
    """

    library: str = ""
    name: str = ""
    file: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Source:
        """Reads `FILE`, `LIBRARY:NAME` or `LIBRARY:NAME=FILE`.

        Raises:
            ConfigError: Empty, or a library without a name.
        """
        library, colon, rest = text.partition(":")
        if not colon or library not in LIBRARIES:
            if not text:
                raise ConfigError("The source of the initial weights is empty: give a file or LIBRARY:NAME.")
            return cls(file=Path(text))
        name, _, file = rest.partition("=")
        if not name:
            raise ConfigError(f"{text!r} names no weights. Give {library}:NAME as {library} names them.")
        return cls(library, name, Path(file) if file else None)

    def get(self, download: Download | None = None) -> Path:
        """The file, after `download` got it if it is not here; from the library's own server if None.

        Raises:
            ConfigError: It cannot be had.
        """
        return self.file or (download or download_weights)(self)


@dataclass(frozen=True)
class InitialWeights:
    """What a study starts from, and where that came from.

    Attributes:
        weights: float32 by name, exactly the model's parameters.
        source: As it was given.
        sha256: Of the file, in hexadecimal.
        changed: Parameter → how its public values were changed to fit.
        not_loaded: Parameter that starts at random → why.
        not_used: Arrays of the file that have no place in the model.
    """

    weights: Mapping[str, np.ndarray] = field(repr=False)
    source: str
    sha256: str
    changed: Mapping[str, str]
    not_loaded: Mapping[str, str]
    not_used: tuple[str, ...]

    def save_record(self, folder: Path | str) -> Path:
        """Writes what is known of the weights, but not they themselves, into the study's folder.

        Raises:
            ConfigError: The folder cannot be written.
        """
        values = {name: value for name, value in vars(self).items() if name != "weights"}
        values["loaded"] = len(self.weights) - len(self.not_loaded)
        return atomic_file.write(Path(folder) / RECORD_FILE, json.dumps(values, indent=2) + "\n")


def load_initial_weights(
    spec: ModelSpec, source: str, *, sha256: str, seed: int = 0, download: Download | None = None
) -> InitialWeights:
    """Returns the first global model of a study from public weights.

    Args:
        spec: The plan's model.
        source: A file, `LIBRARY:NAME`, or `LIBRARY:NAME=FILE`.
        sha256: Of the file, 64 hexadecimal digits, from whoever published it.
        seed: Of what starts at random: a head for other classes.
        download: Gets a named source's file; from the library's own server if None.

    Raises:
        ConfigError: The source is unknown, cannot be had or read, or has another digest.
        PlanError: The model does not exist.
        InputRefused: The weights are of another model.
    """
    from datasites.training.models.public.pretrained import fit_weights
    from datasites.training.models.public.public_weights import read_public_weights

    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ConfigError(
            f"The SHA-256 of the initial weights must be 64 digits of 0-9 and a-f, got {sha256[:80]!r}. State the one "
            "that the weights were published with; `sha256sum FILE` computes a file's."
        )
    wanted = Source.parse(source)
    normalisation = _normalisation(wanted)
    arrays = read_public_weights(wanted.get(download), sha256=sha256)
    fitted = fit_weights(spec, arrays, seed=seed, normalisation=normalisation)
    return InitialWeights(fitted.weights, source, sha256, fitted.changed, fitted.not_loaded, fitted.not_used)


def download_weights(source: Source) -> Path:
    """Gets the file of named weights, from the hub (timm) or the project's server, into the library's own cache.

    Raises:
        ConfigError: It cannot be had.
    """
    try:
        return _from_hub(source.name) if source.library == "timm" else _from_url(source.name)
    except OSError as error:
        raise ConfigError(
            f"{source.library}:{source.name} could not be downloaded. Where there is no network, bring the file and "
            f"give {source.library}:{source.name}=FILE."
        ) from error


def _from_hub(name: str) -> Path:
    import huggingface_hub
    import timm

    about: Any = timm.get_pretrained_cfg(name)
    return Path(huggingface_hub.hf_hub_download(about.hf_hub_id, _HUB_FILE))


def _from_url(name: str) -> Path:
    import torch
    import torchvision

    url = torchvision.models.get_weight(name).url
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), progress=False)
    return file


def _normalisation(source: Source) -> Normalisation | None:
    """How pictures were normalised for named weights.

    Raises:
        ConfigError: The library knows no weights of that name.
    """
    from datasites.training.models.public.pretrained import Normalisation

    if source.library == "timm":
        import timm

        try:
            about: Any = timm.get_pretrained_cfg(source.name, allow_unregistered=False)
        except RuntimeError as error:
            raise ConfigError(f"timm knows no weights {source.name!r}. Give MODEL.TAG, as {_EXAMPLES[0]}.") from error
        if not about.hf_hub_id:
            raise ConfigError(f"timm publishes no weights {source.name!r}. Give MODEL.TAG, as {_EXAMPLES[0]}.")
        return Normalisation(tuple(about.mean), tuple(about.std))
    if source.library == "torchvision":
        import torchvision

        try:
            transforms = torchvision.models.get_weight(source.name).transforms()
        except (ValueError, LookupError) as error:
            raise ConfigError(
                f"torchvision knows no weights {source.name!r}. Give MODEL_Weights.TAG, as {_EXAMPLES[1]}."
            ) from error
        return Normalisation(tuple(transforms.mean), tuple(transforms.std))
    return None
