"""Converts a whole model to ExecuTorch, in the converter's own environment, and runs it there. Public pictures alone.

Called as `python -P executorch.py FOLDER`, so that this file is not taken for the package: the folder holds
`program.pt2` and `inputs.npz`, and gets `model.pte` and `outputs.npz`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime


def convert(folder: Path) -> None:
    """Converts and runs; what XNNPACK has no kernel for stays with ExecuTorch's own."""
    program = torch.export.load(folder / "program.pt2")
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / "model.pte").write_bytes(lowered.buffer)
    method = Runtime.get().load_program(folder / "model.pte").load_method("forward")
    with np.load(folder / "inputs.npz", allow_pickle=False) as held:
        given = [torch.from_numpy(held[name]) for name in held.files]
    found, times = [], []
    for row in range(len(given[0])):
        inputs = [one[row : row + 1] for one in given]
        begun = time.process_time()
        found.append(method.execute(inputs)[0][0].numpy())
        times.append(1000 * (time.process_time() - begun))
    np.savez(folder / "outputs.npz", probabilities=np.stack(found), milliseconds=np.median(times))


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
