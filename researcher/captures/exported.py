"""A network as torch.export sees it: operators in order, shapes with the batch size as a symbol, lines of source."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from policies.errors import GraphError
from policies.untrusted_text import shown
from researcher.captures.composed.places import layer_in, place_in, place_of
from researcher.captures.composed.written_out import WrittenOut
from researcher.captures.writer import Ref, pictures

_MOST_BATCH = 4096
_EXAMPLES = 3
_BATCH_SYMBOL = re.compile(r"\bs\d+\b")
_TALKING = ("torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes", "torch.export._trace")
_VIEWS = (
    "; pictures are neither joined nor parted along their axis: give a network each view by itself, or put views "
    "beside each other with torch.stack((a, b), 1).flatten(0, 1)"
)
_BOXES = "; boxes that are the same for all pictures: cut the maps with slices and pool them, or use F.grid_sample"
_HINTS = {
    "cdist": "; distances from picture to picture let them meet: keep the pictures an axis before the rows",
    **dict.fromkeys(("chunk(", "split("), _VIEWS),
    **dict.fromkeys(("roi_align(", "roi_pool("), _BOXES),
}


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
        height, width, channels = image_shape
        stopped = _stopped(model, inputs)
        if stopped is not None:
            raise GraphError(
                f"The network cannot compute {_EXAMPLES} pictures of {height}x{width}x{channels}"
                f"{_told(stopped, model, inputs)}. Mend that, or give the --image_shape that the network takes: "
                f"its forward gets (B, {channels}, {height}, {width}), for any number B."
            ) from error
        raise GraphError(
            f"The network cannot be traced for every batch size{_told(error, model, inputs)}. Its forward must take "
            "one batch of pictures and do the same for each, without a choice by values or number; x.shape[0] can be "
            f"traced where len(x) cannot.{_of_steps(model)}"
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
    with silent(), WrittenOut():
        program = torch.export.export(model, _examples(inputs), dynamic_shapes=(batch,) * len(inputs), strict=False)
    return _read(program, inputs, {id(one): name for name, one in model.named_parameters()})


def _examples(inputs: Sequence[Ref]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.zeros(_EXAMPLES, *one.shape[1:]) for one in inputs)


def _stopped(model: nn.Module, inputs: Sequence[Ref]) -> Exception | None:
    """What stops the network also where nobody traces it."""
    try:
        with torch.no_grad():
            model(*_examples(inputs))
    except Exception as error:  # noqa: BLE001 - whatever it raises is told
        return error
    return None


def _told(error: Exception, model: nn.Module, inputs: Sequence[Ref]) -> str:
    """Where it was raised, and what it says."""
    frames = list(traceback.walk_tb(error.__traceback__))
    place = place_in(frames, model) or _bound_at(model, inputs) or layer_in(frames, model)
    at = f" at {place}" if place else ""
    if type(error).__name__ == "GuardOnDataDependentSymNode":
        if any("/torch/distributions/" in frame.f_code.co_filename for frame, _ in frames):
            return f"{at}, where a distribution looks at its numbers, which validate_args=False keeps it from"
        return f"{at}, where what is done depends on the numbers in the pictures"
    if str(error).startswith("Constraints violated"):
        hint = next((told for word, told in _HINTS.items() if word in place), "")
        return f"{at}, which is done in another way for some numbers of pictures{hint}"
    told = _BATCH_SYMBOL.sub("B", str(error).strip().split("\n")[0])
    return f"{at} ({type(error).__name__}: {shown(told, most=300)})"


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keeps what torch's tracer logs and warns of off the terminal: what stops it is told as an error, in one line."""
    logs = [logging.getLogger(name) for name in _TALKING]
    for log in logs:
        log.addFilter(_nothing)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, message=r"(?s).*assigned during export")
            yield
    finally:
        for log in logs:
            log.removeFilter(_nothing)


def _nothing(_: logging.LogRecord) -> bool:
    return False


def _bound_at(model: nn.Module, inputs: Sequence[Ref]) -> str:
    """Which line first asks something of the batch size that does not hold for every one.

    The tracer tells that after the last line only, without a place; while it works, it logs what it assumes. So it is
    listened to in a second turn, and nothing of that is printed.
    """
    places: list[str] = []

    def listen(record: logging.LogRecord) -> bool:
        told = record.getMessage()
        if "[guard added]" in told and "[guard suppressed]" not in told:
            places.append(place_in(reversed(list(traceback.walk_stack(None))), model))
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
                f"{place_of(node)} gives a value of shape {_spelled(value)} for B pictures, whose length depends on "
                "the batch size in another way than so many rows for each picture. Keep the pictures an axis of their "
                f"own{_first(node)}."
            )
        batch = axis
        sizes.append(int(parts))
    return sizes, batch


def _spelled(value: torch.Tensor) -> str:
    """A shape as people read it, (B, 4, 2*B)."""
    return f"({', '.join(_BATCH_SYMBOL.sub('B', str(size)) for size in value.shape)})"


def _first(node: fx.Node) -> str:
    """What is forgotten most often in an attention."""
    modules = (node.meta.get("nn_module_stack") or {}).values()
    attention = any("PicturesFirst" in str(kind) for _, kind in modules)
    return "; nn.MultiheadAttention takes them first with batch_first=True" if attention else ""


def _of_steps(model: nn.Module) -> str:
    """What is forgotten most often in a recurrent layer: its steps go over the pictures then."""
    for name, module in model.named_modules():
        if isinstance(module, nn.RNNBase) and not module.batch_first:
            return f" Layer {name!r} takes the pictures first with batch_first=True, which it lacks."
    return ""


def _returned(program: ExportedProgram) -> str:
    """What a traced function returns, in words."""
    spec = program.call_spec.out_spec
    if spec.is_leaf():
        return "something that is computed from no tensor"
    if issubclass(spec.type, dict):
        return f"a dictionary of {', '.join(shown(key, most=40) for key in list(spec.context)[:5])}"
    return f"{spec.num_leaves} tensors in a {spec.type.__name__}"


def _read(program: ExportedProgram, inputs: Sequence[Ref], first_names: Mapping[int, str]) -> Traced:
    """What a program holds; a parameter that several modules share has the first of its names everywhere."""
    signature = program.graph_signature
    tensors: dict[str, torch.Tensor] = {}
    parameters: dict[str, str] = {}
    state = dict(program.named_parameters())
    for name, target in signature.inputs_to_parameters.items():
        tensors[name] = state[target].detach()
        if state[target].requires_grad:
            parameters[name] = first_names.get(id(state[target]), target)
    buffers = {**dict(program.named_buffers()), **program.constants}
    for name, target in {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}.items():
        tensors[name] = buffers[target].detach().clone()
    outputs = [spec.arg.name for spec in signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    one_value = program.call_spec.out_spec.is_leaf()
    if len(outputs) != 1 or not one_value or len(signature.user_inputs) != len(inputs):
        names = ", ".join(one.name for one in inputs)
        raise GraphError(
            f"What is captured must take {names} and return one tensor, also in train mode; this returns "
            f"{_returned(program)}. Return the tensor alone, in forward or in a module around the network, and switch "
            "a second head off (aux_logits=False)."
        )
    nodes = tuple(program.graph_module.graph.nodes)
    return Traced(
        nodes, tensors, parameters, dict(zip(map(str, signature.user_inputs), inputs, strict=True)), outputs[0]
    )
