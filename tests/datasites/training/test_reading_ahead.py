"""Batches that are read before their step is taken: the same ones, in bounds, and no thread outlives its round."""

from __future__ import annotations

import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.read_ahead import read_ahead_everywhere
from support.waiting import wait_for

from datasites.training.dp_sgd import loader as loaders
from datasites.training.dp_sgd.batch_shape import EMPTY
from datasites.training.dp_sgd.loader import Batch, Loader
from datasites.training.dp_sgd.memory import batches_ahead, room_for_batches_ahead
from datasites.training.local_round import train_round
from datasites.training.models import initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.pictures.reading_ahead import ahead, ahead_of_steps
from datasites.training.pictures.side_stream import Staging, _DeviceMark
from datasites.training.privacy_audit import run_audit
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import OutOfMemory
from policies.plans.tokeniser import TextForm
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

TEXT = TextForm(length=5, vocabulary=32)
FLIPPED = {"augmentation": "flips_and_turns", "augmentation_multiplicity": 3}


@pytest.fixture
def no_thread_stays():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as one:
        yield one


def test_an_item_is_made_in_another_thread_while_others_are_in_use(thread):
    made, where = [], set()

    def items():
        for number in range(4):
            made.append(number)
            where.add(threading.get_ident())
            yield number

    coming = ahead(items(), 2, thread)
    assert next(coming) == 0
    wait_for(lambda: made == [0, 1, 2])
    assert [*coming] == [1, 2, 3] and made == [0, 1, 2, 3]
    assert threading.get_ident() not in where


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_items_are_made_ahead_than_may_be(thread, most):
    made = []
    coming = ahead(iter(made.append(number) or number for number in range(9)), most, thread)
    for taken in range(3):
        assert next(coming) == taken
        wait_for(lambda taken=taken: len(made) == taken + 1 + most)
    thread.submit(int).result()
    assert len(made) == 3 + most
    coming.close()


def test_an_error_comes_in_the_place_of_its_item(thread):
    def items():
        yield 1
        raise ValueError("broken")

    coming = ahead(items(), 3, thread)
    assert next(coming) == 1
    with pytest.raises(ValueError, match="broken"):
        next(coming)


def made_by(make):
    """An `InTwoThreads` whose second thread makes the items."""

    def begun(tasks, first, second):
        yield from ahead(map(make, ahead(tasks, 1, first)), 2, second)

    return begun


@pytest.mark.usefixtures("no_thread_stays")
def test_the_next_steps_first_items_are_made_while_a_step_is_taken():
    made = []
    steps = iter([("a", [1, 2, 3]), ("b", [4, 5]), ("c", []), ("d", [6])])
    found = []
    for sample, items in ahead_of_steps(steps, made_by(lambda task: made.append(task) or 10 * task)):
        found.append((sample, [*items]))
        if sample == "a":
            wait_for(lambda: made == [1, 2, 3, 4, 5])
    assert found == [("a", [10, 20, 30]), ("b", [40, 50]), ("c", []), ("d", [60])]


@pytest.mark.usefixtures("no_thread_stays")
def test_samples_are_asked_for_by_the_thread_that_takes_the_steps_one_step_ahead():
    asked, where = [], set()

    def steps():
        for number in range(4):
            asked.append(number)
            where.add(threading.get_ident())
            yield number, [number]

    seen = []
    for _, items in ahead_of_steps(steps(), made_by(lambda task: task)):
        seen.append(len(asked))
        assert len([*items]) == 1
    assert seen == [2, 3, 4, 4] and where == {threading.get_ident()}


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("where", ["reads", "sends", "samples", "takes"])
def test_threads_end_wherever_a_round_fails(where):
    def failing(at, value):
        if at == where and value == 3:
            raise RuntimeError(f"broken in {at}")
        return value

    def steps():
        for number in range(0, 100, 2):
            yield failing("samples", number + 1), [number, number + 1]

    def begun(tasks, first, second):
        read = ahead((failing("reads", task) for task in tasks), 2, first)
        yield from ahead((failing("sends", task) for task in read), 3, second)

    taken = []
    with (
        pytest.raises(RuntimeError, match=f"broken in {where}"),
        closing(ahead_of_steps(steps(), begun)) as coming,
    ):
        for _, items in coming:
            taken += [failing("takes", item) for item in items]
    assert taken in ([], [0, 1, 2], [0, 1])


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_a_step_leaves_is_not_taken_for_the_next_ones(taken):
    with closing(ahead_of_steps(iter([("a", [1, 2]), ("b", [3])]), made_by(lambda task: task))) as coming:
        _, items = next(coming)
        assert [next(items) for _ in range(taken)] == [1, 2][:taken]
        if taken < 2:
            with pytest.raises(RuntimeError, match="all of its items"):
                next(coming)
        else:
            assert [*next(coming)[1]] == [3]


