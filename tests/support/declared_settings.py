"""The table of settings that the researcher's options are made of, made anew from the classes that declare them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from policies.plans.objective.objective_spec import ObjectiveSpec
from policies.plans.rounds.run_spec import RunSpec
from policies.plans.server.server_spec import ServerSpec
from policies.plans.words.statement import Statement
from policies.settings import Declared, declared
from researcher.planning.count_settings import CountSettings, GramSettings
from researcher.planning.settings import StudySettings
from researcher.simulation.settings import SimulationSettings
from researcher.studies.retry_policy import RetryPolicy

FILE = Path(__file__).resolve().parents[2] / "researcher" / "planning" / "declared_settings.py"
OWNERS: dict[str, type] = {
    "STUDY": StudySettings,
    "OBJECTIVE": ObjectiveSpec,
    "SERVER": ServerSpec,
    "RUN": RunSpec,
    "STATEMENT": Statement,
    "RETRY_POLICY": RetryPolicy,
    "SIMULATION": SimulationSettings,
    "COUNTS": CountSettings,
    "GRAM": GramSettings,
}
"""Name in the table → the class whose settings it holds."""
HEAD = '''"""Settings of studies, simulations and counts as options need them: no help waits for the classes of a plan.

Made from the classes by `python tests/references.py`; nothing here is written by hand.
"""

from policies.settings import Declared, file, numbers

# fmt: off
'''


def render() -> str:
    """The table's file, as it has to be."""
    return HEAD + "\n".join(line for name, owner in OWNERS.items() for line in _lines(name, owner)) + "\n"


def _lines(name: str, owner: type) -> Iterator[str]:
    yield f"{name} = ("
    yield from (f"    Declared({', '.join(_parts(one))})," for one in declared(owner).values())
    yield ")"


def _parts(one: Declared) -> Iterator[str]:
    usual = Declared(one.name, one.help, one.default)
    yield from (_quoted(one.name), _quoted(one.help), _quoted(one.default))
    for field in Declared._fields[3:]:
        value = getattr(one, field)
        if value != getattr(usual, field):
            yield f"{field}={value.__name__ if field == 'kind' else _quoted(value)}"


def _quoted(value: object) -> str:
    """As Python has it, with the house's quotation marks."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_quoted, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
