"""The check of the hospital's Slurm cluster, where runs are started there: programs, partition, a step of a trial."""

from __future__ import annotations

import re
from collections.abc import Iterator

from datasites.doctor.finding import OK, PROBLEM, WARNING, ExaminedDatasite, Finding
from datasites.runs.slurm.srun import Slurm
from datasites.runs.slurm.trial import Trial, try_out
from policies import __version__
from policies.errors import ConfigError

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d+):\d+")

# No fault of the cluster's: kernels are compiled by the datasite's machine, for its own GPUs alone.
_WITHOUT_KERNELS = (
    "private training with a GPU takes torch's operations there, as no kernels are compiled for the cluster: each "
    "step makes gradients and noise more slowly, with the same results"
)


def slurm(examined: ExaminedDatasite) -> Iterator[Finding]:
    """Whether Slurm takes a run, and whether it would be closed in on the node that it gets."""
    config, state = examined.config, examined.state
    if not config.on_slurm:
        return
    cluster = Slurm(config, config.run_limits, config.threads_per_run, state.path)
    gpus = config.gpus_per_run if config.runs_per_gpu else 0
    try:
        yield Finding("Slurm", OK, cluster.version())
        partition = cluster.partition()
        yield _of_partition(partition, cluster.minutes(config.wall_seconds_per_run))
        if partition.get("State") == "UP":
            trial = try_out(cluster, (state.store, state.blobs, state.path / "scratch"), gpus=gpus)
            yield from _of_trial(trial, cluster, gpus, required=config.require_sandbox)
    except ConfigError as error:
        advice = "See what Slurm says, and the slurm_ settings of config.toml: runs fail like this, and cost nothing."
        yield Finding("Slurm", PROBLEM, f"{error.public} {error.private}".strip(), advice)


def _of_partition(partition: dict[str, str], minutes: int) -> Finding:
    name, state, most = partition.get("PartitionName", ""), partition.get("State", ""), _minutes(partition)
    if state != "UP":
        text = f"partition {name} is {state.lower()}"
        return Finding("Slurm", PROBLEM, text, "Runs wait for it, for slurm_wait_minutes. Ask the cluster's people.")
    if most is not None and most < minutes:
        text = f"partition {name} gives a job {most} minutes, and a run may ask for {minutes}"
        advice = "Such runs wait and never begin. Set slurm_minutes to what the partition gives."
        return Finding("Slurm", WARNING, text, advice)
    return Finding("Slurm", OK, f"partition {name} is up")


def _of_trial(trial: Trial | None, cluster: Slurm, gpus: int, *, required: bool) -> Iterator[Finding]:
    if trial is None:
        advice = "The sandbox was not tried there. Run the doctor again when one is free."
        yield Finding("Slurm", WARNING, "no node is free for a trial now", advice)
        return
    problems = 0
    if trial.version != __version__:
        problems += 1
        text = f"node {trial.node} has release {trial.version} of this platform, and the datasite {__version__}"
        yield Finding("Slurm", PROBLEM, text, "Both must see the same environment, at the same path.")
    for folder in trial.unseen:
        problems += 1
        text = f"node {trial.node} does not see {folder}"
        yield Finding("Slurm", PROBLEM, text, "Mount it there at the same path, for the account that runs have.")
    for piece, why in trial.missing.items():
        problems += 1
        level, advice = (PROBLEM, "Runs are refused without it.") if required else (WARNING, "Runs go on without it.")
        yield Finding("Slurm", level, f"node {trial.node} has no {piece}: {why}", advice)
    if gpus and (why := trial.refuses_gpus(cluster, gpus)):
        problems += 1
        advice = "Set ConstrainDevices=yes, ConstrainRAMSpace=yes and AllowedRAMSpace=100 in Slurm's cgroup.conf."
        yield Finding("Slurm", PROBLEM, f"node {trial.node}: {why}", advice)
    if not problems:
        yield Finding("Slurm", OK, f"a step on node {trial.node} can be closed in")
    if gpus:
        yield Finding("Slurm", OK, _WITHOUT_KERNELS)


def _minutes(partition: dict[str, str]) -> int | None:
    """The longest that a job may take, in minutes; None where there is no limit."""
    found = _TIME.fullmatch(partition.get("MaxTime", ""))
    if found is None:
        return None
    days, hours, minutes = (int(found[name] or 0) for name in ("days", "hours", "minutes"))
    return (days * 24 + hours) * 60 + minutes
