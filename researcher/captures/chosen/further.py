"""Translations of whole numbers, angles, gammas, matrices, and of samples and kernels of each picture's own."""

from __future__ import annotations

from researcher.captures.chosen.angles import ANGLES
from researcher.captures.chosen.gammas import GAMMAS
from researcher.captures.chosen.matrices import MATRICES
from researcher.captures.chosen.own_kernels import OWN_KERNELS
from researcher.captures.chosen.rounded import ROUNDED
from researcher.captures.chosen.sampled import SAMPLED
from researcher.captures.translated import Translate

FURTHER: dict[str, Translate] = {**ANGLES, **GAMMAS, **ROUNDED, **SAMPLED, **OWN_KERNELS, **MATRICES}
"""Translations by the names of torch's operators."""
