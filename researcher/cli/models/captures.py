"""The command `capture`: an own network as a graph, in a file. Its code runs at the researcher's, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say
from researcher.cli.commands import ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path


def capture(*, network: str, image_shape: str, num_classes: int, out: Path, weights: Path | None) -> None:
    """Captures an own network as a graph, which names operators and holds no code, and says what it costs."""
    from researcher.captures.named import capture_named

    shape = _shape(image_shape)
    say(f"Tracing {network} ...")
    captured = capture_named(network, image_shape=shape, num_classes=num_classes)
    for note in captured.notes:
        say(note)
    captured.save(out)
    numbers = sum(array.size for array in captured.weights.values())
    say(
        f"{len(captured.graph.nodes):,} operators, {numbers:,} trained numbers; for a picture "
        f"{captured.multiplications / 1e6:,.0f} million multiplications."
    )
    say(f"Written: {out} (digest {captured.graph.digest()})")
    if weights is not None:
        say(f"Written: {weights} (SHA-256 {captured.save_weights(weights)})")


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    commands.add(
        "capture",
        capture,
        argument("network", "module and function that makes the network, MODULE:FUNCTION"),
        option("--image_shape", "height, width and channels, HEIGHTxWIDTHxCHANNELS", required=True),
        option("--num_classes", "logits of a picture", kind=int, required=True),
        option("--out", "the file", kind=path, default="model.graph.json"),
        option("--weights", "file for the network's weights as they are, for --initial_weights of a study", kind=path),
    )


def _shape(text: str) -> tuple[int, int, int]:
    try:
        height, width, channels = (int(part) for part in text.split("x"))
    except ValueError as error:
        raise click.UsageError("--image_shape must be HEIGHTxWIDTHxCHANNELS, as 224x224x3.") from error
    return height, width, channels
