"""Per-picture weight gradients of a layer: their norms, themselves, or their weighted sum, in one launch each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from datasites.training.gpu.plan import GATHER, Geometry, Plan, plan_of
from datasites.training.gpu.product_kernel import NORM, SUM, WRITE, products
from datasites.training.gpu.rows import added


@dataclass(frozen=True, eq=False)
class Products:
    """One layer's per-picture gradients, (B, taps * C / groups, O), by its operands.

    Guarantees:
        Norms, written gradients and sums are made of the same products, bit by bit: the same operands, tiles and order
        of positions. A factor multiplies a finished product; one of 0 adds nothing, whatever the product is.

    Attributes:
        geometry: Of the layer.
        inputs: bfloat16, (halves, V * B, pixels, C), as `packing` makes it.
        grad_output: bfloat16, (halves, V * B, T, O).
    """

    geometry: Geometry
    inputs: torch.Tensor
    grad_output: torch.Tensor

    @cached_property
    def _plan(self) -> Plan:
        return plan_of(self.geometry, halves=len(self.inputs))

    @property
    def _shape(self) -> tuple[int, int]:
        return self.geometry.taps * self.geometry.channels // self.geometry.groups, self.geometry.outputs

    def square_norms(self) -> torch.Tensor:
        """The gradients' squared norms in parts that are to be added up: float64, (parts, B)."""
        squares = self._squares()
        self._launch(NORM, self._plan.per_norm, self.inputs, squares, squares)
        return squares

    def written(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients, float32, (B, taps * C / groups, O), and their squared norms as `square_norms`."""
        squares = self._squares()
        out = squares.new_empty(self.geometry.pictures, *self._shape, dtype=torch.float32)
        self._launch(WRITE, self._plan.per_norm, self.inputs, squares, out)
        return out, squares

    def weighted_sum(self, factors: torch.Tensor) -> torch.Tensor:
        """The sum of the gradients, each times its factor.

        Args:
            factors: float32, (B,).

        Returns:
            float64, (taps * C / groups, O).
        """
        per = self._plan.per_sum
        out = factors.new_empty(-(-self.geometry.pictures // per), *self._shape, dtype=torch.float32)
        self._launch(SUM, per, factors.contiguous(), out, out)
        return added(out)

    def _squares(self) -> torch.Tensor:
        tiles = self._plan.tiles * self.geometry.groups
        return torch.empty(tiles, self.geometry.pictures, dtype=torch.float64, device=self.inputs.device)

    def _launch(self, mode: int, per: int, factors: torch.Tensor, squares: torch.Tensor, out: torch.Tensor) -> None:
        shape, plan = self.geometry, self._plan
        channels, outputs = shape.channels // shape.groups, shape.outputs // shape.groups
        grid = (plan.tiles, -(-shape.pictures // per), shape.groups)
        products[grid](
            self.inputs,
            self.grad_output,
            factors,
            squares,
            out,
            shape.channels,
            shape.outputs,
            channels,
            outputs,
            shape.pictures,
            per,
            shape.views,
            *shape.size,
            shape.positions[2],
            shape.positions[1],
            shape.places,
            *shape.stride,
            *shape.padding,
            *shape.dilation,
            *shape.kernel[1:],
            shape.taps,
            -(-channels // plan.rows),
            plan.column_tiles,
            plan.blocks,
            mode=mode,
            kind=plan.kind,
            deep=shape.is_deep,
            one=shape.views * plan.blocks == 1,
            products=plan.products,
            rows=plan.rows,
            columns=plan.columns,
            steps=plan.steps,
            tail=plan.tail,
            narrow=shape.channels if plan.kind == GATHER else 1,
            num_warps=plan.warps,
            num_stages=stages_of(plan, mode),
        )


def stages_of(plan: Plan, mode: int) -> int:
    """How many loads are under way; no choice of bits.

    Args:
        plan: Of the layer.
        mode: `NORM`, `WRITE` or `SUM`. A written tile takes shared memory of its own beside a block's and a tail's.
    """
    return 1 if mode == WRITE and plan.tail else plan.stages
