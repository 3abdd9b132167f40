"""A served model at a steady pace over loopback, beside what nothing can be faster than: decoding and one bare call.

    python tests/benchmarks/serving.py --seconds 60

Writes serving.json. The model is MobileNetV3-small for 224 x 224 pictures, int8 where its export keeps decisions, else
float; its weights are drawn, which costs as much to compute as trained ones. The server flags what is unlike public
pictures while it is measured. Requests come in time, whether or not earlier ones were answered; a latency is from the
first byte sent to the last byte of the answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests"), str(PROJECT / "tests" / "benchmarks")]

from resident_memory import Memory  # noqa: E402
from support.global_models import save_global_model  # noqa: E402
from support.waiting import CEILING_SECONDS  # noqa: E402

from policies.errors import ExportRefused  # noqa: E402
from policies.plans.model_spec import ModelSpec  # noqa: E402
from policies.plans.picture_form import PictureForm  # noqa: E402
from researcher.exported.session import ModelSession  # noqa: E402
from researcher.exports.export import export_onnx  # noqa: E402
from researcher.exports.global_model import GlobalModel  # noqa: E402
from researcher.exports.pictures import drawn  # noqa: E402
from researcher.serving.pictures import read_picture  # noqa: E402

MODEL, SIDE, SENT_SIDE = "mobilenet_v3_small", 224, 512
A_SECOND, SENDERS, BARE_CALLS, PUBLIC, LEAST_WARM = 20, 16, 100, 200, 5
MOST_RATIO, MOST_GROWTH_MB = 2.0, 20.0


def main() -> None:
    """Measures, prints and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--model_path", type=Path, help="an exported model, in place of the drawn one")
    parser.add_argument("--out", type=Path, default=PROJECT / "out" / "bench")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model_path or exported(folder)
        row = measured(model, folder, options.seconds)
    row["machine"] = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "serving.json").write_text(json.dumps(row, indent=1) + "\n")
    print(json.dumps(row))
    kept = row["errors"] == 0 and float(row["ratio"]) <= MOST_RATIO and float(row["rss_growth_mb"]) <= MOST_GROWTH_MB
    print(f"{'Kept' if kept else 'NOT kept'}: at most {MOST_RATIO} times the floor, none lost, {MOST_GROWTH_MB} MB.")


def exported(folder: Path) -> Path:
    """The model's file."""
    spec = ModelSpec(MODEL, (SIDE, SIDE, 3), 4)
    model = GlobalModel.load(save_global_model(folder, spec, form=PictureForm((SIDE, SIDE), 3)))
    out = folder / "model.onnx"
    try:
        export_onnx(model, out, int8=True)
    except ExportRefused as error:
        print(f"int8 was refused, so it is float: {error.public}")
        export_onnx(model, out, int8=False)
    return out


def measured(model: Path, folder: Path, seconds: int) -> dict[str, str | float]:
    """The row of a served model."""
    session = ModelSession.open(model)
    pictures = drawn(ModelSpec(MODEL, (SIDE, SIDE, 3), 4), 8, PUBLIC).images
    public, sent = folder / "public.npz", BytesIO()
    np.savez(public, images=pictures, labels=np.zeros(PUBLIC, dtype=np.int64))
    Image.fromarray(pictures[2]).resize((SENT_SIDE, SENT_SIDE)).save(sent, "PNG")
    content, form = sent.getvalue(), session.about.picture_form
    floor = _bare(session, content, form)
    with _Server(model, public) as server:
        sender = Sender(server.port, content)
        sender.send(LEAST_WARM * A_SECOND)
        sender.forget()
        memory = Memory(server.process.pid)
        before = memory.now()
        sender.send(seconds * A_SECOND)
        growth = memory.now() - before
    floor += _bare(session, content, form)  # before and after: a machine's pace changes with what else it does
    latencies = np.asarray(sender.milliseconds)
    p50, p95 = (float(np.percentile(latencies, place)) for place in (50, 95))
    floor_ms = statistics.median(floor)
    return {
        "model": session.about.name,
        "format": session.about.format,
        "requests": seconds * A_SECOND,
        "errors": sender.errors,
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "floor_ms": round(floor_ms, 2),
        "ratio": round(p95 / floor_ms, 2),
        "rss_growth_mb": round(growth, 1),
    }


def _bare(session: ModelSession, content: bytes, form: PictureForm) -> list[float]:
    """Milliseconds of decoding the picture and of one call, together, so many times."""
    found = []
    for _ in range(BARE_CALLS):
        begun = time.perf_counter()
        picture = read_picture(content, form, frame=None, max_pixels=1 << 24)
        session.probabilities(picture.values[None])
        found.append(1000 * (time.perf_counter() - begun))
    return found


class _Server:
    """The command, in a process of its own."""

    def __init__(self, model: Path, public: Path) -> None:
        command = [sys.executable, "-m", "researcher", "serve", "--port", "0"]
        command += ["--model_path", str(model), "--public_pictures", str(public)]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> _Server:
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[2].rpartition(":")[2])
        return self

    def __exit__(self, *of: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


@dataclass
class Sender:
    """Sends one picture at a steady pace, over connections that stay open."""

    port: int
    content: bytes
    milliseconds: list[float] = field(default_factory=list)
    errors: int = 0
    _own: threading.local = field(default_factory=threading.local)

    def forget(self) -> None:
        """Forgets what was measured."""
        self.milliseconds.clear()
        self.errors = 0

    def send(self, count: int) -> None:
        """Sends it so many times."""
        begun = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as senders:
            for number in range(count):
                time.sleep(max(0.0, begun + number / A_SECOND - time.monotonic()))
                senders.submit(self._one)

    def _one(self) -> None:
        begun = time.perf_counter()
        try:
            connection = getattr(self._own, "connection", None)
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=CEILING_SECONDS)
                self._own.connection = connection
            connection.request("POST", "/v1/classify", self.content, {"Content-Type": "image/png"})
            answer = connection.getresponse()
            answer.read()
            self.errors += answer.status != 200
        except (OSError, http.client.HTTPException) as error:
            print(f"Lost: {error!r}", file=sys.stderr)
            self._own.connection = None
            self.errors += 1
        self.milliseconds.append(1000 * (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