@pytest.mark.usefixtures("no_thread_stays")
def test_threads_end_where_the_rest_is_not_taken():
    with closing(ahead_of_steps(((n, [n]) for n in range(100)), made_by(lambda task: task))) as coming:
        assert next(next(coming)[1]) == 0


def stored(*, dtype=np.uint8, findings=False, texts=False, count=40, size=6):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, size, size, 3)).astype(dtype)
    if dtype == np.uint16:
        images = rng.integers(0, 65536, images.shape).astype(np.uint16)
    labels = rng.integers(-1, 2, (count, 3)).astype(np.int8) if findings else rng.integers(0, 3, count)
    words = rng.integers(0, 32, (count, TEXT.length)).astype(np.int32) if texts else None
    return LabelledPictures(images, labels, np.arange(count), count, texts=words, text_form=TEXT if texts else None)


def plan_of(*, texts=False, size=6, **settings):
    options = {**TEXT.options, "width": 4, "text_features": 8} if texts else {}
    spec = ModelSpec("image_text" if texts else "linear", (size, size, 3), 3, options)
    return TrainingPlan("s", "d", spec, 1, 1, 0.5, 0.1, run=RunSpec("cpu", 8), **settings)


def batches_like(count, *, places=8, each=1):
    """Batches of which some places are empty, one of them all, and one none."""
    rng = np.random.default_rng(1)
    found = rng.integers(0, count, (5, places, each))
    found[0, ::3], found[1], found[3, -1] = EMPTY, EMPTY, EMPTY
    return found


def tensors(batch):
    inputs = batch.inputs if isinstance(batch.inputs, tuple) else (batch.inputs,)
    return [part.cpu() for part in (*inputs, batch.labels, batch.counted)]


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "bytes": ({}, {}, 1),
    "several views and pictures": ({}, FLIPPED, 2),
    "sixteen bits": ({"dtype": np.uint16}, {"augmentation": "flips"}, 1),
    "findings": ({"findings": True}, {}, 1),
    "reports": ({"texts": True, "size": 16}, FLIPPED, 1),
}


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("kind", KINDS)
def test_batches_that_are_read_ahead_are_those_that_are_read_in_turn(monkeypatch, kind):
    pictures, settings, each = KINDS[kind]
    of_plan = {name: pictures[name] for name in ("texts", "size") if name in pictures}
    plan, held = plan_of(**of_plan, **settings), stored(**pictures)
    steps = [batches_like(40, each=each), batches_like(40, each=each)[:2], batches_like(40, each=each)[2:]]

    def found(device):
        load = Loader(plan, held, SecureRandom.for_tests(1), device)
        return [[tensors(batch) for batch in step] for _, step in load.steps(iter(steps), lambda step: step)]

    in_turn = found("cpu")
    read_ahead_everywhere(monkeypatch)
    for one, other in zip(in_turn, found("cpu"), strict=True):
        for parts, others in zip(one, other, strict=True):
            assert all(
                torch.equal(*pair) and pair[0].dtype == pair[1].dtype for pair in zip(parts, others, strict=True)
            )
    assert len(in_turn) == 3 and [len(step) for step in in_turn] == [5, 2, 3]


def test_batches_of_less_than_all_places_and_of_pictures_that_lie_apart_are_read_too(monkeypatch):
    held = stored()
    apart = replace(held, images=np.repeat(held.images, 2, axis=0)[::2])
    assert not apart.images.flags.c_contiguous
    parts = [np.array([[3], [1], [2]]), np.array([[7]]), np.arange(8)[:, None]]
    found = []
    for pictures in (held, apart):
        read_ahead_everywhere(monkeypatch)
        found.append([tensors(batch) for batch in Loader(plan_of(), pictures, SecureRandom(), "cpu")(parts)])
    assert all(torch.equal(*pair) for one, other in zip(*found, strict=True) for pair in zip(one, other, strict=True))
    assert [len(parts[0]) for parts in found[0]] == [3, 1, 8]


