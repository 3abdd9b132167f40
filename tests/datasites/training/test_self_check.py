"""What a run looks at before it reads a picture, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from datasites.training.book_keeping import BookKeeping
from datasites.training.dp_sgd import private_step
from datasites.training.dp_sgd.private_step import find_shape
from datasites.training.dp_sgd.self_check import make_up_weights
from datasites.training.dp_sgd.step_engine import StepEngine
from datasites.training.local_round import train_round
from datasites.training.losses import summed_loss
from datasites.training.models import build_model, initial_weights
from datasites.training.pictures.data import LabelledPictures
from datasites.training.process_group.process_group import SINGLE_PROCESS
from datasites.training.randomness.randomness import SecureRandom
from policies.errors import NotRepeatable, OutOfMemory
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

SPEC = ModelSpec("small_cnn", (16, 16, 1), 3, {"width": 4})
DECLARED = 28  # units, and as many may be drawn into a step
PRIVACY = PrivacySpec(1.0, 0.5, 1e-5)


def plan(**changes):
    values = {"sample_rate": 0.5, "learning_rate": 0.1, "privacy": PRIVACY, "run": RunSpec("cpu", 8)}
    return TrainingPlan("s", "d", SPEC, 1, 2, **{**values, **changes})


class Engine:
    """A sound engine that notes what it is asked, and may be told to say something else."""

    def __init__(self, model, bound, loss=summed_loss):
        self.sound, self.asked = BookKeeping(model, bound, loss), []

    def clipped_sum(self, images, labels, counted=None):
        self.ask("sum", images, len(counted))
        return self.sum_(self.sound.clipped_sum(images, labels, counted), images, counted)

    def norms_and_sum(self, images, labels, counted=None):
        self.ask("both", images, len(counted))
        norms, sums = self.sound.norms_and_sum(images, labels, counted)
        return self.norms_(norms, images), self.sum_(sums, images, counted)

    def norms(self, images, labels, views=1):
        self.ask("norms", images, len(images) // views)
        return self.norms_(self.sound.norms(images, labels, views), images)

    def ask(self, kind, images, places):
        self.asked.append((kind, tuple(images.shape), places))

    def sum_(self, sums, images, counted):
        return sums

    def norms_(self, norms, images):
        return norms


class NeighboursMatter(Engine):
    def norms_(self, norms, images):
        return norms + 1e-12 * images.double().sum()


class PassesMatter(Engine):
    def norms_(self, norms, images):
        return norms + 1e-12 * len(self.asked)


class PlacesMatter(Engine):
    def norms_(self, norms, images):
        return norms + 1e-12 * torch.arange(len(norms))


class PlacesMatterInSums(Engine):
    def sum_(self, sums, images, counted):
        return [part + 1e-12 * counted.nonzero().sum() for part in sums]


class SmallMemory(Engine):
    """Holds three pictures."""

    room = 3
    error = MemoryError()

    def ask(self, kind, images, places):
        if kind != "norms" and places > self.room:
            super().ask("failed", images, places)
            raise self.error
        super().ask(kind, images, places)


class Untouched(np.ndarray):
    """Pictures that nobody may look at."""

    def __getitem__(self, key):
        raise AssertionError("a picture was read")


def pictures(count, kind=np.ndarray, public_size=DECLARED):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8).view(kind)
    return LabelledPictures(images, rng.integers(0, 3, count), np.arange(count), public_size)


def shape_of(engine, study=None):
    model = build_model(SPEC).train()
    found = engine(model, 0.5)
    step_engine = StepEngine(found, "cpu", "float32")
    shaped = find_shape(study or plan(), model, step_engine, public_size=DECLARED, process_group=SINGLE_PROCESS)
    return shaped.shape, found


def round_with(engine, found=None, count=20, seed=1, study=None):
    made = []

    def factory(model, bound, loss):
        made.append(engine(model, bound, loss))
        return made[-1]

    update = train_round(
        study or plan(),
        0,
        initial_weights(SPEC, 0),
        pictures(count),
        random=SecureRandom.for_tests(seed),
        engine=factory,
    )
    return update, made[0]


@pytest.mark.parametrize("engine", [NeighboursMatter, PassesMatter])
def test_a_device_that_answers_by_neighbours_or_passes_is_refused_before_a_picture_is_read(engine):
    with pytest.raises(NotRepeatable) as refused:
        train_round(plan(), 0, initial_weights(SPEC, 0), pictures(20, Untouched), engine=engine)
    assert "run.device" in refused.value.public
    assert "differ" in refused.value.private


def test_pictures_are_read_after_the_check():
    with pytest.raises(AssertionError, match="was read"):
        train_round(plan(), 0, initial_weights(SPEC, 0), pictures(20, Untouched), engine=Engine)


@pytest.mark.parametrize("engine", [PlacesMatter, PlacesMatterInSums])
def test_where_places_matter_a_batch_has_a_single_one(engine):
    shape, _ = shape_of(engine)
    assert (shape.places, shape.batches) == (1, 28)
    update, _ = round_with(engine)
    sound, _ = round_with(Engine, study=plan(run=RunSpec("cpu", 1)))
    assert all(np.allclose(update[name], sound[name], atol=1e-6) for name in update)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
]


@pytest.mark.parametrize("error", ERRORS, ids=["gpu", "numpy", "cpu"])
def test_the_size_of_a_batch_is_found_on_made_up_pictures(monkeypatch, error):
    monkeypatch.setattr(SmallMemory, "error", error)
    shape, found = shape_of(SmallMemory)
    assert (shape.places, shape.batches) == (3, 10)
    assert [places for kind, _, places in found.asked if kind == "failed"] == [7, 5]


@pytest.mark.parametrize(
    ("views", "fit", "places"), [(1, 8, 7), (1, 6, 5), (1, 3, 3), (1, 0, 1), (4, 28, 7), (4, 20, 5)]
)
def test_no_batch_is_tried_for_which_memory_is_known_to_be_too_small(monkeypatch, views, fit, places):
    """A processor's memory is there until it is written to: trying tells nothing, so it is reckoned before."""
    monkeypatch.setattr(private_step, "pictures_that_fit", lambda model, images, *, most, copies_of_weights: fit)
    shape, found = shape_of(Engine, study=plan(augmentation="flips", augmentation_multiplicity=views))
    assert shape.places == places
    assert {of for _, _, of in found.asked} == {places}


