"""What needs torch before the rounds is done in a process that ends, and what it raises comes back as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from support.hospitals import ENVIRONMENT, PROJECT

PLANNED = """
import sys
from researcher.planning.settings import StudySettings
from researcher.simulation.settings import SimulationSettings
from researcher.simulation.work import make_work
study = StudySettings(num_rounds=1, local_epochs=0.5, sample_rate=0.25, epsilon=8.0, model="small_cnn")
work = make_work(study, SimulationSettings(hospitals=2), sys.argv[1])
print(*[name for name in ("torch", "opacus", "torchvision") if name in sys.modules])
print(work.plan.digest())
import numpy as np
from datasites.training.models import initial_weights
own = initial_weights(work.plan.model, 0)
print(list(own) == list(work.first_weights) and all(np.array_equal(own[one], work.first_weights[one]) for one in own))
"""
RAISED = """
import sys

from researcher.simulation.apart import apart
from {module} import {name}
try:
    with apart({name}) as wait:
        wait()
except Exception as error:
    print(type(error).__name__, error, "torch" in sys.modules)
"""

MEANWHILE = """
import sys
from pathlib import Path

from researcher.simulation.apart import apart
from waiting import seen
with apart(seen, sys.argv[1]) as wait:
    Path(sys.argv[1]).touch()
    print(wait())
"""


def _ran(program: str, *arguments: object, path: Path = PROJECT) -> list[str]:
    environment = {**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(path)])}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=PROJECT)
    return done.stdout.splitlines()


def test_a_simulation_is_planned_without_torch_in_the_process_that_goes_on(data: Path) -> None:
    imported, digest, alike = _ran(PLANNED, data)
    assert imported == "" and digest and alike == "True"


def test_the_block_is_done_while_the_function_is(tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(
        "import time\nfrom pathlib import Path\ndef seen(path):\n"
        "    while not Path(path).exists():\n        time.sleep(0.01)\n    return 'seen'\n"
    )
    assert _ran(MEANWHILE, tmp_path / "touched", path=tmp_path) == ["seen"]


def test_an_error_comes_back_as_it_was_raised(tmp_path: Path) -> None:
    (tmp_path / "refusing.py").write_text(
        "from policies.errors import PlanError\ndef refuse():\n    raise PlanError('Lower the rounds.')\n"
    )
    assert _ran(RAISED.format(module="refusing", name="refuse"), path=tmp_path) == ["PlanError Lower the rounds. False"]


def test_a_process_that_is_ended_from_outside_is_told(tmp_path: Path) -> None:
    (tmp_path / "ended.py").write_text(f"import os\ndef end():\n    os.kill(os.getpid(), {int(signal.SIGKILL)})\n")
    (said,) = _ran(RAISED.format(module="ended", name="end"), path=tmp_path)
    assert said.startswith("RunFailed The process that makes a simulation's plan was ended from outside")


BEGUN = """
import sys
import time
from pathlib import Path

from researcher.simulation.apart import Aside

with Aside("noting") as aside:
    while not Path(sys.argv[1]).exists():
        time.sleep(0.01)
    from noting import inherited, process
    if len(sys.argv) > 2:
        with aside.doing(inherited) as wait:
            print(wait() != process)
            child = aside._process
    else:
        child = aside._process
print(child.exitcode is not None or not child.is_alive())
"""


def test_a_process_that_is_begun_before_imports_at_once_and_ends_with_its_work_or_without(tmp_path: Path) -> None:
    (tmp_path / "noting.py").write_text(
        "import os, sys\nfrom pathlib import Path\nPath(sys.argv[1]).touch()\nprocess = os.getpid()\n"
        "def inherited():\n    return process\n"
    )
    for more, said in ((["used"], ["True", "True"]), ([], ["True"])):
        (tmp_path / "touched").unlink(missing_ok=True)
        assert _ran(BEGUN, tmp_path / "touched", *more, path=tmp_path) == said
