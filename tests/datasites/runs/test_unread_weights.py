"""A round's weights as its process reads them: views of the file, wherever its header ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from datasites.runs.processes.unread_weights import UnreadWeights, mapped
from policies.contracts.weights import canonical_bytes

WEIGHTS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([[7.5]]), "c": np.zeros(0, np.float32)}


@pytest.mark.parametrize("spaces", range(4))
def test_weights_are_read_as_safetensors_reads_them(tmp_path: Path, spaces: int) -> None:
    content = canonical_bytes(WEIGHTS)
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].rstrip() + b" " * spaces
    content = len(header).to_bytes(8, "little") + header + content[end:]
    (file := tmp_path / "weights").write_bytes(content)
    for read in (UnreadWeights(content), UnreadWeights(mapped(file))):
        assert {name: array.tolist() for name, array in read.items()} == {
            name: array.tolist() for name, array in WEIGHTS.items()
        }
        assert all(array.dtype == np.float32 and array.flags.aligned for array in read.values())


def test_what_a_model_does_with_its_weights_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    (file := tmp_path / "weights").write_bytes(canonical_bytes(WEIGHTS))
    read = UnreadWeights(mapped(file))
    read["a"][:] = 1.0
    assert file.read_bytes() == canonical_bytes(WEIGHTS)


def test_a_file_of_other_numbers_is_none_of_weights() -> None:
    halves = safetensors.numpy.save({"a": np.zeros(4, np.float16)})
    with pytest.raises(ValueError, match="holds F16"):
        list(UnreadWeights(halves))
    header = json.dumps({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}).encode()
    with pytest.raises(ValueError, match="another size than shape"):
        list(UnreadWeights(len(header).to_bytes(8, "little") + header + bytes(8)))
