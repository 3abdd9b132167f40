"""The command `serve`: a model file answers over HTTP on this machine. What is sent to it stays here, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from policies.terminal.commands import option, option_of, path
from policies.terminal.printing import say
from researcher.cli.commands import ResearcherCommands

if TYPE_CHECKING:
    from pathlib import Path


def serve(*, model_path: Path, public_pictures: Path | None, **given: Any) -> None:
    """Serves an exported model over HTTP: pictures in, probabilities out, none of them kept. Ends with Ctrl-C."""
    from researcher.serving.server import serve
    from researcher.serving.settings import ServingSettings

    settings = ServingSettings(**{name: value for name, value in given.items() if value is not None})
    if not settings.is_loopback and not settings.certificate:
        say(
            "Pictures and the token cross the network in clear, unless something in front of this server encrypts them."
        )

    def ready(address: str) -> None:
        say(f"Serving on {address} (Ctrl-C ends).")
        if public_pictures is None:
            say("No picture is flagged as unlike the training ones: give public ones of their kind, --public_pictures.")

    serve(model_path, settings, public_pictures=public_pictures, ready=ready)


def add_commands(commands: ResearcherCommands) -> None:
    """Adds this command to the program."""
    model = option("--model_path", "ONNX file that an export wrote", kind=path, value="FILE", required=True)
    told = "public pictures of the model's kind, as for 'evaluate --test', to flag what is unlike them"
    public = option("--public_pictures", told, kind=path, value="DATA")
    commands.add("serve", serve, model, public, later=_settings, interrupted="Nothing is served any more.")


def _settings() -> Sequence[click.Parameter]:
    from policies.settings import declared
    from researcher.serving.settings import ServingSettings

    return [option_of(one) for one in declared(ServingSettings).values()]
