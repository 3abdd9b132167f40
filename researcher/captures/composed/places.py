"""Places in a researcher's own source at which something was written or stopped, for notices and refusals."""

from __future__ import annotations

import linecache
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

import torch
from torch import fx, nn

from policies.graphs.limits import MOST_SOURCE_CHARACTERS
from policies.untrusted_text import shown

_HERE = Path(__file__).parent.parent
_TORCH = str(Path(torch.__file__).parent)
_LIBRARIES = (str(Path(torch.__file__).parent.parent), str(Path(traceback.__file__).parent), "<")
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in [^\n]*\n\s*([^\n]*)')
_MODULE = re.compile(r"\[['\"]?(\w+)['\"]?\]")


def place_in(frames: Iterable[tuple[FrameType, int]], model: nn.Module) -> str:
    """Which module's which line of the network's own source is carried out in these frames; empty where none is.

    Args:
        frames: And their lines, from the outermost to the innermost.
        model: Whose forward is traced.
    """
    names = {id(module): name for name, module in model.named_modules()}
    entered, place = False, ""
    for frame, line in frames:
        module = _owner(frame)
        # torch traces a copy, of a class of that name, where modules have several names
        entered = entered or module is model or type(module).__name__ == type(model).__name__
        file = frame.f_code.co_filename
        if entered and isinstance(module, nn.Module) and not file.startswith(_TORCH) and not _is_ours(file):
            written = f"{Path(file).name}:{line}: {linecache.getline(file, line).strip()}"
            name = names.get(id(module), "")
            place = shown(", ".join(part for part in (name, written) if part), most=MOST_SOURCE_CHARACTERS)
    return place


def layer_in(frames: Iterable[tuple[FrameType, int]], model: nn.Module) -> str:
    """Which of the network's own layers is carried out in these frames, the innermost; empty where none is.

    Args:
        frames: And their lines, from the outermost to the innermost.
        model: Whose forward it is.
    """
    names = {id(module): name for name, module in model.named_modules()}
    layer = ""
    for frame, _ in frames:
        module = _owner(frame)
        if isinstance(module, nn.Module) and names.get(id(module)):
            layer = shown(f"layer {names[id(module)]} ({type(module).__name__})", most=MOST_SOURCE_CHARACTERS)
    return layer


def raised_at(error: Exception) -> str:
    """What a module or function of the researcher's own raised, and its last line in that code; for a refusal."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not file.startswith(_LIBRARIES) and _HERE.parent not in Path(file).parents:
            written = f"{Path(file).name}:{line}: {linecache.getline(file, line).strip()}"
            place = f" at {shown(written, most=MOST_SOURCE_CHARACTERS)}"
    return f"{place} ({type(error).__name__}: {shown(str(error).strip().split(chr(10))[0], most=300)})"


def _owner(frame: FrameType) -> object:
    """What a method is called of: of `forward` its first argument, whatever that is called."""
    names = frame.f_code.co_varnames if frame.f_code.co_name == "forward" else ("self",)
    return frame.f_locals.get(next(iter(names), ""))


def _is_ours(file: str) -> bool:
    """Whether a file is of this package, whose layers stand in for the network's own."""
    return _HERE in Path(file).parents


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


def name_of(node: fx.Node) -> str:
    """The name of the function that a node calls, of torch's operators without their overload."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target._schema.name.split("::")[-1])
    return str(getattr(node.target, "__name__", node.target))


def place_of(node: fx.Node) -> str:
    """The operator and where it is written, for a refusal."""
    source, target = source_of(node), node.target
    named = f"torch's {target._schema.name.split('::')[-1]}" if isinstance(target, torch._ops.OpOverload) else target
    return f"{shown(named, most=80)}{f' at {source}' if source else ''}"


def is_floats(node: fx.Node) -> bool:
    """Whether what was traced is a tensor of floating-point numbers."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()
