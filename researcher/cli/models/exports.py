"""The command `export`: a global model in a file for other programs. No private picture is read for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from policies.terminal.commands import option, path, refuse_together, switch
from policies.terminal.printing import say
from researcher.cli.commands import FILES, ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("onnx", "onnx-int8", "litert", "coreml", "executorch")


def export(
    *,
    model_path: Path | None,
    study: Path | None,
    hospital: str | None,
    format: str,
    out: Path | None,
    test: Path | None,
    calibrate_on: Path | None,
    backbone_weights: str | None,
    set_up: bool,
) -> None:
    """Writes a global model as a file for other programs, after holding it against the trained one."""
    from researcher.exports.converters import CONVERTERS

    if set_up:
        if format not in CONVERTERS:
            raise click.UsageError(f"--set_up goes with --format {' or '.join(CONVERTERS)}.")
        CONVERTERS[format].set_up()
        say(f"The converter to {format} is set up.")
        return
    from researcher.exports.order import ExportOrder
    from researcher.terminal.training_session import model_file

    refuse_together({"--model_path": model_path is not None, "--study": study is not None})
    if hospital is not None and study is None:
        raise click.UsageError("--hospital names whose model of a study it is: give the study's folder with --study.")
    file = model_path or (None if study is None else model_file(study, hospital))
    if file is None:
        raise click.UsageError("Give a global model with --model_path, or the folder of a study with --study.")
    order = ExportOrder(
        format, out, test=test, calibrate_on=calibrate_on, backbone_weights=backbone_weights, say=lambda text: say(text)
    )
    for told in order.export(file).told():
        say(told)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    public = "public pictures, as of 'evaluate'"
    commands.add(
        "export",
        export,
        option("--model_path", "global model, .safetensors", kind=path),
        option("--study", "folder of a finished study, instead", kind=path),
        option("--hospital", "of that study: this hospital's model, where each has one", value="NAME"),
        option("--format", "of the file", choices=FORMATS, default="onnx"),
        option("--out", "the file (default: beside the model)", kind=path),
        option("--test", f"{public}, on which it is compared (default: 500 drawn ones)", kind=path),
        option("--calibrate_on", f"{public}, for the ranges of onnx-int8 (default: drawn ones)", kind=path),
        option("--backbone_weights", "public weights of a features model's backbone, exported with it", value="SOURCE"),
        switch("--set_up", "install the converter to this format, in an environment of its own, and end"),
        interrupted=FILES,
    )
