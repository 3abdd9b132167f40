"""A whole study in one command: hospitals, their approvals, its rounds, a report.

The hospitals' side is driven as its people would drive it, by the platform's own commands in processes of their own;
this process is the researcher's, and sees of the hospitals only what a researcher sees.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from policies.answers import rounded
from policies.errors import ConfigError
from policies.inside_folder import inside
from policies.plans.training import TrainingPlan
from policies.terminal.rich_terminal import PlainConsole, line
from researcher.evaluation.evaluation import Evaluation, evaluate
from researcher.evaluation.hold_out import HoldOut, load_hold_out
from researcher.hospitals.federation import Federation
from researcher.planning.planning import StudySettings, make_plan, study_epsilon
from researcher.planning.recipes import auto
from researcher.reports import wording
from researcher.studies.history import PrivacySpent
from researcher.studies.study import Study
from researcher.terminal.progress import RoundDisplay
from researcher.terminal.training_session import result_of, wait_and_run, write_all

_PROJECT = Path(__file__).resolve().parents[1]
EPSILON, DELTA = 8.0, 1e-5
MIN_CLIENTS = 2
_ROUNDS_OF_GIVEN = 50


def run_demo(
    *, data: Path | None, test: Path | None, out: Path, num_rounds: int | None = None, port: int = 8081
) -> None:
    """Runs the whole study and writes `out`.

    Args:
        data: Pictures of several hospitals, a folder or an .npz file; None draws them.
        test: Public hold-out in the same form; needed with `data`.
        out: Folder to write; what an earlier demo left there is replaced.
        num_rounds: Rounds, or the recipe's if None.
        port: The first hospital's port.

    Raises:
        ConfigError: `data` without `test`, a path that is not there, or `test` within `data`.
        WanwuError: Whatever goes wrong on the way.
    """
    console = PlainConsole()
    _check_paths(data, test)
    begun = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    states = out / "state"
    shutil.rmtree(states, ignore_errors=True)
    shutil.rmtree(out / "studies", ignore_errors=True)
    console.rule("Hospitals start their datasites")
    with _hospitals(states, data, port, console):
        test = test or states / "drawn" / "hold_out.npz"
        with Federation.connect(str(states / "*" / "credentials" / "*.json")) as federation:
            _study(federation, states, out, test, num_rounds, console)
    console.print()
    took = time.monotonic() - begun
    console.print(f"The whole demo took {took:.0f} s. Look at {out / 'report.html'}", soft_wrap=True)


def _study(
    federation: Federation, states: Path, out: Path, test: Path, num_rounds: int | None, console: PlainConsole
) -> None:
    datasets = federation.datasets()
    given = test.parent.name != "drawn"
    settings = recipe(given=given)
    if num_rounds is not None:
        settings = replace(settings, num_rounds=num_rounds)
    console.rule("The researcher plans and submits")
    plan = make_plan(settings, datasets)
    first = datasets[0]
    hold_out = load_hold_out(
        test, class_names=first.class_names, image_shape=first.image_shape, form=first.form, label_kind=first.label_kind
    )
    _print_plan(plan, console)
    with console.status("The plan is checked on made-up pictures, and asked for at each hospital ..."):
        study = Study.submit(federation, plan, out / "studies" / "all")
        alone = {
            one.datasite: Study.submit(
                federation.only(one.datasite),
                replace(plan_alone(plan, one.public_size, given=given), study=f"{plan.study}-{one.datasite}"),
                inside(out / "studies", one.datasite),
            )
            for one in datasets
        }
    console.rule("Each hospital's admin reviews and approves")
    _approve(states, [study, *alone.values()], console)
    console.rule("Rounds")
    state, history = wait_and_run(study, hold_out, console=console, min_clients=MIN_CLIENTS, seed=0)
    console.rule("For comparison: as many steps, with the same noise, at each hospital alone")
    local_only, spent = _alone(alone, hold_out, console)
    total = {name: _together(study.privacy(history)[name], spent[name], plan) for name in spent}
    result = replace(result_of(study, state, history, hold_out), local_only=local_only, privacy_total=total)
    write_all(out, study, state, history, result)
    console.rule("Result")
    score, value = wording.headline(result.final)
    console.print(line(f"  all hospitals together   {score} ", (value, "bold")))
    for name, scores in local_only.items():
        console.print(f"  {name + ' alone':<24} {score} {wording.headline(scores)[1]}")
    for one in (study, *alone.values()):
        one.end()


def recipe(*, given: bool) -> StudySettings:
    """The demo's plan, for drawn or `given` pictures: docs/decisions/0010 says how its values were found.

    Half of the hospital's budget goes to the common study, half to the same study at that hospital alone.
    """
    settings = StudySettings(study="demo" if given else "blood-cells", epsilon=EPSILON, delta=DELTA, repetitions=2)
    if given:
        return replace(settings, recipe="auto", model="scattering_linear", num_rounds=_ROUNDS_OF_GIVEN)
    return replace(
        settings,
        model="small_cnn",
        num_rounds=10,
        local_epochs=2.0,
        sample_rate=0.2,
        learning_rate=0.96,
        learning_rate_schedule="cosine",
        server_momentum=0.5,
        server_averaging=0.5,
        augmentation="flips_and_turns",
    )


def plan_alone(plan: TrainingPlan, public_size: int, *, given: bool) -> TrainingPlan:
    """The plan of the comparison: the same steps, sample rate and noise, so the same epsilon.

    With fewer pictures the same noise weighs more, so the recipe takes smaller steps for one hospital alone.
    """
    if not given:
        return plan
    alone = auto(plan.model, [public_size], epsilon=EPSILON, delta=DELTA, rounds=plan.rounds, repetitions=2)
    return replace(plan, learning_rate=min(plan.learning_rate, alone.learning_rate))


def _alone(
    studies: dict[str, Study], hold_out: HoldOut, console: PlainConsole
) -> tuple[dict[str, Evaluation], dict[str, PrivacySpent | None]]:
    """Runs each hospital's own study, all at the same time, and scores what it ends with."""
    from datasites.training.models import initial_weights

    plan = next(iter(studies.values())).plan
    with RoundDisplay(console, list(studies), rounds=plan.rounds) as display:

        def run(name: str) -> tuple[Evaluation, PrivacySpent | None]:
            study = studies[name]
            state, history = study.run(
                hold_out=hold_out,
                initial_weights=initial_weights(study.plan.model, 0),
                min_clients=1,
                on_event=display.on_event,
            )
            return evaluate(study.plan.model, state.model, hold_out), study.privacy(history)[name]

        with ThreadPoolExecutor(len(studies)) as pool:
            found = dict(zip(studies, pool.map(run, studies), strict=True))
    return {name: scores for name, (scores, _) in found.items()}, {name: spent for name, (_, spent) in found.items()}


