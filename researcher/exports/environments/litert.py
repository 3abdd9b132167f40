"""Converts a whole model to LiteRT, in the converter's own environment, and runs it there. Public pictures alone.

Called as `python litert.py FOLDER`: the folder holds `program.pt2` and `inputs.npz`, and gets `model.tflite` and
`outputs.npz`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter


def convert(folder: Path) -> None:
    """Converts and runs."""
    program = torch.export.load(folder / "program.pt2")
    given = np.load(folder / "inputs.npz", allow_pickle=False)
    names = list(given.files)
    examples = tuple(torch.from_numpy(given[name][:1]) for name in names)
    litert_torch.convert(program.module(), examples).export(str(folder / "model.tflite"))
    interpreter = Interpreter(str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    places = [one["index"] for one in interpreter.get_input_details()]
    found, times = [], []
    for row in range(len(given[names[0]])):
        for name, place in zip(names, places, strict=True):
            interpreter.set_tensor(place, given[name][row : row + 1])
        begun = time.process_time()
        interpreter.invoke()
        times.append(1000 * (time.process_time() - begun))
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    np.savez(folder / "outputs.npz", probabilities=np.stack(found), milliseconds=np.median(times))


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
