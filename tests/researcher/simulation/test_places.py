"""A cluster starts while the plan is made, with room for models that may come, and again where one needs more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.errors import ConfigError, PlanError
from policies.plans.server.server_spec import ServerSpec
from researcher.planning.settings import StudySettings
from researcher.simulation.at_work import started
from researcher.simulation.at_work.in_this_process import InThisProcess
from researcher.simulation.at_work.on_ray import in_parts, store_bytes
from researcher.simulation.at_work.started import Places
from researcher.simulation.made_up import MadeUpHospital
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.simulate import simulate
from researcher.simulation.work import Work, bytes_of, make_work

STUDY = StudySettings(num_rounds=1, local_epochs=0.5, sample_rate=0.5, epsilon=8.0, model="small_cnn")
TWO = SimulationSettings(hospitals=2, workers=2)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What happens to clusters: the bytes of each store that one is started with, how many workers begin, "ended"."""
    found: list[object] = []

    @contextlib.contextmanager
    def cluster(address: str, *, workers: int | None, store_bytes: int) -> Iterator[tuple[None, int]]:
        found.append(store_bytes)
        try:
            yield None, workers or 1
        finally:
            found.append("ended")

    def trained_here(ray: None, work: Work, seed: int, **settings: object) -> InThisProcess:
        found.append("at work")
        return InThisProcess(work, seed)

    monkeypatch.setattr(started, "ray_cluster", cluster)
    monkeypatch.setattr(started, "OnRay", trained_here)
    monkeypatch.setattr(started, "start_workers", lambda ray, workers: found.append(f"{workers} begin"))
    monkeypatch.setattr(started, "_has_room", lambda needed: True)
    return found


def _held(data: Path) -> int:
    work = make_work(STUDY, TWO, data)
    return bytes_of(work.pictures, work.hold_out)


def test_what_is_begun_early_is_worked_in_and_ends_before_results_are_written(
    data: Path, tmp_path: Path, seen: list[object]
) -> None:
    begun: list[list[object]] = []
    simulate(STUDY, TWO, data, tmp_path / "out", on_plan=lambda plan, hospitals: begun.append(list(seen)))
    room = store_bytes(_held(data), started._MODEL_BYTES, 2, alike=False)
    assert begun == [[room, "2 begin"]], "workers import while the plan is made"
    assert seen == [room, "2 begin", "at work", "ended"]


def test_a_model_that_needs_more_room_gets_a_cluster_that_has_it(
    data: Path, tmp_path: Path, seen: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started, "_MODEL_BYTES", 1)
    simulate(STUDY, TWO, data, tmp_path / "out")
    work = make_work(STUDY, TWO, data)
    model = sum(array.nbytes for array in work.first_weights.values())
    small, large = (store_bytes(_held(data), size, 2, alike=alike) for size, alike in ((1, False), (model, True)))
    assert seen == [small, "2 begin", "ended", large, "2 begin", "at work", "ended"] and small < large


def test_a_plan_that_is_refused_leaves_no_cluster(data: Path, tmp_path: Path, seen: list[object]) -> None:
    refused = StudySettings(num_rounds=1, model="small_cnn", server=ServerSpec("dp_fc"))
    with pytest.raises((ConfigError, PlanError)):
        simulate(refused, TWO, data, tmp_path / "out")
    assert seen[-1] == "ended" and "at work" not in seen


@pytest.mark.parametrize(
    "given",
    [{"in_process": True}, {"workers": 2, "ray_address": "127.0.0.1:6379"}],
    ids=["in_process", "elsewhere"],
)
def test_nothing_begins_early_where_no_cluster_of_this_machine_is_wanted(
    given: dict[str, object], seen: list[object]
) -> None:
    with Places(SimulationSettings(hospitals=2, **given)) as places:  # type: ignore[arg-type]
        places.begin(1000)
    assert seen == []


def test_nothing_begins_early_where_memory_is_short(seen: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert not started._has_room(1 << 60)
    monkeypatch.setattr(started, "ray_cluster", lambda *given, **settings: pytest.fail("it was started"))
    with Places(TWO) as places:
        places.begin(1 << 60)


def test_a_folder_that_is_gone_on_with_or_refused_starts_nothing_early(
    data: Path, tmp_path: Path, seen: list[object]
) -> None:
    simulate(STUDY, TWO, data, tmp_path / "out")
    del seen[:]
    simulate(STUDY, TWO, data, tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("Dear colleague")
    with pytest.raises(ConfigError, match="something else"):
        simulate(STUDY, TWO, data, tmp_path / "other")
    assert seen == []


@pytest.mark.parametrize(
    ("many", "together", "workers", "sizes"),
    [
        (20, 4, 2, [4, 4, 4] + [1] * 8),
        (19, 4, 2, [4, 4] + [1] * 11),
        (5, 4, 2, [1] * 5),
        (6, 1, 3, [1] * 6),
        (3, 2, 1, [1] * 3),
    ],
)
def test_hospitals_are_asked_for_together_and_the_last_ones_one_by_one(
    many: int, together: int, workers: int, sizes: list[int]
) -> None:
    hospitals = [MadeUpHospital(f"h{number}", number, number + 1, 10) for number in range(many)]
    parts = in_parts(hospitals, together, workers)
    assert [len(part) for part in parts] == sizes and [one for part in parts for one in part] == hospitals
