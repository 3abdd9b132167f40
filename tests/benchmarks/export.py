"""Exports every model to every format, and writes what each costs into out/bench/export.json.

Models are trained for a few steps without privacy on real pictures where they are present (`--data FOLDER` with
train.npz and test.npz), else on drawn ones, whose labels are their brightness. A head on features stands on a ResNet-18
of drawn weights. Formats with a converter of their own have figures where it is set up on this machine; their times
are of their own runtimes, in its process, and the float one's of onnxruntime in this.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from support.global_models import OPTIONS
from support.public_weights import write_backbone

from datasites.training.losses import summed_loss
from datasites.training.models import build_model, read_weights
from datasites.training.models.public.backbone import features_of, load_backbone
from datasites.training.models.public.public_weights import read_public_weights
from datasites.training.pictures.data import to_tensor
from datasites.training.pictures.reports import to_inputs
from policies.errors import ConverterMissing, ExportRefused
from policies.plans.features import FeatureSpec
from policies.plans.model_spec import ModelSpec
from policies.plans.tokeniser import text_form
from researcher.exports.converted import export_converted
from researcher.exports.export import ExportedFile, export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.order import SUFFIXES
from researcher.exports.pictures import Pictures, drawn
from researcher.exports.whole_model import Backbone
from researcher.studies.checkpoints import Checkpoint

MODELS = (*OPTIONS, "features")
SMALL = ("image_text", "vit_small")
BATCH, TESTED = 64, 1000


@dataclass(frozen=True)
class Data:
    """Pictures that models are trained and tested on."""

    train: Pictures
    test: Pictures
    classes: int


def load(folder: Path | None, side: int) -> Data:
    """Real pictures of a folder, or drawn ones."""
    if folder is None:
        made = drawn(ModelSpec("linear", (side, side, 3), 2), 8, 3000)
        bright = made.images.mean(axis=(1, 2, 3))
        labels = (bright > np.median(bright)).astype(np.int64)
        train, test = (
            Pictures(made.images[part], None, labels[part], "drawn pictures of nobody")
            for part in (slice(2000), slice(2000, None))
        )
        return Data(train, test, 2)
    found = []
    for part in ("train", "test"):
        with np.load(folder / f"{part}.npz", allow_pickle=False) as held:
            order = np.random.default_rng(0).permutation(len(held["labels"]))
            source = f"public pictures of {folder.name}"
            found.append(Pictures(held["images"][order], None, held["labels"][order], source))
    return Data(found[0], found[1].first(TESTED), int(found[0].labels.max()) + 1)


def with_reports(spec: ModelSpec, pictures: Pictures) -> Pictures:
    """The same beside drawn reports, where the model takes reports."""
    return replace(pictures, tokens=drawn(spec, 8, len(pictures.images)).tokens)


def trained(spec: ModelSpec, pictures: Pictures, steps: int, backbone: Backbone | None) -> dict[str, np.ndarray]:
    """Weights after some steps."""
    torch.manual_seed(0)
    model, random = build_model(spec), np.random.default_rng(0)
    reads = FeatureSpec.of(spec)
    images = pictures.images
    if reads is not None and backbone is not None:
        images = images[: 10 * BATCH]
        parts = [part for _, part in features_of(load_backbone(reads, backbone), reads, images)]
        images = np.concatenate(parts).astype(np.float32)[:, None, None, :]
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        rows = random.choice(len(images), BATCH, replace=False)
        texts = None if pictures.tokens is None else pictures.tokens[rows]
        logits = model(to_inputs(to_tensor(images[rows]), texts))
        loss = summed_loss(logits, torch.from_numpy(pictures.labels[rows])) / BATCH
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return read_weights(model)


def model_of(name: str, data: Data, steps: int, folder: Path) -> tuple[GlobalModel, Data]:
    """A trained model, and the pictures as it takes them."""
    backbone, options = None, OPTIONS[name] if name in SMALL else {}
    if name == "features":
        weights, reads = write_backbone(folder)
        backbone, options = read_public_weights(weights, sha256=reads.weights_sha256), dict(reads.options)
    spec = ModelSpec(name, data.train.images.shape[1:], data.classes, options)
    if text_form(spec) is not None:
        data = Data(with_reports(spec, data.train), with_reports(spec, data.test), data.classes)
    names = tuple(str(number) for number in range(data.classes))
    one = Checkpoint(trained(spec, data.train, steps, backbone), spec, 1, names, "0" * 64, {})
    return GlobalModel(one, "0" * 64, (), backbone), data


def exported(model: GlobalModel, data: Data, kind: str, folder: Path) -> ExportedFile:
    """The model in a format."""
    out = folder / f"model{SUFFIXES[kind]}"
    if kind.startswith("onnx"):
        return export_onnx(model, out, int8=kind == "onnx-int8", pictures=data.test, calibration=data.train)
    return export_converted(model, out, kind, data.test)


def rows_of(name: str, data: Data, steps: int, kinds: Sequence[str]) -> Iterator[dict[str, object]]:
    """A row for each format of a model."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, data = model_of(name, data, steps, folder)
        of_float: ExportedFile | None = None
        for kind in kinds:
            row: dict[str, object] = dict.fromkeys(COLUMNS) | {"model": name, "format": kind}
            try:
                made = exported(model, data, kind, folder)
            except (ConverterMissing, ExportRefused) as refused:
                yield row | {"refused": refused.public}
                continue
            of_float = made if kind == "onnx" else of_float
            yield row | figures(made, of_float)


COLUMNS = ("model", "format", "max_abs_difference", "accuracy", "accuracy_float", "size_ratio", "latency_ratio")


def figures(made: ExportedFile, of_float: ExportedFile | None) -> dict[str, object]:
    """What a row says of a file beside the float ONNX file of the same model."""
    told, time = made.about.likeness, made.milliseconds
    before = made.milliseconds_float or (None if of_float is None else of_float.milliseconds)
    found: dict[str, object] = (
        {}
        if told is None
        else {
            "max_abs_difference": told.max_abs_difference,
            "accuracy": told.accuracy,
            "accuracy_float": told.accuracy_float,
            "pictures": f"{told.pictures} {told.compared_on}",
        }
    )
    size = made.size_ratio if of_float is None or made.about.format == "onnx-int8" else made.size / of_float.size
    found["size_ratio"] = round(size, 4)
    if time is not None and before is not None:
        found |= {"latency_ratio": round(time / before, 4), "milliseconds": round(time, 3)}
    if made.about.quantisation is not None:
        found["left_in_float"] = list(made.about.quantisation.left_in_float)
        found["cost_of_all"] = made.about.quantisation.cost_of_all
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=sorted(MODELS), choices=MODELS)
    parser.add_argument("--formats", nargs="+", default=list(SUFFIXES), choices=list(SUFFIXES))
    parser.add_argument("--data", type=Path, help="folder with train.npz and test.npz; drawn pictures without it")
    parser.add_argument("--side", type=int, default=32, help="of drawn pictures")
    parser.add_argument("--steps", type=int, default=150, help="of training")
    parser.add_argument("--out", type=Path, default=Path("out/bench/export.json"))
    given = parser.parse_args()
    data = load(given.data, given.side)
    rows: list[dict[str, object]] = []
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for name in given.models:
        for row in rows_of(name, data, given.steps, given.formats):
            print(json.dumps(row), flush=True)
            rows.append(row)
            given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
