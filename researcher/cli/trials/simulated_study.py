"""A simulated study as the command line has it. All that is said on the way is of made-up hospitals.

What its words are made with, as reports are, is imported once there is something to say: workers begin meanwhile.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from policies.settings import declared
from policies.terminal.printing import say
from policies.terminal.progress import Watched
from researcher.cli.study_options import study_settings_of
from researcher.simulation.apart import Aside
from researcher.simulation.rounds import Doing
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.simulate import simulate


def run(
    *,
    data: Path,
    test: Path | None,
    out: Path,
    backbone_weights: str | None,
    in_process: bool,
    aside: Aside,
    **given: Any,
) -> None:
    """Runs a simulation and says what happens.

    Args:
        data: What the hospitals share.
        test: Test data, or None.
        out: Folder to write.
        backbone_weights: Of a features model, or None.
        in_process: Whether Ray is left out.
        aside: Makes the plan.
        given: The options of a simulation and of its study's plan.
    """
    own = {name: given.pop(name) for name in declared(SimulationSettings)}
    chosen = {name: value for name, value in own.items() if value is not None}
    with ExitStack() as stack:
        result = simulate(
            study_settings_of(given),
            SimulationSettings(**chosen, in_process=in_process),
            data,
            out,
            test=test,
            backbone_weights=backbone_weights,
            on_plan=lambda plan, hospitals: _words().say_plan(plan, hospitals),
            on_round=lambda record: _words().say_round(record),
            on_retried=lambda hospital, at: say(f"round {at + 1}: a worker died; {hospital} is trained again"),
            on_shared=lambda told: say(f"Attention: {told}."),
            on_progress=_Steps(stack),
            aside=aside,
        )
    _words().say_end(result, out)


class _Steps:
    """Tells on standard error how far the steps of all hospitals are, from the first on."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._watched: Watched | None = None

    def __call__(self, doing: Doing) -> None:
        if self._watched is None:
            self._watched = self._stack.enter_context(Watched("Steps of training"))
        self._watched(doing.done, doing.total, str(doing))


def _words() -> ModuleType:
    from researcher.cli.trials import simulated_words

    return simulated_words
