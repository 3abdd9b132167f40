"""The model that a judgement is about, as its file tells it: all of it released."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from policies import validate


@dataclass(frozen=True)
class JudgedModel:
    """Which model was judged.

    Attributes:
        file: Its file's name.
        format: `safetensors`, `onnx` or `onnx-int8`.
        name: The model's, as the plan has it.
        sha256: Of the file.
        bytes: Size of the file.
        label_kind: `single`: a picture is of one class; `multi`: each class is a finding.
        class_names: Of the outputs, in order.
    """

    file: str
    format: str
    name: str
    sha256: str
    bytes: int
    label_kind: Annotated[str, validate.one_of("single", "multi")]
    class_names: tuple[str, ...]