@pytest.mark.parametrize("row", [-2, 40])
def test_a_picture_that_is_not_there_is_not_taken_for_another(monkeypatch, row):
    read_ahead_everywhere(monkeypatch)
    with pytest.raises(IndexError):
        list(Loader(plan_of(), stored(), SecureRandom(), "cpu")([np.array([[row]])]))


def test_memory_is_written_again_only_when_the_device_has_read_it_and_batches_go_when_it_has_used_them(monkeypatch):
    streams = read_ahead_everywhere(monkeypatch)
    monkeypatch.setattr(loaders, "batches_ahead", lambda plan, places: 2)
    sent: list[int] = []
    alive: weakref.WeakSet[Batch] = weakref.WeakSet()
    fill, send = loaders._Stored.fill, loaders._Stored.send

    def filled(self, drawn, staging):
        number = len(filled.at)
        filled.at.append(number)
        if number >= 3:
            assert streams.told_marks[number - 3].waited, "the device may still read what stood there"
        fill(self, drawn, staging)

    def launched(self, staging):
        number = len(sent)
        if number >= 3:
            assert streams.used_marks[number - 3].waited, "the device may still compute on that one"
        batch = send(self, staging)
        sent.append(number)
        alive.add(batch)
        assert len(alive) <= 4, "one in use, two ready, one being made"
        return batch

    filled.at = []
    monkeypatch.setattr(loaders._Stored, "fill", filled)
    monkeypatch.setattr(loaders._Stored, "send", launched)
    load = Loader(plan_of(), stored(), SecureRandom(), "cpu")
    batches = np.random.default_rng(0).integers(0, 40, (4, 5, 8, 1))
    taken = 0
    for _, step in load.steps(iter(batches), lambda step: step):
        for batch in step:
            taken += int(batch.counted.sum())
            del batch
    assert taken == 160 and sent == list(range(20)) == filled.at
    assert streams.used_marks[-1].waited, "before its memory is anybody else's"
    assert threading.current_thread().name not in streams.waits[:-1], "who computes does not wait"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine that locks memory")
def test_a_machine_that_locks_no_memory_reads_into_any_other():
    staging = Staging(pinned=True)
    part = staging.place("images", (3, 4), torch.uint8)
    assert part.shape == (3, 4) and not part.is_pinned()
    assert staging.place("images", (2, 4), torch.uint8).data_ptr() == part.data_ptr()


def test_who_waits_for_a_device_looks_until_it_has_come_there():
    looks = []

    class Stream:
        def record_event(self):
            return self

        def query(self):
            looks.append(threading.current_thread())
            return len(looks) == 4

    mark = _DeviceMark(Stream())
    assert not mark.query() and looks
    mark.synchronize()
    assert len(looks) == 4


PRIVATE = TrainingPlan(
    "s",
    "d",
    ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4}),
    2,
    5,
    0.5,
    0.1,
    momentum=0.9,
    privacy=PrivacySpec(1.0, 0.5, 1e-5),
    run=RunSpec("cpu", 4),
    augmentation="flips_and_turns",
)
PLAIN = replace(PRIVATE, privacy=None)


def round_of(plan, **settings):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    pictures = LabelledPictures(images, rng.integers(0, 3, 20), np.arange(20), 20)
    weights = initial_weights(plan.model, 0)
    return train_round(plan, 0, weights, pictures, random=SecureRandom.for_tests(1), **settings)


def with_pauses(monkeypatch, seed):
    """Reading and sending take now longer, now shorter."""
    pauses = np.random.default_rng(seed)
    for name in ("fill", "send"):
        real = getattr(loaders._Stored, name)

        def paused(*arguments, real=real):
            time.sleep(pauses.choice([0.0, 0.003]))
            return real(*arguments)

        monkeypatch.setattr(loaders._Stored, name, paused)


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("plan", [PRIVATE, PLAIN])
def test_the_outcome_of_a_round_does_not_hang_on_who_was_faster(monkeypatch, plan):
    read_ahead_everywhere(monkeypatch)
    first, *others = [with_pauses(monkeypatch, seed) or round_of(plan) for seed in range(3)]
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)
    assert any(np.abs(values).max() > 0 for values in first.values())


