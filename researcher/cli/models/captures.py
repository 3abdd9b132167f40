"""The command `capture`: an own model or loss as a graph, in a file. Its code runs at the researcher's alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from policies.terminal.commands import argument, option, path
from policies.terminal.printing import say
from researcher.cli.commands import FILES, ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path

    from researcher.captures.capture import CapturedModel
    from researcher.captures.loss_capture import CapturedLoss

MOST_CHANNELS = 4  # a shape that begins with so few and ends with more has the channels first, as torch's pictures do


def capture(
    *,
    network: str | None,
    loss: str | None,
    image_shape: str | None,
    num_classes: int,
    label_kind: str | None,
    out: Path | None,
    weights: Path | None,
) -> None:
    """Captures an own model or an own loss as a graph, which names operators and holds no code, and says its cost."""
    if loss is None and (network is None or image_shape is None):
        raise click.UsageError("Name the network and give --image_shape, or give --loss.")
    if loss is None and label_kind is not None:
        raise click.UsageError("--label_kind is of a loss. Leave it out, or give --loss.")
    for name, given in (("the network", network), ("--image_shape", image_shape), ("--weights", weights)):
        if loss is not None and given is not None:
            raise click.UsageError(f"--loss captures a loss alone. Leave out {name}.")
    shape = None if image_shape is None else _shape(image_shape)
    from researcher.captures.named import capture_named, capture_named_loss

    say(f"Tracing {network or loss} ...")
    if network is not None and shape is not None:
        _network(capture_named(network, image_shape=shape, num_classes=num_classes), out, weights)
    elif loss is not None:
        _loss(capture_named_loss(loss, num_classes=num_classes, label_kind=label_kind or "single"), out)


def _network(captured: CapturedModel, out: Path | None, weights: Path | None) -> None:
    for note in captured.notes:
        say(note)
    file = captured.save(out or "model.graph.json")
    numbers = sum(array.size for array in captured.weights.values())
    say(
        f"{len(captured.graph.nodes):,} operators, {numbers:,} trained numbers; for a picture "
        f"{multiplications(captured.multiplications)} multiplications."
    )
    say(f"Written: {file} (digest {captured.graph.digest()})")
    if weights is not None:
        say(f"Written: {weights} (SHA-256 {captured.save_weights(weights)})")


def multiplications(number: int) -> str:
    """How many there are as people read it: in millions from ten of them on, to the last one below."""
    return f"{number / 1e6:,.0f} million" if number >= 10**7 else f"{number:,}"


def _loss(captured: CapturedLoss, out: Path | None) -> None:
    for note in captured.notes:
        say(note)
    file = captured.save(out or "loss.graph.json")
    say(f"{len(captured.graph.nodes):,} operators; for a picture {captured.multiplications:,} multiplications.")
    say(f"Written: {file} (digest {captured.graph.digest()})")


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    commands.add(
        "capture",
        capture,
        argument("network", "module and function that makes the network, MODULE:FUNCTION", required=False),
        option("--loss", "in place of a network: module and function of a loss, MODULE:FUNCTION"),
        option("--image_shape", "of a network: height, width and channels, HEIGHTxWIDTHxCHANNELS"),
        option("--num_classes", "logits of a picture", kind=int, required=True),
        option(
            "--label_kind",
            "of a loss: single, a picture has one class, which is the default; multi, each class is a finding",
            choices=("single", "multi"),
        ),
        option("--out", "the file (default model.graph.json, or loss.graph.json)", kind=path),
        option("--weights", "file for the network's weights as they are, for --initial_weights of a study", kind=path),
        interrupted=FILES,
    )


def _shape(text: str) -> tuple[int, int, int]:
    try:
        height, width, channels = (int(part) for part in text.split("x"))
    except ValueError as error:
        raise click.UsageError("--image_shape must be HEIGHTxWIDTHxCHANNELS, as 224x224x3.") from error
    if height <= MOST_CHANNELS < min(width, channels):
        raise click.UsageError(
            f"--image_shape {text} has the channels first. They come last here: {width}x{channels}x{height}."
        )
    return height, width, channels
