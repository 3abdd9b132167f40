"""The researcher's process: goes on with the study in a folder, and writes what it sees there as lines of JSON.

python -m chaos.researcher FOLDER MIN_CLIENTS ROUND_DEADLINE CREDENTIALS...
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

EVENTS, HOLD_OUT = "events.jsonl", "hold-out.npz"


def main(folder: Path, min_clients: int, round_deadline: float, credentials: list[Path]) -> None:
    """Runs the rounds that are left."""
    lock = threading.Lock()
    with (folder / EVENTS).open("a") as stream:

        def tell(kind: str, **what: object) -> None:
            with lock:
                stream.write(json.dumps({"kind": kind, "pid": os.getpid(), "at": time.time(), **what}) + "\n")
                stream.flush()

        tell("began")
        from researcher.evaluation.hold_out import load_hold_out
        from researcher.hospitals.federation import Federation
        from researcher.studies.retry_policy import RetryPolicy
        from researcher.studies.study import Study

        def drawn() -> Mapping[str, np.ndarray]:
            from datasites.training.models import initial_weights

            return initial_weights(study.plan.model, 0)

        tell("imported")
        with Federation.connect(credentials, enough=min_clients) as federation:
            tell("connected")
            study = Study.load(federation, folder)
            study.run(
                hold_out=load_hold_out(folder / HOLD_OUT),
                initial_weights=drawn,
                min_clients=min_clients,
                retry_policy=RetryPolicy(round_deadline=round_deadline or None),
                on_event=lambda event: tell(
                    "event",
                    round=event.round,
                    datasite=event.datasite,
                    state=event.state,
                    reason=event.reason,
                ),
                on_round=lambda record: tell("round", record=record.to_dict()),
            )
            tell("ended")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), [Path(file) for file in sys.argv[4:]])
