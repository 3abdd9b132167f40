"""`python -m policies`: checks by hand what the tests check of the privacy that a hospital promises.

An entry point, and so the one place in this package that reaches into another: it hands the hospital's trainer to the
audit. Only drawn pictures are used; nothing private is read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from policies.errors import ConfigError, WanwuError
from policies.terminal.printing import say, say_error, say_json, show_everything

NOT_PASSED, NOT_RUN = 1, 2
DEFAULT_PICTURE = Path("out/audit.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 for an audit that did not pass, 2 for one that could not run."""
    show_everything()
    options = _parser().parse_args(arguments)
    try:
        return audit(options)
    except WanwuError as error:
        say_error(error)
        return NOT_RUN


def audit(options: argparse.Namespace) -> int:
    """Audits the training that hospitals run, and says what it found as JSON."""
    from datasites.training.audit import run_audit

    settings = {"engine": options.engine, "device": options.device}
    result = run_audit(broken=options.fault, unit=options.unit, seed=options.seed, **settings)
    if options.json:
        _write(options.json, json.dumps(result.to_dict()) + "\n")
    picture = options.picture or (options.json.with_suffix(".png") if options.json else DEFAULT_PICTURE)
    if not options.no_picture:
        from policies.audit_picture import write_picture

        subject = "Sound training" if options.fault is None else f"Training with {options.fault}"
        title = f"{subject} (unit: {options.unit}): the audit {'passes' if result.passed else 'does not pass'}"
        write_picture(picture, result, title=title)
        say(f"Drawn: {picture}", to_errors=True)
    say_json(result.to_dict())
    return 0 if result.passed else NOT_PASSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m policies", description="Checks of the privacy that is promised.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "audit",
        help="Measures from outside how much rounds of training give away.",
        description="Exits with 0 if the audit passes, 1 if it does not, 2 if it could not run.",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    command.add_argument(
        "--picture",
        type=Path,
        metavar="FILE.png",
        help="where the canaries' scores are drawn (default: beside --json, else out/audit.png)",
    )
    command.add_argument("--no_picture", action="store_true", help="draw nothing")
    command.add_argument("--unit", default="picture", help="privacy unit: picture (default) or patient")
    command.add_argument(
        "--break",
        dest="fault",
        metavar="FAULT",
        help="build a fault in, which must not pass: noise_off, half_noise, short_noise, noise_over_batch, reseed, "
        "no_clip, batch_clip, double_bound or double_rate",
    )
    command.add_argument("--engine", default="book_keeping", help="book_keeping (default) or opacus, as in plans")
    command.add_argument("--device", default="auto", help="auto (default) takes a GPU where there is one; or cpu")
    command.add_argument(
        "--seed", type=int, help="repeat the same audit; without it, randomness is the operating system's, as in a run"
    )
    return parser


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"The result cannot be written to {path}: {error.strerror}. Give another path.") from error


if __name__ == "__main__":
    sys.exit(main())
