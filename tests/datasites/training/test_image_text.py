"""A picture and its report are one record: clipped together, trained together, and worth more than either alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from support.clipping_oracle import distance, norm_of, one_by_one

from datasites.assets.drawn.reports import draw
from datasites.training.dp_sgd.engine_contract import CLIP_MARGIN
from datasites.training.engines import ENGINES
from datasites.training.evaluation import predict
from datasites.training.local_round import train_round
from datasites.training.models import MODELS, build_model, initial_weights, trainable_shapes
from datasites.training.models.image_text import TextEncoder
from datasites.training.pictures.data import LabelledPictures
from datasites.training.pictures.reports import empty_inputs, to_inputs
from datasites.training.randomness.randomness import SecureRandom
from datasites.training.releases.private_evaluation import count_predictions
from policies.budget.accountant import GaussianSteps, epsilon_spent
from policies.errors import DataError, PlanError
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.tokeniser import TextForm, tokens
from policies.plans.training import ModelSpec, PrivacySpec, RunSpec, TrainingPlan

FORM = TextForm(length=5, vocabulary=20)
VARIANTS = {
    "words": {"width": 4},
    "windows": {"width": 4, "window": 3, "text_features": 8},
    "pixels": {"picture_encoder": "linear"},
    "mobilenet": {"picture_encoder": "mobilenet_v3_small", "width": 0.5},
}


def spec_of(variant, *, size=16, form=FORM, classes=3):
    size = 32 if variant == "mobilenet" else size
    return ModelSpec("image_text", (size, size, 1), classes, {**form.options, **VARIANTS[variant]})


@pytest.fixture(params=ENGINES)
def engine(request):
    return ENGINES[request.param]


def made(variant):
    """A model, and six labelled pictures with reports: a repeated word, a full one, short ones, and an empty one."""
    spec = spec_of(variant)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = build_model(spec)
        images = torch.randn(6, 1, *spec.image_shape[:2])
    words = [[3, 3, 3, 0, 0], [1, 2, 3, 4, 5], [19, 0, 0, 0, 0], [0, 0, 0, 0, 0], [7, 3, 0, 0, 0], [2, 2, 9, 9, 0]]
    return model, (images, torch.tensor(words)), torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture(params=VARIANTS)
def every_variant(request):
    return made(request.param)


@pytest.fixture(params=[pytest.param(one, marks=[pytest.mark.slow] * (one == "mobilenet")) for one in VARIANTS])
def setting(request):
    """The costliest encoder, whose layers test_clipping.py tests, where slow tests are run."""
    return made(request.param)


def rows(inputs, chosen):
    return tuple(part[chosen] for part in inputs)


# --- the contract of every engine, with a tuple ---


@pytest.mark.parametrize("bound", [0.5, 1e6])
def test_the_sum_is_that_of_each_records_gradient_clipped_alone(engine, every_variant, bound):
    model, (images, words), labels = every_variant
    model, inputs = model.double(), (images.double(), words)
    expected = one_by_one(model, inputs, labels, bound)
    got = engine(model, bound).clipped_sum(inputs, labels)
    assert [g.shape for g in got] == [p.shape for p in model.parameters()]
    assert distance(got, expected) < 1e-6 * norm_of(expected)


def test_one_record_moves_the_sum_by_at_most_the_bound(engine, setting):
    model, (images, words), labels = setting
    inputs = images * torch.tensor([1.0, 1e3, 1e-3, 1e6, 1.0, 30.0])[:, None, None, None], words
    gradients = engine(model, 0.5)
    everyone = gradients.clipped_sum(inputs, labels)
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        assert distance(everyone, gradients.clipped_sum(rows(inputs, others), labels[others])) <= 0.5


def test_picture_and_report_share_one_bound(engine, setting):
    model, inputs, labels = setting
    sums = dict(
        zip(
            dict(model.named_parameters()), engine(model, 0.01).clipped_sum(rows(inputs, [1]), labels[1:2]), strict=True
        )
    )
    assert 0.01 * (1 - 2 * CLIP_MARGIN) < norm_of(list(sums.values())) <= 0.01
    for half in ("text.", "head."):
        assert norm_of([g for name, g in sums.items() if name.startswith(half)]) > 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_record_whose_picture_is_not_finite_contributes_nothing(engine, setting, value):
    model, (images, words), labels = setting
    gradients = engine(model, 0.5)
    expected = gradients.clipped_sum((images[1:], words[1:]), labels[1:])
    images[0] = value
    got = gradients.clipped_sum((images, words), labels)
    assert all(torch.isfinite(g).all() for g in got)
    assert distance(got, expected) < 1e-5
    assert norm_of(gradients.clipped_sum((images[:1], words[:1]), labels[:1])) == 0


def test_no_records_give_zeros(engine, setting):
    model, inputs, labels = setting
    got = engine(model, 0.5).clipped_sum(rows(inputs, slice(0, 0)), labels[:0])
    assert [g.shape for g in got] == [p.shape for p in model.parameters()]
    assert norm_of(got) == 0


def test_padding_gets_no_gradient_and_an_empty_report_moves_no_word(engine, setting):
    model, inputs, labels = setting
    with torch.no_grad():
        model.text.words.weight[0] = 100.0  # weights come from outside, so also the row of the padding
    gradients = engine(model, 0.5)
    for chosen, touched in ((slice(None), {1, 2, 3, 4, 5, 7, 9, 19}), ([3], set())):
        got = gradients.clipped_sum(rows(inputs, chosen), labels[chosen])
        by_name = dict(zip(dict(model.named_parameters()), got, strict=True))
        moved = by_name["text.words.weight"].abs().sum(1).nonzero().flatten().tolist()
        assert set(moved) == touched
        assert norm_of(got) > 0


@pytest.mark.parametrize("cuts", [[0, 1, 6], [0, 4, 4, 6]])
def test_a_split_batch_gives_the_same_sum(engine, setting, cuts):
    model, inputs, labels = setting
    gradients = engine(model, 0.5)
    expected = gradients.clipped_sum(inputs, labels)
    parts = [gradients.clipped_sum(rows(inputs, slice(a, b)), labels[a:b]) for a, b in pairwise(cuts)]
    assert distance([torch.stack(same).sum(0) for same in zip(*parts, strict=True)], expected) < 1e-5


def test_neither_memory_format_nor_the_tokens_whole_number_type_changes_the_sum(engine, setting):
    model, (images, words), labels = setting
    gradients = engine(model, 0.5)
    expected = gradients.clipped_sum((images, words), labels)
    turned = images.to(memory_format=torch.channels_last), words.t().contiguous().t().to(torch.int32)
    assert distance(gradients.clipped_sum(turned, labels), expected) < 1e-5


# --- the model ---


@pytest.mark.parametrize("window", [1, 2])
def test_padding_changes_no_feature_whatever_its_weights_say(window):
    encoder = TextEncoder(TextForm(6, 20), features=4, window=window)
    short, long = torch.tensor([[3, 7]]), torch.tensor([[3, 7, 0, 0, 0, 0]])
    expected = encoder(short)
    assert torch.allclose(encoder(long), expected, atol=1e-6)
    with torch.no_grad():
        encoder.words.weight[0] = 1e6
    assert torch.allclose(encoder(long), expected, atol=1e-6)


def test_words_alone_have_no_order_and_windows_do():
    one, other = torch.tensor([[3, 7, 5]]), torch.tensor([[5, 7, 3]])
    for window, same in ((1, True), (2, False)):
        encoder = TextEncoder(TextForm(3, 20), features=4, window=window)
        assert torch.allclose(encoder(one), encoder(other), atol=1e-6) == same


def test_the_text_encoder_is_the_mean_of_the_words_vectors_normed():
    encoder = TextEncoder(TextForm(3, 20), features=2, window=1)
    with torch.no_grad():
        encoder.words.weight[1:4] = torch.tensor([[1.0, 5.0], [3.0, 1.0], [2.0, 0.0]])
    # mean (2, 2), then (3, 3) / 2: equal entries are normed to 0; (2 + 1) / 2 = 1.5 and 2.5 to -1 and 1
    assert torch.allclose(encoder(torch.tensor([[1, 2, 3]])), torch.zeros(1, 2), atol=1e-3)
    assert torch.allclose(encoder(torch.tensor([[1, 3, 0]])), torch.tanh(torch.tensor([[-1.0, 1.0]])), atol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_built_model_has_no_buffers_and_no_head_of_the_picture_encoders_own(variant):
    model = build_model(spec_of(variant))
    assert not list(model.buffers())
    assert "image_text" in MODELS
    shapes = trainable_shapes(spec_of(variant))
    assert shapes["text.words.weight"][0] == FORM.vocabulary
    assert [shape[0] for shape in shapes.values()].count(3) == 2  # one head of three classes: its weight and bias
    assert (
        initial_weights(spec_of(variant), 0)["text.words.weight"][0].tolist() == [0.0] * shapes["text.words.weight"][1]
    )


@pytest.mark.parametrize("encoder", sorted(set(MODELS) - {"image_text", "features"}))
def test_every_model_for_pictures_can_encode_them_beside_reports(encoder):
    spec = ModelSpec("image_text", (32, 32, 3), 3, {**FORM.options, "picture_encoder": encoder})
    with torch.device("meta"):
        model = build_model(spec)
        assert model(empty_inputs(spec, 2)).shape == (2, 3)
        assert build_model(ModelSpec(encoder, (32, 32, 3), 3))(
            empty_inputs(ModelSpec(encoder, (32, 32, 3), 3))
        ).shape == (1, 3)
    alone = trainable_shapes(ModelSpec(encoder, (32, 32, 3), 3))
    both = {name.removeprefix("picture."): tuple(p.shape) for name, p in model.named_parameters()}
    assert set(alone) - set(both) <= {name for name, shape in alone.items() if shape[0] == 3}  # its own head is gone
    assert all(both[name] == shape for name, shape in alone.items() if name in both and name.split(".")[0] != "head")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"picture_encoder": "image_text"}, "picture_encoder must be one of efficientnet_lite0"),
        ({"picture_encoder": 3}, "picture_encoder must be one of efficientnet_lite0"),
        ({"picture_encoder": "unknown"}, "picture_encoder must be one of efficientnet_lite0"),
        ({"text_features": 2}, "text_features"),
        ({"window": 0}, "window"),
        ({"width": 5}, "width"),
        ({"depth": 5}, "no option 'depth'"),
        ({"vocabulary": 1}, "vocabulary"),
        ({"text_length": "five"}, "text_length"),
        ({"tokeniser": "learnt"}, "tokeniser"),
    ],
)
def test_options_out_of_range_are_refused_by_name(change, message):
    with pytest.raises(PlanError, match=message):
        build_model(ModelSpec("image_text", (16, 16, 1), 3, {**FORM.options, **change}))


# --- runs ---


def plan_of(model, **changes):
    values = {"rounds": 1, "steps_per_round": 2, "sample_rate": 0.5, "learning_rate": 1.0, "run": RunSpec(device="cpu")}
    return TrainingPlan("study", "dataset", model, **{"privacy": PrivacySpec(1.0, 1.0, 1e-5), **values, **changes})


def pictures_of(form=FORM, count=40, **changes):
    images, labels, reports = draw(count, seed=3)
    texts = {} if form is None else {"texts": tokens(reports, form), "text_form": form}
    return LabelledPictures(images, labels, np.arange(count), count, **{**texts, **changes})


def test_a_model_of_pictures_alone_does_not_look_at_reports():
    plan = plan_of(ModelSpec("small_cnn", (16, 16, 1), 4, {"width": 4}))
    weights = initial_weights(plan.model, 0)
    updates = [
        train_round(plan, 0, weights, pictures_of(form), random=SecureRandom.for_tests(1)) for form in (FORM, None)
    ]
    assert all(np.array_equal(updates[0][name], updates[1][name]) for name in weights)


@pytest.mark.parametrize(("form", "message"), [(None, "pictures alone"), (TextForm(6, 20), "are 6 words of 20")])
def test_a_model_of_reports_is_refused_where_there_are_none_or_others(form, message):
    spec = spec_of("words", classes=4)
    weights = initial_weights(spec, 0)
    with pytest.raises(PlanError, match=message):
        train_round(plan_of(spec), 0, weights, pictures_of(form))
    evaluation = EvaluationPlan("study", "dataset", spec, 1, ReleaseSpec(1.0, 1e-5), run=RunSpec(device="cpu"))
    with pytest.raises(PlanError, match=message):
        count_predictions(evaluation, weights, pictures_of(form), np.arange(40))


@pytest.mark.parametrize(
    "changes",
    [
        {"texts": None},
        {"text_form": None},
        {"texts": np.zeros((39, 5), np.int32)},
        {"texts": np.zeros((40, 4), np.int32)},
        {"texts": np.zeros((40, 5), np.int64)},
    ],
)
def test_reports_that_are_not_one_row_for_each_picture_are_refused(changes):
    with pytest.raises(DataError):
        pictures_of(**changes)


def test_every_view_of_a_picture_comes_with_that_pictures_report():
    texts = np.arange(6, dtype=np.int32).reshape(3, 2)
    views = torch.arange(6.0).reshape(6, 1, 1, 1)  # two of each of three pictures: 0, 1, 2, 0, 1, 2
    images, tokens = to_inputs(views, texts)
    assert torch.equal(images, views) and tokens.dtype == torch.int64
    assert tokens[:, 0].tolist() == [0, 2, 4, 0, 2, 4]
    assert to_inputs(views[:0], texts[:0])[1].shape == (0, 2)
    assert torch.equal(to_inputs(views, None), views)


def test_each_record_is_read_with_its_own_report():
    """A step at rate 1 without noise is the sum over the records, in whatever physical batches they come."""
    spec, pictures = spec_of("words", classes=4), pictures_of()
    weights = initial_weights(spec, 0)
    model = build_model(spec)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))
    images = (torch.from_numpy(pictures.images.astype(np.float32)).permute(0, 3, 1, 2) - 128) / 64
    inputs = images, torch.from_numpy(pictures.texts.astype(np.int64))
    expected = one_by_one(model, inputs, torch.from_numpy(pictures.labels), 0.5)
    plan = plan_of(
        spec,
        steps_per_round=1,
        sample_rate=1.0,
        privacy=PrivacySpec(1e-9, 0.5, 1e-5),
        run=RunSpec(device="cpu", physical_batch_size=7),
    )
    update = train_round(plan, 0, weights, pictures, random=SecureRandom.for_tests(1))
    got = [torch.from_numpy(update[name]) * -len(pictures.labels) for name, _ in model.named_parameters()]
    assert distance(got, expected) < 1e-4 * norm_of(expected)


def test_an_evaluation_counts_what_the_model_says_of_each_record_alone():
    spec, pictures = spec_of("windows", classes=4), pictures_of(count=60)
    weights = initial_weights(spec, 2)
    said = predict(spec, weights, (pictures.images, pictures.texts)).argmax(axis=1)
    plan = EvaluationPlan(
        "study", "dataset", spec, 1, ReleaseSpec(1.0, 1e-5), run=RunSpec(device="cpu", physical_batch_size=8)
    )
    counts = count_predictions(plan, weights, pictures, np.arange(60))["confusion"]
    expected = np.zeros((4, 4))
    np.add.at(expected, (pictures.labels, said), 1)
    assert np.array_equal(counts, expected) and len(set(said.tolist())) > 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (None, "takes a report beside each picture"),
        (np.zeros((40, 4), np.int32), r"shape \(40, 5\)"),
        (np.zeros((40, 5), np.float32), "whole numbers"),
        (np.full((40, 5), 20, np.int32), "from 0 to 19"),
    ],
)
def test_predicting_without_the_reports_of_the_models_form_is_refused(texts, message):
    spec, images = spec_of("words"), pictures_of().images
    with pytest.raises(DataError, match=message):
        predict(spec, initial_weights(spec, 0), images if texts is None else (images, texts))
    with pytest.raises(DataError, match="takes pictures alone"):
        linear = ModelSpec("linear", (16, 16, 1), 3)
        predict(linear, initial_weights(linear, 0), (images, np.zeros((40, 5), np.int32)))


@pytest.mark.slow
def test_private_training_on_both_beats_training_on_either_alone():
    form = TextForm(length=12, vocabulary=256)
    spec = ModelSpec("image_text", (16, 16, 1), 4, {**form.options, "width": 4, "text_features": 16})
    images, labels, reports = draw(1200, seed=1)
    test_images, test_labels, test_reports = draw(400, seed=2)
    privacy = PrivacySpec(3.0, 1.0, 1e-5)
    plan = plan_of(
        spec, steps_per_round=45, sample_rate=0.25, learning_rate=2.0, momentum=0.9, privacy=privacy,
        learning_rate_schedule="cosine", run=RunSpec(device="cpu", physical_batch_size=512),
    )  # fmt: skip
    assert epsilon_spent((GaussianSteps(3.0, 0.25, 45),), 1e-5) < 3

    def accuracy(*, see: bool, read: bool) -> float:
        def shown(pictures, texts):
            return pictures if see else np.zeros_like(pictures), tokens(texts if read else [""] * len(texts), form)

        pictures, texts = shown(images, reports)
        data = LabelledPictures(pictures, labels, np.arange(1200), 1200, texts, form)
        weights = initial_weights(spec, 0)
        update = train_round(plan, 0, weights, data, random=SecureRandom.for_tests(1))
        trained = {name: weights[name] + update[name] for name in weights}
        return float((predict(spec, trained, shown(test_images, test_reports)).argmax(axis=1) == test_labels).mean())

    # neither half alone can be right more than half of the time; 400 pictures give ±2.5 % at one standard deviation
    assert accuracy(see=True, read=False) < 0.6
    assert accuracy(see=False, read=True) < 0.6
    assert accuracy(see=True, read=True) > 0.75
