"""All mutants. The audit has to find each of them."""

from __future__ import annotations

from mutants import clipping, noise, sampling, scale

MUTANTS = [*sampling.MUTANTS, *clipping.MUTANTS, *noise.MUTANTS, *scale.MUTANTS]
