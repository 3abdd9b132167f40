"""Two of a researcher's commands with one study's folder, at real hospitals: nothing is asked for or spent twice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from support.hospitals import CLASSES, ENVIRONMENT, Hospital, command, draw_pictures, requests_of
from support.nursery import Born, born_researcher
from support.waiting import CEILING_SECONDS, wait_for

ROUNDS = 2


@contextmanager
def _begun(words: list[str], out: Path) -> Iterator[Born]:
    """A command that has begun; killed in the end, if it goes on."""
    with out.open("w") as stream:
        process = born_researcher(words, ENVIRONMENT, out=stream.fileno(), errors=stream.fileno())
    try:
        yield process
    finally:
        process.kill()
        process.wait(CEILING_SECONDS)


def test_a_second_train_or_submit_is_refused_while_the_first_works_and_after_a_kill_goes_on(
    hospitals: dict[str, Hospital], tmp_path: Path
) -> None:
    images, labels = draw_pictures(40, seed=99)
    np.savez(tmp_path / "test.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    access = ["--credentials", *(str(one.credentials()) for one in hospitals.values())]
    folder = ["--out", str(tmp_path / "study")]
    settings = [
        *("--study", "twice", "--model", "small_cnn", "--model_option", "width=4", "--num_rounds", str(ROUNDS)),
        *("--local_epochs", "0.4", "--sample_rate", "0.2", "--noise_multiplier", "12"),
    ]
    train = ["-m", "researcher", "train", *access, *folder, "--test", str(tmp_path / "test.npz"), *settings]
    submit = ["-m", "researcher", "submit", *access, *folder, *settings]
    kept = tmp_path / "study" / "study.json"

    with _begun(train, tmp_path / "first.txt") as first:
        requests = wait_for(lambda: requests_of(tmp_path / "study", 2), alive=lambda: first.poll() is None)
        lock = tmp_path / "study" / "in_use.lock"
        wait_for(lambda: "waiting for north, south" in (tmp_path / "first.txt").read_text() and lock.exists())
        submitted, listed = kept.read_bytes(), sorted(os.listdir(tmp_path / "study"))
        second = command(*train, check=False)
        assert second.returncode == 1 and f"Process {first.pid} works on the study in" in second.stderr
        assert "already holds a study" in command(*submit, check=False).stderr
        assert (kept.read_bytes(), sorted(os.listdir(tmp_path / "study"))) == (submitted, listed)
        first.kill()  # it leaves the lock's file, and nobody who holds it
        first.wait(CEILING_SECONDS)
    for name, request_id in requests.items():
        hospitals[name].admin("approve", request_id)
    done = command(*train, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "study" / "result.json").read_text())["rounds"] == ROUNDS
    for name, one in hospitals.items():
        for event in ("round asked for", "run started", "run done"):
            mine = [entry["round"] for entry in one.events(event) if entry["request"] == requests[name]]
            assert mine == list(range(ROUNDS)), event
    assert not list((tmp_path / "study").glob("*.lock"))
