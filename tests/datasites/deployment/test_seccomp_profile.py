"""The profile of system calls for a container holds what the sandbox of a run needs, and not what opens the machine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.chart_tools import PROJECT

from datasites.runs.sandbox import kernel, namespaces

PROFILE: dict[str, Any] = json.loads((PROJECT / "datasites" / "deployment" / "seccomp.json").read_text())
MASKED = "SCMP_CMP_MASKED_EQ"


def _allowed(call: str, first_argument: int = 0) -> bool:
    for rule in PROFILE["syscalls"]:
        if call in rule["names"]:
            assert rule["action"] == "SCMP_ACT_ALLOW"
            return all(
                one["index"] == 0 and one["op"] == MASKED and first_argument & one["value"] == one["valueTwo"]
                for one in rule.get("args", ())
            )
    return False


def test_what_is_not_named_does_not_exist() -> None:
    assert (PROFILE["defaultAction"], PROFILE["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)


@pytest.mark.parametrize("flag", [kernel.CLONE_NEWUSER, *namespaces.KINDS.values()])
def test_a_run_may_give_itself_each_namespace_of_its_sandbox(flag: int) -> None:
    assert _allowed("unshare", flag)


@pytest.mark.parametrize("flag", [0x0002_0000, 0x0200_0000, 0x0400_0000], ids=["mounts", "cgroups", "names"])
def test_no_other_kind_of_namespace_is_given(flag: int) -> None:
    assert not _allowed("unshare", flag) and not _allowed("unshare", flag | kernel.CLONE_NEWUSER)
    assert not _allowed("clone", flag) and _allowed("clone", 0x0001_0000)


@pytest.mark.parametrize(
    "call", ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl", "seccomp", "capset"]
)
def test_a_run_may_close_itself_in(call: str) -> None:
    assert _allowed(call)


@pytest.mark.parametrize(
    "call",
    [
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "ptrace",
        "process_vm_readv",
        "bpf",
        "perf_event_open",
        "init_module",
        "kexec_load",
        "keyctl",
        "add_key",
        "io_uring_setup",
        "userfaultfd",
        "open_by_handle_at",
        "reboot",
        "clone3",
        "settimeofday",
        "sethostname",
        "swapon",
        "syslog",
        "personality",
        "quotactl",
        "mknod",
        "fsopen",
        "move_mount",
    ],
)
def test_calls_that_reach_the_machine_or_other_processes_are_refused(call: str) -> None:
    assert not _allowed(call)
