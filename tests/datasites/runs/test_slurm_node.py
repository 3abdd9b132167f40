"""What a step finds on its node, and how a run's command is put together: on folders that say what a node would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.runs.gpus import Gpu
from datasites.runs.processes.process import ForkServer
from datasites.runs.sandbox.confinement import Confinement
from datasites.runs.sandbox.limits import RunLimits
from datasites.runs.slurm import node
from datasites.runs.slurm.launcher import SlurmLauncher, launcher_of, leased_gpus
from datasites.runs.slurm.settings import SlurmSettings
from datasites.runs.slurm.srun import Slurm
from policies.errors import ConfigError, SandboxMissing

LIMITS = RunLimits(3 << 30, 60, 60, 64, 1 << 20)


def groups(folder: Path, own: str, limits: dict[str, str]) -> dict[str, Path]:
    """Control groups as a node's kernel would show them."""
    (folder / "own").write_text(own)
    for file, value in limits.items():
        (folder / "root" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "root" / file).write_text(value)
    return {"own": folder / "own", "root": folder / "root"}


STEP = "system.slice/slurmstepd.scope/job_7/step_0/user/task_0"


@pytest.mark.parametrize(
    ("own", "limits", "least"),
    [
        (
            f"0::/{STEP}\n",
            {f"{STEP}/memory.max": "max", "system.slice/slurmstepd.scope/job_7/memory.max": "4096"},
            4096,
        ),
        (f"0::/{STEP}\n", {f"{STEP}/memory.max": "max"}, None),
        ("3:cpu:/x\n4:memory:/slurm/job_7\n0::/\n", {"memory/slurm/job_7/memory.limit_in_bytes": "8192"}, 8192),
        ("4:memory:/slurm\n", {"memory/slurm/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/\n", {}, None),
    ],
    ids=["second version, a group above", "no limit", "first version", "first version's word for none", "no group"],
)
def test_the_least_limit_on_memory_counts(tmp_path: Path, own: str, limits: dict[str, str], least: int | None) -> None:
    assert node.memory_limit(**groups(tmp_path, own, limits)) == least


def test_a_gpu_is_the_steps_where_it_can_be_opened(tmp_path: Path) -> None:
    gpus = tuple(Gpu(minor, f"GPU-{minor}") for minor in range(3))
    (tmp_path / "nvidia1").touch()
    assert node.own_gpus(gpus, tmp_path) == gpus[1:2]


@pytest.mark.parametrize(
    ("limit", "openable", "lacking"),
    [
        (4 << 30, 2, ""),
        ((4 << 30) + 1, 2, "control group"),
        (None, 2, "control group"),
        (4 << 30, 3, "device rules"),
        (4 << 30, 0, "device rules"),
    ],
)
def test_a_run_with_gpus_needs_just_its_own_and_a_limit_on_memory(
    monkeypatch: pytest.MonkeyPatch, limit: int | None, openable: int, lacking: str
) -> None:
    there = tuple(Gpu(minor, f"GPU-{minor}") for minor in range(openable))
    monkeypatch.setattr(node, "own_gpus", lambda present: there)
    monkeypatch.setattr(node, "memory_limit", lambda: limit)
    asked = Confinement(LIMITS, True, Path("/nonexistent"), 0, (Gpu(0, ""), Gpu(1, "")))
    if not lacking:
        assert node.settled(asked).gpus == there
        assert node.settled(replace(asked, gpus=())).gpus == ()  # what it did not ask for it does not get
        return
    with pytest.raises(SandboxMissing) as refused:
        node.settled(asked)
    assert lacking in refused.value.private


def test_a_job_is_asked_for_with_what_the_run_may_take_and_names_nothing_of_it(tmp_path: Path) -> None:
    settings = SlurmSettings(runs_on="slurm", slurm_partition="gpu", slurm_account="imaging", slurm_gpu_type="h100")
    slurm = Slurm(settings, LIMITS, 4, tmp_path)
    asked = slurm.step("name", gpus=2, minutes=slurm.minutes(3600))
    assert {"--partition=gpu", "--account=imaging", "--gres=gpu:h100:2", "--job-name=name"} <= set(asked)
    assert {"--cpus-per-task=4", "--mem=4096M", "--time=136", "--nodes=1", "--ntasks=1"} <= set(asked)
    assert not [word for word in asked if "qos" in word or "immediate" in word or str(tmp_path) in word]
    (exported,) = [word for word in asked if word.startswith("--export=")]
    assert "ALL" not in exported and "OMP_NUM_THREADS=4" in exported
    assert [word for word in slurm.step("name", gpus=0, minutes=1) if "gres" in word] == []
    assert Slurm(replace(settings, slurm_minutes=30), LIMITS, 4, tmp_path).minutes(3600) == 30


def test_nothing_of_the_datasites_surroundings_reaches_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SLURM_PARTITION", "SRUN_DEBUG", "SBATCH_ACCOUNT", "SECRET"):
        monkeypatch.setenv(name, "elsewhere")
    assert set(Slurm(SlurmSettings(), LIMITS, 1, tmp_path).environment()) <= {"PATH", "SLURM_CONF", "HOME", "LC_ALL"}
    monkeypatch.setenv("VIRTUAL_ENV", "/opt/one,two")
    with pytest.raises(ConfigError, match="takes no comma"):
        Slurm(SlurmSettings(), LIMITS, 1, tmp_path).step("name", gpus=0, minutes=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"slurm_partition": "--gres=gpu:8"},
        {"slurm_account": "a b"},
        {"slurm_constraint": "a;b"},
        {"runs_on": "kubernetes"},
        {"slurm_programs": "bin"},
        {"slurm_wait_minutes": 0},
        {"slurm_minutes": -1},
        {"runs_on": "slurm", "runs_per_gpu": 2},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_a_setting_that_slurm_could_not_know_is_refused(settings: dict[str, str | int]) -> None:
    with pytest.raises(ConfigError):
        DatasiteConfig(name="north", **settings)  # type: ignore[arg-type]


def test_settings_say_where_runs_are_started_and_how_many_gpus_they_are_leased(tmp_path: Path) -> None:
    state, here = StateFolder(tmp_path), ForkServer(log=tmp_path / "runs.log", threads=1)
    assert launcher_of(DatasiteConfig(name="north"), state, here) is here
    config = DatasiteConfig(name="north", runs_on="slurm", gpus_per_run=2, concurrent_runs=3)
    assert isinstance(launcher_of(config, state, here), SlurmLauncher)
    assert len(leased_gpus(config)) == 6
    assert DatasiteConfig.from_toml(_written(tmp_path, config)) == config


def _written(folder: Path, config: DatasiteConfig) -> Path:
    (folder / "config.toml").write_text(config.to_toml())
    return folder / "config.toml"
