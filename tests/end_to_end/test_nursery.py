"""Datasites that tests fork from one process are what each would be had it imported everything itself."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.hospitals import ENVIRONMENT, Hospital, command, make_hospital
from support.nursery import Born, born_datasite
from support.waiting import CEILING_SECONDS

from datasites.files.state_folder import StateFolder
from datasites.state import identity as identities
from researcher.hospitals.federation import Federation


def test_each_is_the_server_of_its_own_folder_in_a_session_of_its_own(
    hospitals: dict[str, Hospital], federation: Federation
) -> None:
    for name, hospital in hospitals.items():
        identity = identities.load(StateFolder(hospital.state))
        assert federation.hospitals[name].client.id.no_dash == identity.server_uid
        assert hospital.process is not None
        assert os.getsid(hospital.process.pid) == hospital.process.pid
        assert Path(f"/proc/{hospital.process.pid}/cwd").samefile(Path.cwd())
    assert len({federation.hospitals[name].client.id for name in hospitals}) == len(hospitals)


def test_one_that_cannot_start_says_what_it_says_by_itself_and_ends_with_its_status(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    by_itself = command("-m", "datasites", "serve", "--stop_with_stdin", "--state", tmp_path / "none", check=False)
    born = born_datasite(tmp_path / "none", ENVIRONMENT)
    assert born.wait(timeout=CEILING_SECONDS) == by_itself.returncode != 0
    assert capfd.readouterr().err == by_itself.stderr != ""
    _close(born)


def test_its_end_is_told_as_a_process_of_ones_own_tells_it(tmp_path: Path, pictures: Path) -> None:
    hospital = make_hospital(tmp_path, "north", pictures)
    hospital.start(forked=True)
    born = hospital.process
    assert isinstance(born, Born)
    assert born.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        born.wait(timeout=0)
    hospital.wait_until_ready()
    born.kill()
    assert born.wait(timeout=CEILING_SECONDS) == -signal.SIGKILL == born.poll()
    assert not Path(f"/proc/{born.pid}").exists()
    born.terminate()  # nobody else is meant by a process id that was given up
    _close(born)
    hospital.process = None


def test_a_researchers_command_says_what_it_says_by_itself_and_ends_with_its_status(
    hospitals: dict[str, Hospital], tmp_path: Path
) -> None:
    credentials, words = hospitals["north"].credentials(), ("-m", "researcher", "catalog", "--credentials")
    for file, status in ((credentials, 0), (tmp_path / "none.json", 1)):
        told = [command(*words, file, check=False, forked=forked) for forked in (True, False)]
        assert [(done.returncode, done.stdout != "") for done in told] == [(status, status == 0)] * 2
        assert (told[0].stdout, told[0].stderr) == (told[1].stdout, told[1].stderr)


def _close(born: Born) -> None:
    for stream in (born.stdin, born.stdout):
        assert stream
        stream.close()
