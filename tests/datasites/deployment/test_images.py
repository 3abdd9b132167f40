"""The images hold what everything else is installed from, each package by one digest, and run as nobody."""

from __future__ import annotations

import re

import pytest
from images.build import DEBIAN, LOCKS
from images.locks import is_for_gpus
from support.chart_tools import PROJECT

CONTAINERFILE = (PROJECT / "Containerfile").read_text()
LINE = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


def _lock(name: str) -> dict[str, str]:
    lines = [line for line in (LOCKS / f"{name}.txt").read_text().splitlines() if not line.startswith("#")]
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), name
    return {one[1]: one[2] for one in found if one}


def _pins(file: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", (PROJECT / file).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_package_of_a_lock_has_the_version_of_the_closure() -> None:
    whole = _pins("requirements.txt")
    assert _lock("cuda").items() <= whole.items()
    assert _lock("serving") == _pins("researcher/serving/requirements.txt")
    assert {"syft", "torch", "opacus"} <= _lock("cuda").keys()


def test_without_a_gpu_nothing_is_left_out_but_what_gpus_need() -> None:
    cpu, cuda = _lock("cpu"), _lock("cuda")
    assert cpu.items() <= cuda.items()
    left_out = cuda.keys() - cpu.keys()
    assert left_out == {name for name in cuda if is_for_gpus(name)} and {"triton", "nvidia-cublas"} <= left_out
    assert "nvidia-cuda-runtime" in cpu


def test_no_image_but_the_one_for_gpus_has_a_compiler() -> None:
    assert not set(DEBIAN["cpu"]) & {"gcc", "libc6-dev", "python3.11-dev"}
    assert "gcc" in DEBIAN["cuda"]
    assert "gcc" not in CONTAINERFILE


@pytest.mark.parametrize("target", ["datasite", "researcher", "serving"])
def test_an_image_runs_as_an_account_without_rights_and_says_what_it_is(target: str) -> None:
    stage = CONTAINERFILE.split(f" AS {target}\n")[1].split("\nFROM ")[0]
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in stage
    (program,) = re.findall(rf"FROM (\S+)-program AS {target}\n", CONTAINERFILE)
    assert "\nUSER 10001:10001\n" in CONTAINERFILE.split(f" AS {program}-program\n")[1].split("\nFROM ")[0]
    assert "USER" not in stage


def test_packages_are_installed_from_what_was_laid_out_and_by_digest() -> None:
    installs = [line for line in CONTAINERFILE.splitlines() if "pip install" in line and "-r /tmp/lock.txt" in line]
    assert len(installs) == CONTAINERFILE.count("PIP_NO_INDEX=1") == 2
    assert CONTAINERFILE.count("PIP_REQUIRE_HASHES=1") == 2
