"""What is unusual about a plan stands on its card, in the terminal and as plain values."""

from __future__ import annotations

import json
import warnings

from rich.console import Console

from datasites.tables import request_card

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from datasites.cards import RequestCard


def test_each_unusual_value_has_its_sentence_on_the_card() -> None:
    found = ({"field": "sample_rate", "text": "sample_rate 1 is high."}, {"field": "x", "text": "Something else."})
    card = RequestCard("id", "pending", "ada@example.org", "now", "", "", 1e-5, unusual=found)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(request_card(card.to_dict()))
    assert all(one["text"] in shown.get() for one in found)
    assert json.loads(json.dumps(card.to_dict()))["unusual"] == list(found)
