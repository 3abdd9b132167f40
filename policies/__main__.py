"""`python -m policies`: checks by hand what the tests check of the privacy that a hospital promises.

An entry point, and so the one place in this package that reaches into another: it hands the hospital's trainer to the
audit. Only drawn pictures are used; nothing private is read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from policies.terminal.entry import INTERRUPTED, before_anything, without_environment

try:
    import click

    from policies.terminal.commands import Commands, option, option_of, path, refuse_together, run, switch
    from policies.terminal.printing import say, say_json, show_everything
    from policies.whole_file import check_writable, write_whole
except KeyboardInterrupt:
    sys.exit(before_anything())
except ModuleNotFoundError as missing:
    sys.exit(without_environment(missing))

if TYPE_CHECKING:
    from pathlib import Path

    from datasites.training.privacy_audit.audit import AuditResult

NOT_PASSED, NOT_RUN = 1, 2
DEFAULT_PICTURE = "out/audit.png"
RESULT, PICTURE = "The result", "The picture"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status.

    0; 1 for an audit that did not pass, 2 for one that could not run or be written, 130 for one that a person stopped.
    """
    show_everything()
    try:
        return run(make_program(), arguments, failed=NOT_RUN)
    except KeyboardInterrupt:
        say("Stopped. Nothing was measured to its end, and nothing is written.", to_errors=True)
        return INTERRUPTED


def make_program() -> Commands:
    """The program with its command."""
    program = Commands("python -m policies", "Checks of the privacy that is promised.")
    program.add("audit", audit, *_options(), later=_settings)
    return program


def audit(
    *,
    json_file: Path | None,
    picture: Path | None,
    no_picture: bool,
    fault: str | None,
    seed: int | None,
    unit: str,
    **settings: Any,
) -> int:
    """Measures from outside how much rounds of training give away. Status 1 if it does not pass, 2 if it cannot run."""
    import json

    from datasites.training.privacy_audit import run_audit

    refuse_together({"--no_picture": no_picture, "--picture": picture is not None})
    given = {name: value for name, value in settings.items() if value is not None}
    drawn = None if no_picture else picture or (json_file.with_suffix(".png") if json_file else path(DEFAULT_PICTURE))
    for file, what in ((json_file, RESULT), (drawn, PICTURE)):
        if file is not None:
            check_writable(file, what)
    result = run_audit(broken=fault, unit=unit, seed=seed, **given)
    _tell(result)  # first: whatever becomes of the files, what was measured is told
    if json_file:
        write_whole(json_file, f"{json.dumps(result.to_dict())}\n".encode(), RESULT)
    if drawn is not None:
        from policies.audit_picture import picture as png_of

        subject = "Sound training" if fault is None else f"Training with {fault}"
        title = f"{subject} (unit: {unit}): the audit {'passes' if result.passed else 'does not pass'}"
        write_whole(drawn, png_of(result, title=title), PICTURE)
        say(f"Drawn: {drawn}", to_errors=True)
    return 0 if result.passed else NOT_PASSED


def _tell(result: AuditResult) -> None:
    """Each check as a row where a person reads, else all of it in one line of JSON; and in words whether it passed."""
    if sys.stdout.isatty():
        width = max(len(one.name) for one in result.checks)
        say(f"{'looked at':{width}}  {'found':>9}  {'allowed':>8}  holds")
        for one in result.checks:
            say(f"{one.name:{width}}  {one.value:9.3g}  {one.allowed:8.3g}  {'yes' if one.holds else 'NO'}")
    else:
        say_json(result.to_dict())
    failed = [one.name for one in result.checks if not one.holds]
    if failed:
        say(
            f"Not passed: {len(failed)} of {len(result.checks)} checks do not hold: {', '.join(failed)}.",
            to_errors=True,
        )
    else:
        say(f"Passed: all {len(result.checks)} checks hold.", to_errors=True)


def _options() -> list[click.Parameter]:
    faults = (
        "build a fault in, which must not pass: noise_off, half_noise, short_noise, noise_over_batch, reseed, "
        "no_clip, batch_clip, double_bound or double_rate"
    )
    drawn = f"where the canaries' scores are drawn (default: beside --json, else {DEFAULT_PICTURE})"
    seed = "repeat the same audit; without it, randomness is the operating system's, as in a run"
    return [
        option("--json", "write the result there as well", name="json_file", kind=path, value="FILE"),
        option("--picture", drawn, kind=path, value="FILE.png"),
        switch("--no_picture", "draw nothing"),
        option("--unit", "privacy unit: picture or patient", default="picture"),
        option("--break", faults, name="fault", value="FAULT"),
        option("--seed", seed, kind=int),
    ]


def _settings() -> list[click.Parameter]:
    """Settings that runs take from their plan."""
    from policies.plans.rounds.run_spec import RunSpec
    from policies.settings import declared

    return [option_of(declared(RunSpec)[name], choices=()) for name in ("engine", "device")]


if __name__ == "__main__":
    sys.exit(main())
