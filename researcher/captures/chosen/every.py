"""Every translation by the name of torch's operator; of a name that several tables have, the last one's."""

from __future__ import annotations

from researcher.captures.chosen.bounded import BOUNDED
from researcher.captures.chosen.further import FURTHER
from researcher.captures.chosen.picked import PICKED
from researcher.captures.chosen.ranked import RANKED
from researcher.captures.chosen.written import WRITTEN
from researcher.captures.composed.compared import CHOSEN, COMPARED
from researcher.captures.composed.functions import FUNCTIONS
from researcher.captures.composed.parts import PARTS
from researcher.captures.composed.products import PRODUCTS
from researcher.captures.composed.recurrent import RECURRENT
from researcher.captures.composed.rows import FILLED
from researcher.captures.composed.tables import TABLES
from researcher.captures.composed.volumes import VOLUMES
from researcher.captures.composed.windows import WINDOWS
from researcher.captures.copy_translations import COPIES
from researcher.captures.layer_translations import LAYERS
from researcher.captures.move_translations import MOVES
from researcher.captures.number_translations import NUMBERS
from researcher.captures.translated import Translate

TRANSLATIONS: dict[str, Translate] = {
    **NUMBERS, **FUNCTIONS, **LAYERS, **PRODUCTS, **MOVES, **COPIES, **WINDOWS, **PARTS, **FILLED, **RECURRENT,
    **COMPARED, **CHOSEN, **BOUNDED, **RANKED, **PICKED, **WRITTEN, **TABLES, **FURTHER, **VOLUMES,
}  # fmt: skip
COMPOSED = {
    *FURTHER,
    *CHOSEN,
    *FUNCTIONS,
    *BOUNDED,
    *RANKED,
    *PICKED,
    *WINDOWS,
    *PARTS,
    *RECURRENT,
    *TABLES,
    *VOLUMES,
    "bilinear",
    "einsum",
    "tensordot",
}
"""Names of those that may be written as several operators, which is told."""
