"""Public weights in an own model: by name, fitted at the first layer and the head alone, told, or refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from support.graphs import Builder, small_graph
from torch import nn

from datasites.training.graphs import GraphModel
from datasites.training.models import initial_weights, load_weights
from datasites.training.models.public.own_layers import own_layers
from datasites.training.models.public.pretrained import Normalisation, fit_own_weights, fit_weights
from datasites.training.pictures.data import to_tensor
from policies.errors import InputRefused
from policies.graphs.graph import PICTURES
from policies.graphs.own_model import spec_of
from policies.graphs.proof import prove

IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PROOF = prove(small_graph())


class Public(nn.Module):
    """The network that the small graph is of, as its publisher has it."""

    def __init__(self, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.head = nn.Linear(8, classes)
        for parameter in self.parameters():
            nn.init.normal_(parameter, mean=0.1, std=0.3)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.stem(pictures))).mean(dim=(2, 3)))


def drawn() -> dict[str, np.ndarray]:
    return {name: np.full(shape, 0.5, dtype=np.float32) for name, shape in PROOF.graph.parameters.items()}


def logits(weights: Mapping[str, np.ndarray], pictures: torch.Tensor) -> torch.Tensor:
    model = GraphModel(PROOF)
    load_weights(model, weights)
    with torch.no_grad():
        return model(pictures)


def test_a_graph_tells_its_first_layer_its_head_and_its_norms() -> None:
    layers = own_layers(PROOF)
    assert (layers.first, layers.head, layers.group_norms) == ("stem", "head", ("norm",))
    b = Builder()
    scaled = b.add("affine", PICTURES, factor=0.5, offset=0.0)
    b.head(b.convolution(scaled, "stem", 3, 8), 8)
    assert own_layers(prove(b.graph())).first == ""


def test_public_weights_compute_the_same_on_the_same_bytes() -> None:
    network = Public()
    fitted = fit_own_weights(PROOF, network.state_dict(), drawn(), normalisation=IMAGENET)
    inside = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET.mean, IMAGENET.std))
    with torch.no_grad():  # without padding, which is another colour in the other scale
        network.stem.padding = (0, 0)
        theirs = network.stem((torch.from_numpy(inside).permute(0, 3, 1, 2) / 255 - mean) / std)
        weight, bias = (torch.from_numpy(fitted.weights[f"stem.{name}"]) for name in ("weight", "bias"))
        own = nn.functional.conv2d(to_tensor(inside), weight, bias)
    torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-5)
    assert "scaled to this platform's pixels" in fitted.changed["stem.weight"]
    assert not fitted.not_loaded and not fitted.not_used


def test_weights_that_are_of_this_platforms_pixels_stay_what_they_are() -> None:
    network = Public()
    fitted = fit_own_weights(PROOF, network.state_dict(), drawn())
    pictures = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(logits(fitted.weights, pictures), network(pictures))
    assert fitted.changed == {}


def test_the_weights_of_a_plans_own_model_are_fitted_by_its_graph() -> None:
    spec, public = spec_of(PROOF.graph.to_json()), Public(classes=7).state_dict()
    fitted = fit_weights(spec, public, seed=3, normalisation=IMAGENET)
    assert set(fitted.not_loaded) == {"head.weight", "head.bias"}
    np.testing.assert_array_equal(fitted.weights["head.weight"], initial_weights(spec, 3)["head.weight"])
    by_graph = fit_own_weights(PROOF, public, drawn(), normalisation=IMAGENET)
    np.testing.assert_array_equal(fitted.weights["stem.weight"], by_graph.weights["stem.weight"])


def test_a_head_of_other_classes_starts_at_random_and_other_channels_are_spread() -> None:
    fitted = fit_own_weights(PROOF, Public(classes=1000, channels=1).state_dict(), drawn())
    assert set(fitted.not_loaded) == {"head.weight", "head.bias"}
    assert (fitted.weights["head.weight"] == 0.5).all()
    assert "spread over 3" in fitted.changed["stem.weight"]


def test_what_became_of_batch_norm_is_told() -> None:
    public = Public().state_dict()
    public |= {"norm.running_mean": torch.zeros(8), "norm.running_var": torch.ones(8)}
    public["norm.num_batches_tracked"] = torch.tensor(7)
    fitted = fit_own_weights(PROOF, public, drawn())
    assert "BatchNorm's scale and shift became GroupNorm's" in fitted.changed["norm.weight"]
    assert fitted.not_used == ("norm.num_batches_tracked", "norm.running_mean", "norm.running_var")
    np.testing.assert_array_equal(fitted.weights["norm.weight"], public["norm.weight"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"norm.weight": None}, r"'norm.weight' needs shape \(8,\), got none"),
        ({"norm.bias": torch.zeros(9)}, r"'norm.bias' needs shape \(8,\), got shape \(9,\)"),
        ({"stem.bias": torch.full((8,), torch.nan)}, "not finite"),
        ({"stem.bias": None}, "'stem.bias' needs"),
    ],
)
def test_weights_of_another_network_are_refused(changes: dict[str, torch.Tensor | None], told: str) -> None:
    public = {**Public().state_dict(), **changes}
    with pytest.raises(InputRefused, match=told):
        fit_own_weights(PROOF, {name: value for name, value in public.items() if value is not None}, drawn())
