"""Opacus' optimiser for sums that are clipped already, executed from its own files. It sees what it is given, no more.

Opacus' package imports its hooks, its accountants and torch's distributed tensors before it, which takes as long as
torch itself and a tenth of a gigabyte. No private step needs them but those of engine `opacus`, which imports it whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.budget import library_files

if TYPE_CHECKING:
    from opacus.optimizers import DPOptimizerFastGradientClipping
else:
    NAME = "opacus_optimizers"
    """The package that the files are executed as."""
    DPOptimizerFastGradientClipping = library_files.module(
        f"{NAME}.optimizers.optimizer_fast_gradient_clipping",
        library="opacus",
        packages=[f"{NAME}=", f"{NAME}.optimizers=optimizers"],
    ).DPOptimizerFastGradientClipping

__all__ = ["DPOptimizerFastGradientClipping"]
