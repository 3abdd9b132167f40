"""Weights are on the disk for good before a round is charged; what leaves is the one serialisation of its arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from support.charged_rounds import ACCOUNT, SPEC, UPDATE, Datasite, make_datasite

from datasites.training.models import initial_weights
from policies.contracts.weights import canonical_bytes, canonical_header
from policies.errors import RunFailed


@pytest.fixture
def datasite(tmp_path: Path) -> Iterator[Datasite]:
    made = make_datasite(tmp_path / "north")
    yield made
    made.close()


def release(
    datasite: Datasite, update: bytes, *, meanwhile: Callable[[Path], object] = lambda file: None
) -> tuple[bytes, bool]:
    """What leaves of a run that writes `update`, and whether it is the run's own file, which `meanwhile` is given."""
    script, inodes = datasite.fork_server, list[int]()
    execute = script.execute

    def and_look(job: Any, **settings: Any) -> None:
        execute(job, **settings)
        inodes.append(Path(job.result).stat().st_ino)
        meanwhile(Path(job.result))

    script.update, script.execute = update, and_look
    datasite.ask()
    datasite.execute()
    run = datasite.run()
    assert run.state == "done", run.reason
    kept = datasite.blobs.path(ACCOUNT, run.update_digest)
    return kept.read_bytes(), kept.stat().st_ino == inodes[0]


def reordered(content: bytes) -> bytes:
    """A file that says the same in another way: spaces in its header."""
    size = int.from_bytes(content[:8], "little")
    text = json.dumps(json.loads(content[8 : 8 + size])).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def swapped(content: bytes) -> bytes:
    """A file of the same arrays whose values lie in another order."""
    arrays = {name: np.asarray(array) for name, array in initial_weights(SPEC, 7).items()}
    header, values, offset = {}, [], 0
    for name in sorted(arrays, reverse=True):
        size = arrays[name].nbytes
        header[name] = {"dtype": "F32", "shape": list(arrays[name].shape), "data_offsets": [offset, offset + size]}
        values.append(arrays[name].tobytes())
        offset += size
    text = json.dumps({name: header[name] for name in sorted(header)}, separators=(",", ":")).encode()
    text += b" " * (len(canonical_header({n: a.shape for n, a in arrays.items()})) - 8 - len(text))
    found = len(text).to_bytes(8, "little") + text + b"".join(values)
    assert len(found) == len(content) and found != content
    return found


def test_a_result_that_is_the_one_serialisation_is_not_written_again(datasite: Datasite) -> None:
    assert release(datasite, UPDATE) == (UPDATE, True)


@pytest.mark.parametrize("other", [reordered, swapped])
def test_any_other_file_of_the_same_arrays_is_written_anew(datasite: Datasite, other: Callable[[bytes], bytes]) -> None:
    assert release(datasite, other(UPDATE)) == (UPDATE, False)


def test_a_result_that_somebody_can_still_write_to_is_written_anew(datasite: Datasite) -> None:
    held = list[IO[bytes]]()
    assert release(datasite, UPDATE, meanwhile=lambda file: held.append(file.open("ab"))) == (UPDATE, False)
    held[0].write(b"more")
    held[0].close()
    kept = datasite.blobs.path(ACCOUNT, datasite.run().update_digest)
    assert kept.read_bytes() == UPDATE


def test_a_result_of_another_machine_is_written_anew(datasite: Datasite) -> None:
    datasite.fork_server.elsewhere = True
    assert release(datasite, UPDATE) == (UPDATE, False)


def test_a_result_that_is_not_finite_is_refused_where_it_would_be_taken_over(datasite: Datasite) -> None:
    weights = {name: np.full_like(array, np.nan) for name, array in initial_weights(SPEC, 7).items()}
    datasite.fork_server.update = canonical_bytes(weights)
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == "failed" and datasite.run().update_digest == ""
    assert {file.name for file in datasite.state.blobs.glob("*/*")} == {datasite.run().weights}


def test_a_round_is_charged_once_its_weights_are_on_the_disk(
    datasite: Datasite, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, bool]] = []

    def settle(account: str, digest: str) -> None:
        asked.append((account, digest, datasite.steps_charged == 0))

    monkeypatch.setattr(datasite.blobs, "settle", settle)
    datasite.ask()
    datasite.execute()
    assert asked == [(ACCOUNT, datasite.run().weights, True)] and datasite.steps_charged > 0


def test_a_round_whose_weights_the_disk_did_not_take_costs_nothing_and_may_be_asked_for_again(
    datasite: Datasite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settle(account: str, digest: str) -> None:
        raise RunFailed("The hospital's disk did not take the weights.")

    with monkeypatch.context() as broken:
        broken.setattr(datasite.blobs, "settle", settle)
        datasite.ask()
        datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("failed", RunFailed.code)
    assert datasite.steps_charged == 0 and not datasite.fork_server.began
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == "done"


def test_a_round_whose_weights_a_stop_tore_while_it_waited_costs_nothing_and_is_asked_for_again(
    datasite: Datasite,
) -> None:
    """The researcher's side asks again after a run that failed, and after no other refusal."""
    datasite.ask()
    weights = datasite.state.blobs / ACCOUNT[:32] / datasite.run().weights
    weights.write_bytes(bytes(weights.stat().st_size))
    datasite.blobs._right.clear()  # as another process of the datasite begins
    datasite.execute()
    assert (datasite.run().state, datasite.run().code) == ("failed", RunFailed.code)
    assert "they are sent anew" in datasite.run().reason
    assert datasite.steps_charged == 0 and not weights.exists()
    datasite.ask()
    datasite.execute()
    assert datasite.run().state == "done"
