"""The images hold what everything else is installed from, each package by one digest, and run as nobody."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from images import build
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


def test_what_only_compilers_read_is_left_out_where_there_is_no_compiler() -> None:
    packages = CONTAINERFILE.split(" AS datasite-packages\n")[1].split("\nFROM ")[0]
    without_gpu = packages.split('if [ "${VARIANT}" = cpu ]; then')[1].split("; fi \\")[0]
    (form,) = re.findall(r"-regex '(.*)' -delete", without_gpu)
    pattern = re.compile(form.replace(r"\(", "(").replace(r"\)", ")").replace(r"\|", "|"))
    gone = ["a/b.h", "a/b.c", "a/b.pyx", "a/b.cpp", "a/libx.a"]
    kept = ["a/b.py", "a/b.so", "a/b.so.1", "a/b.pyc", "a/LICENSE", "a/b.cfg", "a/b.schema", "a/b.csh", "a/ch"]
    assert all(pattern.fullmatch(one) for one in gone) and not any(pattern.fullmatch(one) for one in kept)
    assert packages.count("-regex") == 1


def _stage(name: str) -> str:
    return CONTAINERFILE.split(f" AS {name}\n")[1].split("\nFROM ")[0]


@pytest.mark.parametrize("target", ["datasite", "serving"])
def test_what_a_step_mounts_is_said_to_it_too_since_buildah_takes_an_earlier_build_otherwise(target: str) -> None:
    for stage, argument in ((_stage(f"{target}-packages"), "LAID"), (_stage(f"{target}-program"), "PROGRAM")):
        before, mount, _ = stage.partition("RUN --mount=type=bind,source=out/image")
        assert mount and f"ARG {argument}\n" in before


@pytest.mark.parametrize("target", ["datasite", "researcher", "serving"])
def test_a_label_of_another_commit_is_not_taken_from_an_earlier_build(target: str) -> None:
    before, label, _ = _stage(target).partition("LABEL")
    assert label and before.endswith('RUN : "${VERSION} ${REVISION} ${CREATED}"\n')


def test_what_is_said_of_a_mount_changes_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "OUT", tmp_path)
    (tmp_path / "wheels").mkdir()
    seen = []
    for content in ("one", "another", "one"):
        (tmp_path / "wheels" / "wanwu-0.3.0-py3-none-any.whl").write_text(content)
        seen.append(build.laid_out())
    assert seen[0] == seen[2] and seen[0]["PROGRAM"] != seen[1]["PROGRAM"] and seen[0]["LAID"] == seen[1]["LAID"]


def test_both_bills_are_written_into_each_image() -> None:
    for program in ("datasite", "serving"):
        stage = CONTAINERFILE.split(f" AS {program}-program\n")[1].split("\nFROM ")[0]
        assert "> /opt/wanwu/sbom.cdx.json" in stage and "> /opt/wanwu/python.cdx.json" in stage


def _build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[build.Build, list[list[str]]]:
    """A build whose commands are noted; that of the root writes an empty one."""
    calls: list[list[str]] = []

    def ran(command: list[str], *, environment: dict[str, str] | None = None) -> None:
        calls.append(command)
        if command[0] == "mmdebstrap":
            assert environment is not None and environment["SOURCE_DATE_EPOCH"].isdigit()
            Path(command[-1]).write_bytes(b"")

    monkeypatch.setattr(build, "OUT", folder)
    monkeypatch.setattr(build, "run", ran)
    monkeypatch.setattr(build.shutil, "which", lambda name: name)
    return build.Build("buildah", "cpu", ""), calls


def test_the_root_is_made_again_after_a_day_since_debian_mends_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making, calls = _build(tmp_path, monkeypatch)
    making._root()
    making._root()
    assert len(calls) == 1 and "--include=usr-is-merged," in " ".join(calls[0])
    yesterday = time.time() - 25 * 3600
    os.utime(tmp_path / "root.tar", (yesterday, yesterday))
    making._root()
    assert len(calls) == 2


def test_nothing_of_the_building_machine_is_left_in_the_root(tmp_path: Path) -> None:
    named = ["etc/hostname", "etc/resolv.conf", "var/cache/debconf/templates.dat", "var/log/apt/term.log"]
    for name in [*named, "etc/passwd", "var/lib/dpkg/status"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    for step in build._TIDIED[:2]:
        subprocess.run(["sh", "-ec", step, "sh", str(tmp_path)], check=True)
    left = {str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file()}
    assert left == {"etc/passwd", "var/lib/dpkg/status"}


def test_an_image_names_the_address_of_its_sources_where_one_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making, calls = _build(tmp_path, monkeypatch)
    making.make("serving")
    replace(making, source="https://sources.hospital.org/wanwu").make("serving")
    labels = [[one for one in call if one.startswith("org.opencontainers.image.source=")] for call in calls]
    # the root, which both begin with, says nothing: another build may have made it
    assert labels == [[], [], [], ["org.opencontainers.image.source=https://sources.hospital.org/wanwu"]]
