"""The search for layers that stay in float, so that a model in 8 bits loses at most a point and is faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from policies.errors import ExportRefused
from researcher.exported.about import ExportedModel, Likeness, Quantisation
from researcher.exported.session import ModelSession
from researcher.exports.latency import milliseconds
from researcher.exports.likeness import likeness, lost
from researcher.exports.onnx_file import with_about
from researcher.exports.pictures import Pictures
from researcher.exports.quantised import CALIBRATED, Layers, quantise

MOST_LOST = 0.01
MOST_SIZE = 0.3


@dataclass(frozen=True, eq=False)
class Int8:
    """A model in 8 bits, with what it cost.

    Attributes:
        content: The ONNX file's bytes.
        about: What it says of itself.
        size_ratio: Of the float file's bytes.
        milliseconds: Of one thread for a picture.
        milliseconds_float: Of the float file's, likewise.
    """

    content: bytes
    about: ExportedModel
    size_ratio: float
    milliseconds: float
    milliseconds_float: float

    @property
    def likeness(self) -> Likeness:
        """To the torch model."""
        if self.about.likeness is None:
            raise ValueError("not compared")
        return self.about.likeness

    @property
    def lost(self) -> float:
        """Accuracy, or agreement, that it lost."""
        return lost(self.likeness)

    @property
    def is_faster(self) -> bool:
        """Whether it takes less time than the float model."""
        return self.milliseconds < self.milliseconds_float


class Search:
    """Tries which layers can be quantised.

    Args:
        model: The float graph.
        about: What the float file says of itself.
        trained: Probabilities by the torch model of the pictures, float32, (N, K).
        pictures: On which it is compared.
        calibration: Whose ranges the activations get.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        about: ExportedModel,
        trained: NDArray[np.float32],
        pictures: Pictures,
        calibration: Pictures,
    ) -> None:
        self._model, self._about, self._trained = model, about, trained
        self._pictures, self._calibration = pictures, calibration
        self._float_content = with_about(model, about)
        self._float = ModelSession(self._float_content)
        self._layers = Layers.of(model.graph)
        self._cost_of_all = 0.0

    def best(self) -> Int8:
        """Returns the fastest that loses at most `MOST_LOST`: with all layers, with those that are worth it, and, where
        both lose more, with all but the groups that alone lose most.

        Raises:
            ExportRefused: Each loses more.
        """
        every = self.of(self._layers.all)
        self._cost_of_all = every.lost
        worth = self._layers.worth
        tried = [every] + ([self.of(worth)] if worth and worth != self._layers.all else [])
        if all(one.lost > MOST_LOST for one in tried):
            tried.append(self._by_group())
        if not any(one.is_faster and one.lost <= MOST_LOST for one in tried):
            tried.append(self.of(()))  # weights alone: as fast as float, where products of whole numbers are not
        good = [one for one in tried if one.lost <= MOST_LOST]
        if not good:
            least = min(one.lost for one in tried)
            raise ExportRefused(
                f"In 8 bits the model loses {100 * least:.1f} points on {self._pictures.source} whatever stays in "
                "float. Export it as onnx, or calibrate on pictures more like the hospitals': --calibrate_on."
            )
        return min((self._counted(one) for one in good), key=lambda one: one.milliseconds)

    def _by_group(self) -> Int8:
        """Leaves group after group in float, the one first that alone loses most."""
        groups = self._layers.groups
        alone = {name: self.of(sorted(layers)) for name, layers in groups.items()}
        left: frozenset[str] = frozenset()
        found = self.of(self._layers.all)
        for name in sorted(groups, key=lambda one: (alone[one].lost, alone[one].likeness.max_abs_difference))[::-1]:
            left |= groups[name]
            found = self.of(self._without(left))
            if found.lost <= MOST_LOST:
                break
        return found

    def _without(self, layers: frozenset[str]) -> tuple[str, ...]:
        return tuple(name for name in self._layers.all if name not in layers)

    def of(self, layers: Sequence[str]) -> Int8:
        """The model with these layers quantised."""
        graph = quantise(self._model, self._calibration, layers)
        session = ModelSession(with_about(graph, self._about))
        found = session.probabilities(self._pictures.images, self._pictures.tokens)
        told = likeness(found, self._trained, self._pictures, self._about.label_kind)
        quantisation = Quantisation(
            calibrated_on=self._calibration.source,
            pictures=min(CALIBRATED, len(self._calibration.images)),
            quantised=len(layers),
            left_in_float=tuple(name for name in self._layers.all if name not in set(layers)),
            cost_of_all=max(0.0, self._cost_of_all),
        )
        about = replace(self._about, format="onnx-int8", likeness=told, quantisation=quantisation)
        content = with_about(graph, about)
        times = milliseconds([session, self._float], self._pictures)
        return Int8(content, about, len(content) / len(self._float_content), *times)

    def _counted(self, one: Int8) -> Int8:
        """The same, saying what quantising every layer would have cost."""
        if one.about.quantisation is None:
            return one
        quantisation = replace(one.about.quantisation, cost_of_all=max(0.0, self._cost_of_all))
        about = replace(one.about, quantisation=quantisation)
        return replace(one, about=about, content=with_about(onnx.load_from_string(one.content), about))
