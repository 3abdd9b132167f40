"""The study that is recorded at each release: one round at one hospital, and every route of the researchers' port.

python tests/support/recorded_study.py tests/releases/0.2

A later release asks the same of the recording: what is called here has to stay, or the recording is of no use.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

PROJECT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import support.imported_pysyft  # noqa: E402, F401
from support.declared_forms import write_forms  # noqa: E402
from support.hospitals import Hospital as Datasite  # noqa: E402
from support.hospitals import make_hospital, running, write_pictures  # noqa: E402
from support.recorded_traffic import Body, Decided, Recorder, Recording  # noqa: E402
from support.waiting import wait_for  # noqa: E402

import policies  # noqa: E402
from policies.answers.runs import ENDED, RunAnswer  # noqa: E402
from policies.contracts.inputs import Ticket  # noqa: E402
from policies.contracts.weights import canonical_bytes  # noqa: E402
from policies.plans.kinds import Plan  # noqa: E402
from policies.plans.training import TrainingPlan  # noqa: E402
from policies.versions import releases  # noqa: E402
from researcher.hospitals import secure_channel  # noqa: E402
from researcher.hospitals.credentials import Credentials  # noqa: E402
from researcher.hospitals.hospital import Hospital  # noqa: E402
from researcher.hospitals.pysyft_connection import SignedCalls  # noqa: E402

STUDY = "study.json"
QUESTION, ANSWER = "Who reads what comes of it?", "We, and nobody else."
_REHEARSED = ("passed", "failed", "impossible")


def plans(hospital: Hospital) -> tuple[Plan, Plan]:
    """A study of one round of the smallest model, and another one that is withdrawn."""
    from researcher.planning.planning import StudySettings, make_plan

    settings = StudySettings(
        study="recorded", model="linear", num_rounds=1, local_epochs=0.4, sample_rate=0.2, noise_multiplier=12.0
    )
    plan = make_plan(settings, list(hospital.datasets.values()))
    return plan, replace(plan, study="withdrawn")


def researchers_side(
    hospital: Hospital, asked: tuple[Plan, Plan], decide: Callable[..., None], folder: Path
) -> dict[str, Any]:
    """All that a researcher's side asks of a hospital for a study, in an order that does not depend on time.

    Args:
        hospital: Connected.
        asked: The study's plan, and that of one that is withdrawn.
        decide: Called with words of the hospital's command line, where its people decide.
        folder: To download into.

    Returns:
        What came of it: `receipt`, `public_key`, `update` and the plan.
    """
    plan, other = asked
    routes = hospital.routes
    told = routes.info()
    routes.budget(plan.dataset)
    withdrawn = hospital.submit(other)
    routes.withdraw(withdrawn.request_id)
    request = hospital.submit(plan)
    own = request.request_id
    assert routes.request(own).state == "pending"
    decide("ask", own, QUESTION)
    assert [message.text for message in routes.messages(own).messages] == [QUESTION]
    routes.answer(own, ANSWER)
    wait_for(lambda: (rehearsed := routes.rehearsal(own)) is not None and rehearsed.state in _REHEARSED)
    decide("approve", own)
    assert routes.ask_for_canary(own) is not None
    _ended(lambda: routes.canary(own, wait_seconds=1.0))
    weights = canonical_bytes(_initial(plan))
    digest = routes.put_blob(weights)
    assert routes._received(digest, len(weights)) == 0
    hospital.ask(plan.dataset, request, Ticket(0, digest))
    run = _ended(lambda: routes.run(own, 0, wait_seconds=1.0))
    assert run.state == "done", run
    update = folder / "update"
    routes.get_blob(run.update, update, max_bytes=1 << 20)
    assert routes.cancel(own, 0).state == "done"
    receipt = routes.receipt(own)
    assert routes.end(own).state == "ended"
    return {"receipt": receipt, "public_key": told.public_key, "update": update.read_bytes(), "plan": plan}


def record(folder: Path) -> None:
    """Runs the study at a real datasite and writes its traffic, and what plans and answers declare, into a folder."""
    recording = Recording(policies.__version__)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_pictures(work / "pictures.npz", sites=("north",))
        made = make_hospital(work, "north", work / "pictures.npz", rehearses=True)
        datasite = stack.enter_context(running(made, forked=False))["north"]
        calls: list[Body] = []
        to, make = secure_channel.transport_of, SignedCalls.make

        def watched(context: Any) -> Recorder:
            return Recorder(to(context), recording, lambda: calls[-1])

        def noted(self: SignedCalls, path: str, **arguments: Any) -> Any:
            calls.append(call_of(path, arguments))
            return make(self, path, **arguments)

        stack.enter_context(patch.object(secure_channel, "transport_of", watched))
        stack.enter_context(patch.object(SignedCalls, "make", noted))
        hospital = Hospital(Credentials.from_file(datasite.credentials()))
        stack.callback(hospital.close)
        researchers_side(hospital, plans(hospital), _by(datasite, recording), work)
    check_whole(recording)
    folder.mkdir(parents=True, exist_ok=True)
    recording.save(folder / STUDY)
    write_forms(folder)


def check_whole(recording: Recording) -> None:
    """Fails where a route of the researchers' port was not asked for."""
    from datasites.researchers_port import routes

    made: Any = routes.ResearcherRoutes(**dict.fromkeys(routes.ResearcherRoutes.__dataclass_fields__))
    asked = [" ".join(exchange.place) for exchange in recording.exchanges]
    for one in routes.make_routes(made).routes:
        (method,), path = one.methods, re.sub("{[^}]*}", "[^/]+", one.path)  # type: ignore[attr-defined]
        assert any(re.fullmatch(f"{method} {path}", place) for place in asked), f"nothing asks for {method} {one.path}"  # type: ignore[attr-defined]


def call_of(path: str, arguments: dict[str, Any]) -> Body:
    """What a submission by PySyft holds."""
    code = arguments["code"]
    (rules,) = code.input_policy_init_kwargs.values()
    return {
        "path": path,
        "function": code.func_name,
        "code": code.code,
        "arguments": list(code.input_kwargs),
        "asset": str(rules["asset"].val),
        "plan": rules["plan"].val,
    }


def _by(datasite: Datasite, recording: Recording) -> Callable[..., None]:
    def decide(*words: str) -> None:
        datasite.admin(*words)
        recording.add(Decided(list(words)))

    return decide


def _initial(plan: Plan) -> dict[str, Any]:
    from datasites.training.models import initial_weights

    assert isinstance(plan, TrainingPlan)
    return dict(initial_weights(plan.model, 0))


def _ended(look: Callable[[], RunAnswer]) -> RunAnswer:
    return wait_for(lambda: run if (run := look()).state in ENDED else None)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    assert target.name == releases.told(releases.own().minor_version), "a folder is named after the minor version"
    record(target)
    print(f"recorded: {target}")
