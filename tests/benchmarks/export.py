"""Exports every model to every format, and writes what each costs into out/bench/export.json.

Models are trained for a few steps without privacy on real pictures where they are present (`--data FOLDER` with
train.npz and test.npz), else on drawn ones, whose labels are their brightness.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from support.global_models import OPTIONS

from datasites.training.losses import summed_loss
from datasites.training.models import build_model, read_weights
from datasites.training.pictures.data import to_tensor
from datasites.training.pictures.reports import to_inputs
from policies.errors import ExportRefused
from policies.plans.model_spec import ModelSpec
from policies.plans.tokeniser import text_form
from researcher.exports.export import export_onnx
from researcher.exports.global_model import GlobalModel
from researcher.exports.order import SUFFIXES
from researcher.exports.pictures import Pictures, drawn
from researcher.studies.checkpoints import Checkpoint

FORMATS = ("onnx", "onnx-int8")
STEPS, BATCH, TESTED = 150, 64, 1000


def load(folder: Path | None) -> tuple[Pictures, Pictures, int, str]:
    """Pictures to train and to test on, how many classes, and where they came from."""
    if folder is None:
        spec = ModelSpec("linear", (32, 32, 3), 2)
        made = drawn(spec, 8, 3000)
        labels = (made.images.mean(axis=(1, 2, 3)) > np.median(made.images.mean(axis=(1, 2, 3)))).astype(np.int64)
        parts = [Pictures(made.images[part], None, labels[part], "drawn") for part in (slice(2000), slice(2000, None))]
        return parts[0], parts[1], 2, "drawn pictures of nobody"
    found = []
    for part in ("train", "test"):
        with np.load(folder / f"{part}.npz", allow_pickle=False) as held:
            order = np.random.default_rng(0).permutation(len(held["labels"]))
            found.append(
                Pictures(held["images"][order], None, held["labels"][order], f"public pictures of {folder.name}")
            )
    return found[0], found[1].first(TESTED), int(found[0].labels.max()) + 1, folder.name


def trained(spec: ModelSpec, pictures: Pictures) -> dict[str, np.ndarray]:
    """Weights after a few steps."""
    torch.manual_seed(0)
    model, random = build_model(spec), np.random.default_rng(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(STEPS):
        rows = random.choice(len(pictures.images), BATCH, replace=False)
        texts = None if pictures.tokens is None else pictures.tokens[rows]
        logits = model(to_inputs(to_tensor(pictures.images[rows]), texts))
        loss = summed_loss(logits, torch.from_numpy(pictures.labels[rows])) / BATCH
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return read_weights(model)


def rows_of(name: str, data: Path | None) -> list[dict[str, object]]:
    """A row for each format of a model."""
    train, test, classes, source = load(data)
    small = name in ("image_text", "vit_small")
    spec = ModelSpec(name, train.images.shape[1:], classes, OPTIONS[name] if small else {})
    form = text_form(spec)
    if form is not None:
        train, test = (
            Pictures(one.images, np.zeros((len(one.images), form.length), np.int32), one.labels, one.source)
            for one in (train, test)
        )
    names = tuple(str(number) for number in range(classes))
    model = GlobalModel(Checkpoint(trained(spec, train), spec, 1, names, "0" * 64, {}), "0" * 64, ())
    found: list[dict[str, object]] = []
    for kind in FORMATS:
        row: dict[str, object] = {"model": name, "format": kind, "pictures": source}
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = export_onnx(
                    model,
                    Path(folder) / f"model{SUFFIXES[kind]}",
                    int8=kind == "onnx-int8",
                    pictures=test,
                    calibration=train,
                )
            except ExportRefused as refused:
                found.append({**row, "refused": refused.public})
                continue
        told = made.about.likeness
        row |= {
            "max_abs_difference": told.max_abs_difference,
            "accuracy": told.accuracy,
            "accuracy_float": told.accuracy_float,
            "size_ratio": round(made.size_ratio, 4),
            "latency_ratio": round(made.milliseconds / made.milliseconds_float, 4),
            "milliseconds": round(made.milliseconds, 3),
            "left_in_float": 0 if made.about.quantisation is None else len(made.about.quantisation.left_in_float),
        }
        found.append(row)
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=sorted(OPTIONS))
    parser.add_argument("--data", type=Path, help="folder with train.npz and test.npz; drawn pictures without it")
    parser.add_argument("--out", type=Path, default=Path("out/bench/export.json"))
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for name in given.models:
        for row in rows_of(name, given.data):
            print(json.dumps(row), flush=True)
            rows.append(row)
        given.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
