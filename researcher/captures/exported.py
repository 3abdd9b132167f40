"""A network as torch.export sees it: operators in order, shapes with the batch size as a symbol, lines of source."""

from __future__ import annotations

import contextlib
import linecache
import logging
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from policies.errors import GraphError
from policies.graphs.limits import MOST_SOURCE_CHARACTERS
from policies.untrusted_text import shown
from researcher.captures.writer import Ref, pictures

_MOST_BATCH = 4096
_HERE = Path(__file__).parent
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
        inputs: Node's name → what it is, of those that differ from picture to picture.
        output: Name of the node that gives the logits, or of a loss its number.
    """

    nodes: tuple[fx.Node, ...]
    tensors: Mapping[str, torch.Tensor]
    parameters: Mapping[str, str]
    inputs: Mapping[str, Ref]
    output: str


def trace(model: nn.Module, image_shape: tuple[int, int, int]) -> Traced:
    """Traces a network for every batch size at once.

    Args:
        model: In train mode.
        image_shape: (height, width, channels).

    Raises:
        GraphError: torch cannot trace it, or only for one batch size.
    """
    inputs = (pictures(image_shape),)
    try:
        return _traced(model, inputs)
    except GraphError:
        raise
    except Exception as error:  # whatever torch or the network raises: nothing is captured
        raise GraphError(
            f"The network cannot be traced for every batch size{_told(error, model, inputs)}. Its forward must take "
            "one batch of pictures and do the same for each, without a choice by values or number; x.shape[0] can be "
            "traced where len(x) cannot."
        ) from error


def trace_loss(model: nn.Module, inputs: Sequence[Ref]) -> Traced:
    """Traces a loss for every batch size at once.

    Args:
        model: Takes the inputs in their order.
        inputs: What a loss reads, each of shape (B, num_classes).

    Raises:
        GraphError: torch cannot trace it, or only for one batch size.
    """
    try:
        return _traced(model, inputs)
    except GraphError:
        raise
    except Exception as error:  # whatever torch or the function raises: nothing is captured
        raise GraphError(
            f"The loss cannot be traced for every batch size{_told(error, model, inputs)}. It must take "
            f"{', '.join(one.name for one in inputs)}, each of shape (B, classes), and do the same for each picture, "
            "without a choice by values or number; x.shape[0] can be traced where len(x) cannot."
        ) from error


def _traced(model: nn.Module, inputs: Sequence[Ref]) -> Traced:
    batch = {0: Dim("batch", min=2, max=_MOST_BATCH)}
    examples = tuple(torch.zeros(3, *one.shape[1:]) for one in inputs)
    program = torch.export.export(model, examples, dynamic_shapes=(batch,) * len(inputs), strict=False)
    return _read(program, inputs)


def _told(error: Exception, model: nn.Module, inputs: Sequence[Ref]) -> str:
    """Where it was raised, and what it says."""
    place = _place(traceback.walk_tb(error.__traceback__), model) or _bound_at(model, inputs)
    told = str(error).strip().split("\n")[0]
    return f"{f' at {place}' if place else ''} ({type(error).__name__}: {shown(told, most=300)})"


def _place(frames: Iterable[tuple[FrameType, int]], model: nn.Module) -> str:
    """Which module's which line of the network's own source is carried out in these frames; empty where none is.

    Args:
        frames: And their lines, from the outermost to the innermost.
        model: Whose forward is traced.
    """
    names = {id(module): name for name, module in model.named_modules()}
    entered, place = False, ""
    for frame, line in frames:
        module = frame.f_locals.get("self")
        entered = entered or module is model
        file = frame.f_code.co_filename
        if entered and isinstance(module, nn.Module) and not file.startswith(_TORCH) and not _is_ours(file):
            written = f"{Path(file).name}:{line}: {linecache.getline(file, line).strip()}"
            name = names.get(id(module), "")
            place = shown(", ".join(part for part in (name, written) if part), most=MOST_SOURCE_CHARACTERS)
    return place


def _is_ours(file: str) -> bool:
    """Whether a file is of this package, whose layers stand in for the network's own."""
    return _HERE in Path(file).parents


def _bound_at(model: nn.Module, inputs: Sequence[Ref]) -> str:
    """Which line first asks something of the batch size that does not hold for every one.

    The tracer tells that after the last line only, without a place; while it works, it logs what it assumes. So it is
    listened to in a second turn, and nothing of that is printed.
    """
    places: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        told = record.getMessage()
        if "[guard added]" in told and "[guard suppressed]" not in told:
            places.append(_place(reversed(list(traceback.walk_stack(None))), model))
        return False

    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = log.level
    log.addFilter(listen)
    log.setLevel(logging.INFO)
    try:
        with contextlib.suppress(Exception):  # the same as before, whose reason is told already
            _traced(model, inputs)
    finally:
        log.setLevel(level)
        log.removeFilter(listen)
    return next(filter(None, places), "")


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
        if expression.is_Integer:
            sizes.append(int(expression))
            continue
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
    found = _FRAME.findall(node.meta.get("stack_trace") or "")
    frames = [frame for frame in found if "/torch/" not in frame[0] and not _is_ours(frame[0])]
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


def _read(program: ExportedProgram, inputs: Sequence[Ref]) -> Traced:
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
    one_value = program.call_spec.out_spec.is_leaf()
    if len(outputs) != 1 or not one_value or len(signature.user_inputs) != len(inputs):
        names = ", ".join(one.name for one in inputs)
        raise GraphError(
            f"What is captured must take {names}, one batch of each, and return one tensor, also in train mode: no "
            "dictionary, and no second head beside the logits (aux_logits=False)."
        )
    nodes = tuple(program.graph_module.graph.nodes)
    return Traced(
        nodes, tensors, parameters, dict(zip(map(str, signature.user_inputs), inputs, strict=True)), outputs[0]
    )