def test_once_a_round_has_begun_nothing_is_made_smaller(monkeypatch):
    class LosesMemory(SmallMemory):
        room = 8

        def ask(self, kind, images, places):
            self.room = 6 if [one for one, *_ in self.asked].count("sum") == 2 else 8
            super().ask(kind, images, places)

    asked = []
    with pytest.raises(OutOfMemory):
        train_round(
            plan(),
            0,
            initial_weights(SPEC, 0),
            pictures(20),
            engine=lambda *of: asked.append(LosesMemory(*of)) or asked[0],
        )
    assert [kind for kind, *_ in asked[0].asked].count("failed") == 1
    assert asked[0].asked[-1][0] == "failed"


def test_a_picture_that_does_not_fit_fails_the_run_and_other_errors_are_their_own(monkeypatch):
    monkeypatch.setattr(SmallMemory, "room", 0)
    with pytest.raises(OutOfMemory):
        shape_of(SmallMemory)
    monkeypatch.setattr(SmallMemory, "error", RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        shape_of(SmallMemory)


def test_the_work_of_a_round_is_the_same_whoever_is_drawn():
    asked = [round_with(Engine, count=count, seed=seed)[1].asked for count, seed in ((1, 1), (7, 2), (20, 3), (26, 4))]
    assert asked[0] == asked[1] == asked[2] == asked[3]
    (_, size, places), batches = asked[0][-1], -(-28 // asked[0][-1][2])
    assert asked[0][-2 * batches :] == [("sum", size, places)] * 2 * batches, (
        "two steps with room for all that are declared"
    )
    assert [kind for kind, *_ in asked[0][: -2 * batches][-3:]] == ["both", "norms", "both"], "what a look takes"


def test_a_draw_above_the_margin_takes_more_batches_and_leaves_nobody_out():
    study = plan(sample_rate=1.0, privacy=PrivacySpec(1e-9, 0.5, 1e-5))
    many, engine = round_with(Engine, count=60, study=study)
    batches = -(-60 // engine.asked[-1][2])
    assert engine.asked[-2 * batches :] == [engine.asked[-1]] * 2 * batches
    wide, _ = round_with(Engine, count=60, study=plan(sample_rate=1.0, privacy=study.privacy, run=RunSpec("cpu", 64)))
    assert all(np.allclose(many[name], wide[name], atol=1e-5) for name in many)


def test_made_up_weights_are_the_same_in_every_run_and_none_is_zero():
    models = [build_model(SPEC) for _ in range(2)]
    for model in models:
        make_up_weights(model)
    for first, second in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(first, second) and first.all()


@pytest.mark.parametrize("classes", [2, 3, 6, 10])
@pytest.mark.parametrize("shape", [(7, 5, 1), (13, 9, 3)])
def test_the_processors_own_products_do_not_make_a_head_look_at_pictures_one_by_one(shape, classes):
    """Rows of 35 or 351 numbers begin in the middle of a vector, where a product's last bits go by a row's place."""
    model = build_model(ModelSpec("linear", shape, classes)).train()
    engine = StepEngine(BookKeeping(model, 0.5, summed_loss), "cpu", "float32")
    study = replace(plan(run=RunSpec("cpu", 28)), model=ModelSpec("linear", shape, classes))
    shaped = find_shape(study, model, engine, public_size=DECLARED, process_group=SINGLE_PROCESS)
    assert shaped.shape.places == 28


@pytest.mark.parametrize(("inputs", "outputs"), [(35, 6), (36, 6), (35, 1), (36, 1), (3, 2)])
def test_a_linear_layer_whose_rows_were_lengthened_says_the_same(inputs, outputs):
    draws = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(inputs, outputs), torch.nn.Linear(outputs, 3))
    images, labels = torch.randn(9, inputs, generator=draws), torch.randint(3, (9,), generator=draws)
    norms, sums = BookKeeping(model, 1e6, summed_loss).norms_and_sum(images, labels)
    exact = model.double()
    for place in range(9):
        summed_loss(exact(images[place : place + 1].double()), labels[place : place + 1]).backward()
    expected = [one.grad for one in exact.parameters()]
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in zip(sums, expected, strict=True))
    assert norms.shape == (9,)