@pytest.mark.usefixtures("no_thread_stays")
def test_without_privacy_reading_ahead_changes_nothing(monkeypatch):
    in_turn = round_of(replace(PLAIN, augmentation="none"))
    read_ahead_everywhere(monkeypatch)
    found = round_of(replace(PLAIN, augmentation="none"))
    assert all(np.array_equal(found[name], in_turn[name]) for name in found)


@pytest.mark.usefixtures("no_thread_stays")
def test_only_the_thread_that_takes_the_steps_draws(monkeypatch):
    read_ahead_everywhere(monkeypatch)
    drew, draw = set(), SecureRandom._next_words
    monkeypatch.setattr(SecureRandom, "_next_words", lambda *given: drew.add(threading.get_ident()) or draw(*given))
    round_of(PRIVATE)
    assert drew == {threading.get_ident()}


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize("unit", ["picture", "patient"])
def test_the_audit_passes_where_batches_are_read_ahead(monkeypatch, unit):
    streams = read_ahead_everywhere(monkeypatch)
    found = run_audit(unit=unit, seed=2, device="cpu")
    assert found.passed and streams.told_marks, [check for check in found.checks if not check.holds]


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize(("error", "raised"), [(MemoryError(), OutOfMemory), (OSError("disk"), OSError)])
@pytest.mark.parametrize("stage", ["fill", "send"])
def test_an_error_of_the_threads_ends_the_round_and_want_of_memory_is_told_as_such(monkeypatch, error, raised, stage):
    read_ahead_everywhere(monkeypatch)

    def broken(self, *given):
        raise error

    monkeypatch.setattr(loaders._Stored, stage, broken)
    with pytest.raises(raised):
        round_of(PRIVATE)


@pytest.mark.usefixtures("no_thread_stays")
def test_a_round_that_is_ended_from_outside_leaves_no_thread(monkeypatch):
    read_ahead_everywhere(monkeypatch)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        round_of(PRIVATE, progress=stop)


@pytest.mark.parametrize("quick", [True, False])
def test_progress_is_told_in_order_once_the_device_has_done_a_step(monkeypatch, quick):
    streams = read_ahead_everywhere(monkeypatch)
    streams.is_quick, told = quick, []
    round_of(PRIVATE, progress=lambda done, total: told.append((done, total, len(streams.used_marks))))
    assert [done for done, _, _ in told] == [1, 2, 3, 4, 5] and {total for _, total, _ in told} == {5}
    assert (told[0][2] < told[-1][2]) == quick, "what is not done when all is launched is told then"


@pytest.mark.parametrize(
    ("size", "places", "views", "most"),
    [(64, 512, 1, 10), (224, 128, 1, 3), (224, 128, 2, 2), (6, 1, 1, 32), (224, 4096, 4, 2)],
)
def test_as_many_batches_lie_ready_as_256_mib_hold_from_two_to_32(size, places, views, most):
    plan = plan_of(size=size, augmentation="flips", augmentation_multiplicity=views)
    assert batches_ahead(plan, places) == most
    batch = 4 * 3 * size * size * places * views
    assert most * batch <= 2**28 or most == 2
    assert room_for_batches_ahead(plan, places, "cpu").numel() == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_is_sent_the_batches_that_a_processor_reads(kind):
    pictures, settings, each = KINDS[kind]
    of_plan = {name: pictures[name] for name in ("texts", "size") if name in pictures}
    plan, held = plan_of(**of_plan, **settings), stored(**pictures)
    steps, found = [batches_like(40, each=each)] * 6, []
    for device in ("cpu", "cuda"):
        load = Loader(plan, held, SecureRandom.for_tests(1), device)
        found.append([tensors(batch) for _, step in load.steps(iter(steps), lambda step: step) for batch in step])
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("plan", [PRIVATE, PLAIN])
def test_on_a_gpu_the_outcome_of_a_round_does_not_hang_on_who_was_faster(monkeypatch, plan):
    plan = replace(plan, run=RunSpec("auto", 4), steps_per_round=12)
    first, *others = [with_pauses(monkeypatch, seed) or round_of(plan) for seed in range(3)]
    for other in others:
        assert all(np.allclose(first[name], other[name], rtol=1e-5, atol=1e-6) for name in first)