def _together(first: PrivacySpent | None, second: PrivacySpent | None, plan: TrainingPlan) -> PrivacySpent | None:
    """What both studies spent at one hospital: their steps composed, not their epsilons added."""
    if first is None or second is None or plan.privacy is None:
        return None
    epsilon = study_epsilon(replace(plan, rounds=2 * plan.rounds))
    return PrivacySpent(float(epsilon or 0.0), plan.privacy.delta, plan.privacy.unit)


def _print_plan(plan: TrainingPlan, console: PlainConsole) -> None:
    epsilon = study_epsilon(plan)
    noise = f"noise multiplier {plan.privacy.noise_multiplier:.2f}" if plan.privacy else "no noise"
    cost = "without differential privacy" if epsilon is None else rounded.at_delta(epsilon, DELTA)
    console.print(
        f"  {plan.model.name} on '{plan.dataset}': {plan.rounds} rounds of {plan.steps_per_round} steps, sample rate "
        f"{plan.sample_rate:g}, {noise}: {cost} for each study"
    )


# --- the hospitals' side, by its own commands --------------------------------------------------------------


@contextlib.contextmanager
def _hospitals(states: Path, data: Path | None, port: int, console: PlainConsole) -> Iterator[None]:
    """Runs launch_datasites.py beside this process; its output is the hospitals' part of the demo's terminal.

    It stops with its standard input, so with this process, however that ends.
    """
    command = [
        sys.executable,
        str(_PROJECT / "launch_datasites.py"),
        "--state",
        str(states),
        "--port",
        str(port),
        "--stop_with_stdin",
    ]
    if data is not None:
        command += ["--data_path", str(data)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,  # a bar of its own in this terminal would take turns with the one below
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    lines: list[str] = []
    ready = threading.Event()

    def relay() -> None:
        for said in process.stdout or ():
            lines.append(said)
            if not ready.is_set() and "datasites are ready" not in said:
                console.print(said.rstrip(), soft_wrap=True)
            else:
                ready.set()
        ready.set()

    def warn() -> None:
        for said in process.stderr or ():
            console.print(said.rstrip(), soft_wrap=True)

    warnings = threading.Thread(target=warn, daemon=True)
    warnings.start()
    threading.Thread(target=relay, daemon=True).start()
    try:
        with console.status("Hospitals read their pictures and start ..."):
            ready.wait()
        if process.poll() is not None or not any(said.startswith("All datasites") for said in lines):
            warnings.join(timeout=10)
            raise ConfigError("The hospitals did not start; the line above says why.")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _approve(states: Path, studies: list[Study], console: PlainConsole) -> None:
    """Approves every request as each hospital's admin would, through the hospital's command line."""
    for study in studies:
        for name, request in study.requests.items():
            command = [
                sys.executable,
                "-m",
                "datasites",
                "approve",
                request.request_id,
                "--state",
                str(inside(states, name)),
            ]
            done = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
            if done.returncode != 0:
                raise ConfigError(f"{name} could not approve '{study.plan.study}': {done.stderr.strip()}")
            console.print(line("  ", (name, "green"), f"  {study.plan.study}: {done.stdout.strip()}"))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_PROJECT)}


def _check_paths(data: Path | None, test: Path | None) -> None:
    if data is not None and test is None:
        raise ConfigError(
            "Give a public hold-out for your pictures too, in the same form: --test PATH, or TEST=PATH with make."
        )
    if test is not None and data is None:
        raise ConfigError(
            "A hold-out (--test, TEST= with make) goes with pictures (--data, DATA=): drawn ones bring their own."
        )
    for name, path in (("--data", data), ("--test", test)):
        if path is not None and not path.exists():
            raise ConfigError(f"{name}: there is no {path}.")
    if data is not None and test is not None and test.resolve().is_relative_to(data.resolve()):
        raise ConfigError(
            f"--test: the pictures in {test} are among those that hospitals train on, which are in {data}. Move them "
            "elsewhere, or give others that no hospital trains on."
        )
