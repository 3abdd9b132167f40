"""A network as torch.export sees it: operators in order, shapes with the batch size as a symbol, lines of source."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from policies.errors import GraphError
from policies.graphs.limits import MOST_SOURCE_CHARACTERS
from policies.untrusted_text import shown

_MOST_BATCH = 4096
_TORCH = str(Path(torch.__file__).parent)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in [^\n]*\n\s*([^\n]*)')
_MODULE = re.compile(r"\[['\"]?(\w+)['\"]?\]")


@dataclass(frozen=True)
class Traced:
    """What was traced.

    Attributes:
        nodes: In order.
        tensors: Node's name → parameter, buffer or constant that it stands for.
        parameters: Node's name → the parameter's name, of those that are trained.
        pictures: Name of the node that is the pictures.
        output: Name of the node that gives the logits.
    """

    nodes: tuple[fx.Node, ...]
    tensors: Mapping[str, torch.Tensor]
    parameters: Mapping[str, str]
    pictures: str
    output: str


def trace(model: nn.Module, image_shape: tuple[int, int, int]) -> Traced:
    """Traces a network for every batch size at once.

    Args:
        model: In train mode.
        image_shape: (height, width, channels).

    Raises:
        GraphError: torch cannot trace it, or only for one batch size.
    """
    height, width, channels = image_shape
    example = torch.zeros(3, channels, height, width)
    try:
        program = torch.export.export(
            model, (example,), dynamic_shapes=({0: Dim("batch", min=2, max=_MOST_BATCH)},), strict=False
        )
    except Exception as error:  # whatever torch or the network raises: nothing is captured
        told = str(error).strip().split("\n")[0]
        place = _raised_at(error, model)
        raise GraphError(
            f"The network cannot be traced for every batch size{f' at {place}' if place else ''} "
            f"({type(error).__name__}: {shown(told, most=300)}). Its forward must take one batch of pictures and do "
            "the same for each, without a choice by values or number; x.shape[0] can be traced where len(x) cannot."
        ) from error
    return _read(program)


def _raised_at(error: BaseException, model: nn.Module) -> str:
    """Which module's which line the tracer stopped at; empty where it found the fault after the last one."""
    names = {id(module): name for name, module in model.named_modules()}
    entered, place = False, ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_locals.get("self")
        entered = entered or module is model
        file = frame.f_code.co_filename
        if entered and isinstance(module, nn.Module) and not file.startswith(_TORCH):
            written = f"{Path(file).name}:{line}: {linecache.getline(file, line).strip()}"
            name = names.get(id(module), "")
            place = shown(", ".join(part for part in (name, written) if part), most=MOST_SOURCE_CHARACTERS)
    return place


def size_of(value: Any, node: fx.Node) -> tuple[list[int], int | None]:
    """Shape of a traced value as a graph has it: lengths, and which axis is that of the pictures.

    Raises:
        GraphError: A length that is no whole multiple of the batch size.
    """
    sizes: list[int] = []
    batch = None
    for axis, size in enumerate(value.shape):
        if isinstance(size, int):
            sizes.append(size)
            continue
        expression = size.node.expr
        symbols = list(expression.free_symbols)
        parts = expression / symbols[0] if len(symbols) == 1 else None
        if parts is None or not parts.is_Integer or batch is not None:
            raise GraphError(
                f"{place_of(node)} gives a value of shape {tuple(map(str, value.shape))}, whose length depends on the "
                "batch size in another way than so many rows for each picture. Keep the pictures an axis of their own."
            )
        batch = axis
        sizes.append(int(parts))
    return sizes, batch


def source_of(node: fx.Node) -> str:
    """Where a node is written: module, file and line, and the line itself, shortened."""
    frames = [f for f in _FRAME.findall(node.meta.get("stack_trace") or "") if "/torch/" not in f[0]]
    modules = list((node.meta.get("nn_module_stack") or {}).values())
    path = _MODULE.sub(r".\1", str(modules[-1][0])).removeprefix("L.self.").removeprefix("L.self") if modules else ""
    written = ""
    if frames:
        file, line, text = frames[-1]
        written = f"{file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{line}: {text.strip()}"
    return shown(", ".join(part for part in (path, written) if part), most=MOST_SOURCE_CHARACTERS)


def place_of(node: fx.Node) -> str:
    """The operator and where it is written, for a refusal."""
    source = source_of(node)
    return f"{shown(node.target, most=80)}{f' at {source}' if source else ''}"


def _read(program: ExportedProgram) -> Traced:
    signature = program.graph_signature
    tensors: dict[str, torch.Tensor] = {}
    parameters: dict[str, str] = {}
    state = dict(program.named_parameters())
    for name, target in signature.inputs_to_parameters.items():
        tensors[name] = state[target].detach()
        if state[target].requires_grad:
            parameters[name] = target
    buffers = {**dict(program.named_buffers()), **program.constants}
    for name, target in {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}.items():
        tensors[name] = buffers[target].detach().clone()
    outputs = [spec.arg.name for spec in signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    if len(outputs) != 1 or len(signature.user_inputs) != 1:
        raise GraphError("The network must take one batch of pictures and return one tensor of logits, (B, K).")
    nodes = tuple(program.graph_module.graph.nodes)
    return Traced(nodes, tensors, parameters, str(signature.user_inputs[0]), outputs[0])
