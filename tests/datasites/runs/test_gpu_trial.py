"""What hides a GPU from runs is found and named, with a stand-in for the driver's library: this machine has no GPU."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.driver_stand_in import build

from datasites.runs.gpus import Gpu
from datasites.runs.sandbox import gpu_trial
from datasites.runs.sandbox.confinement import sandbox_report
from datasites.runs.sandbox.gpu_trial import GpuTrial, try_gpu
from datasites.runs.sandbox.limits import RunLimits

GPU = Gpu(0, "GPU-00000000-1111-2222-3333-444444444444")
LIMITS = RunLimits(1 << 32, 60, 60, 64, 1 << 20)
LACKING = [piece.piece for piece in sandbox_report() if piece.required and not piece.present]

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {', '.join(LACKING)}"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]
Trial = Callable[[str], GpuTrial]


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """Tries a GPU whose driver wants these things to start."""

    def tried(wants: str) -> GpuTrial:
        return try_gpu(GPU, LIMITS, tmp_path / "state", library=str(build(tmp_path / "driver", wants)))

    return tried


def test_a_driver_that_wants_what_nvidias_does_shows_a_run_its_gpu(trial: Trial) -> None:
    wanted = ("/proc/modules", "/proc/sys/vm/mmap_min_addr", "/proc/devices", "/sys/devices/system/node/online")
    there = [file for file in wanted if Path(file).exists()]
    found = trial(f"names listens memory /proc/self/maps /proc/self/status /proc/meminfo {' '.join(there)}")
    assert found.seen, found.told


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are such an account's")
@pytest.mark.parametrize("covered", [False, True])
def test_an_account_that_is_not_roots_sees_its_gpu_too(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covered: bool
) -> None:
    """It has a user namespace around its others, in which it may list its own processes, unless parts are covered."""
    library = str(tmp_path / "driver" / "libcuda.so.1")  # in a folder that is closed to it
    cover = "libc = gpu_trial.kernel.libc()\ngpu_trial.kernel.unshare(gpu_trial.kernel.CLONE_NEWNS)\n"
    cover += "gpu_trial.kernel.mount(None, '/', gpu_trial.kernel.MS_REC | gpu_trial.kernel.MS_SLAVE)\n"
    cover += "assert libc.mount(b'/dev/null', b'/proc/kmsg', None, 4096, None) == 0\n"  # as ProtectKernelLogs does
    leave = f"import os\ngpu_trial.cuda_driver.load({library!r})\nos.setgroups([])\n"
    leave += "os.setresgid(65000, 65000, 65000)\nos.setresuid(65000, 65000, 65000)\n"
    leave += "gpu_trial.kernel.prctl(gpu_trial.kernel.PR_SET_DUMPABLE, 1)\n"  # as a program that this account starts is
    imports = "import sysconfig\nfrom datasites.runs.sandbox import gpu_trial\nsysconfig.get_config_vars()\n"
    monkeypatch.setattr(gpu_trial, "_PROGRAM", f"{imports}{cover if covered else ''}{leave}gpu_trial.main()")
    monkeypatch.setattr(gpu_trial, "draw_uid", lambda: 65000)
    found = trial("names listens memory /proc/self/maps")
    assert found.seen is not covered, found.told
    if covered:
        assert found.hiding == ("process namespace",) and "no own process list (" in found.told, found


@pytest.mark.parametrize(
    ("wants", "piece"),
    [
        ("names starts", "system call filter"),
        ("names /etc/hostname", "file rules"),
        ("names listens visible", "environment"),
        pytest.param(
            "account", "own account", marks=pytest.mark.skipif(os.geteuid() != 0, reason="not started as root")
        ),
    ],
)
def test_the_piece_that_hides_a_gpu_is_named_with_the_drivers_words(trial: Trial, wants: str, piece: str) -> None:
    found = trial(wants)
    assert not found.seen and found.hiding == (piece,) and not found.together, found
    assert piece in found.told and "error 304, CUDA_ERROR_OPERATING_SYSTEM" in found.told


def test_pieces_that_hide_it_each_by_itself_are_all_named(trial: Trial) -> None:
    found = trial("/etc/hostname starts visible")
    assert set(found.hiding) == {"environment", "file rules", "system call filter"} and found.together, found
    assert "each of these pieces" in found.told


def test_where_no_process_sees_it_the_sandbox_is_not_blamed(trial: Trial, tmp_path: Path) -> None:
    found = trial("/nowhere/at-all")
    assert not found.hiding and "no process sees it" in found.told
    missing = try_gpu(GPU, LIMITS, tmp_path / "state", library=str(tmp_path / "none.so"))
    assert "none.so could not be loaded" in missing.told and "no process sees it" in missing.told


def test_without_a_list_of_its_own_processes_no_thread_can_be_named(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why runs with a GPU have one: the numbers of threads in a process namespace are no others' numbers."""
    program = "from datasites.runs.sandbox import gpu_trial, namespaces\n"
    program += "def refused(): raise OSError('covered')\n"
    program += "namespaces.list_own_processes = refused\ngpu_trial.main()"
    monkeypatch.setattr(gpu_trial, "_PROGRAM", program)
    found = trial("names")
    assert found.hiding == ("process namespace",), found
    assert "no own process list (covered)" in found.told and "names of threads (ENOENT)" in found.told
