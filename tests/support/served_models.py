"""Small models as an export writes them, and such models served on a real port of loopback."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from support.waiting import CEILING_SECONDS, wait_for

from policies.plans.picture_form import PictureForm
from policies.web.listening import listen
from researcher.exported.about import ExportedModel
from researcher.exported.session import ModelSession
from researcher.serving.app import make_app
from researcher.serving.classifier import Classifier
from researcher.serving.server import make_server
from researcher.serving.settings import ServingSettings
from researcher.serving.usual_look import UsualLook

PROJECT = Path(__file__).resolve().parents[2]
COLOURS = ("red", "green", "blue")
SIDE = 16


def about_colours(label_kind: str = "single", *, form: PictureForm | None = None, **other: Any) -> ExportedModel:
    """What a file of `colour_model` says of itself."""
    form = form or PictureForm((SIDE, SIDE), 3)
    said: dict[str, Any] = {
        "format": "onnx",
        "name": "small_cnn",
        "options": {},
        "image_shape": (*form.size, form.channels),
        "label_kind": label_kind,
        "class_names": COLOURS[: form.channels] if form.channels == 3 else ("dark", "light"),
        "form": form,
        "round": 1,
        "model_sha256": "ab" * 32,
        "plan_digest": "cd" * 32,
        "receipts": (),
        "privacy": (),
        "without_privacy": 0,
        "written_by": "a test",
    }
    return ExportedModel(**{**said, **other})


def colour_model(folder: Path, label_kind: str = "single", *, form: PictureForm | None = None, **other: Any) -> Path:
    """An ONNX file of a model by hand: softmax, or sigmoid for findings, of ten times each colour's mean.

    Of grey pictures it is `dark` and `light`: softmax of ten times (1 - mean, mean).
    """
    about = about_colours(label_kind, form=form, **other)
    height, width, channels = about.image_shape
    outputs = len(about.class_names)
    white = 255.0 * (257.0 if about.bits == 16 else 1.0)
    weights = np.eye(channels) if channels == 3 else np.array([[-1.0, 1.0]])
    bias = np.zeros(outputs) if channels == 3 else np.array([10.0, 0.0])
    constants = {
        "axes": np.array([1, 2], dtype=np.int64),
        "weights": (weights * 10 / white).astype(np.float32),
        "bias": bias.astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pictures"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("Gemm", ["means", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax" if label_kind == "single" else "Sigmoid", ["scores"], ["probabilities"]),
    ]
    kind = TensorProto.UINT16 if about.bits == 16 else TensorProto.UINT8
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pictures", kind, ["N", height, width, channels])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, about.to_properties())
    file = folder / f"{label_kind}.onnx"
    onnx.save(model, file)
    return file


def one_colour(*colour: int, side: int = SIDE) -> NDArray[np.uint8]:
    """A picture of one colour, (side, side, 3)."""
    return np.full((side, side, 3), colour, dtype=np.uint8)


def as_file(values: NDArray[Any], kind: str = "PNG", **how: Any) -> bytes:
    """A picture's file."""
    written = io.BytesIO()
    Image.fromarray(values).save(written, kind, **how)
    return written.getvalue()


@dataclass
class ServedModel:
    """A model that is served, and what is behind it."""

    url: str
    classifier: Classifier
    server: Any
    thread: threading.Thread

    def stop(self) -> None:
        """Tells the server to stop, as SIGTERM does."""
        self.server.should_exit = True


@contextmanager
def served(
    model: Path,
    *,
    token: bytes | None = None,
    look: UsualLook | None = None,
    session: Any = None,
    **settings: Any,
) -> Iterator[ServedModel]:
    """Serves a model on a real port of loopback; `session` stands for the opened model."""
    chosen = ServingSettings(port=0, **settings)
    classifier = Classifier(session or ModelSession.open(model), chosen, look)
    server, sock = make_server(make_app(classifier, token=token), chosen), listen(chosen.host, 0)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])), daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, alive=thread.is_alive)
        yield ServedModel(f"http://127.0.0.1:{sock.getsockname()[1]}", classifier, server, thread)
    finally:
        server.should_exit = server.force_exit = True
        thread.join()
        sock.close()


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Serves a model as its users do, by the command in a process of its own; gives the address."""
    command = [sys.executable, "-m", "researcher", "serve", "--model_path", str(model), "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[2]
        process.send_signal(signal.SIGTERM)
        assert process.wait(CEILING_SECONDS) == 0


def names(answer: Sequence[dict[str, Any]]) -> list[str]:
    """The classes of a picture's answer, as they stand in it."""
    return [one["name"] for one in answer]
