"""The operators that graphs may use, in one table: whatever is not in it is refused."""

from __future__ import annotations

from policies.graphs.layer_rules import LAYER_RULES
from policies.graphs.move_rules import MOVE_RULES
from policies.graphs.number_rules import NUMBER_RULES
from policies.graphs.operator import Operator

OPERATORS: dict[str, Operator] = dict(sorted({**LAYER_RULES, **MOVE_RULES, **NUMBER_RULES}.items()))
"""Every operator by its name in a graph."""
