"""All mutants. The audit has to find each of them."""

from __future__ import annotations

from mutants import allocation, clipping, noise, sampling, scale

MUTANTS = [*sampling.MUTANTS, *allocation.MUTANTS, *clipping.MUTANTS, *noise.MUTANTS, *scale.MUTANTS]
