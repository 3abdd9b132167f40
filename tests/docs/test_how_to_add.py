"""The pages that tell how to add something: the files that they name are there, and what they tell to write works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from support.books import PLAN
from support.clipping_oracle import distance, one_by_one

from datasites.access.people import ResearcherRow
from datasites.access.sessions import Session
from datasites.access.staff import Person
from datasites.config import DatasiteConfig
from datasites.doctor.examination import examine
from datasites.doctor.finding import OK, WARNING, ExaminedDatasite
from datasites.files.state_folder import StateFolder
from datasites.pages.frame.forms import Form
from datasites.pages.frame.templates import make_environment
from datasites.pages.frame.visit import THEMES, Visit
from datasites.pages.languages.languages import Language, read_languages
from datasites.training import models
from datasites.training.engines import ENGINES
from policies.errors import LimitExceeded, PlanError
from policies.plans import model_options
from policies.plans.training import ModelSpec
from researcher import strategies

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted((PROJECT / "docs").glob("how-to-add-a-*.md"))


def written(kind: str) -> dict[str, Any]:
    """What the code of a page defines, one block after the other."""
    text = (PROJECT / "docs" / f"how-to-add-a-{kind}.md").read_text()
    names: dict[str, Any] = {"__name__": "of_the_page"}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, kind, "exec", dont_inherit=True), names)
    return names


def test_there_is_a_page_for_each_thing_that_is_often_added_and_contributing_leads_there() -> None:
    told = (PROJECT / "CONTRIBUTING.md").read_text()
    assert [page.stem.removeprefix("how-to-add-a-") for page in PAGES] == [
        "doctor-check", "model", "page", "review-rule", "setting", "strategy",
    ]  # fmt: skip
    assert all(f"(docs/{page.name})" in told for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`((?:\w+/)+(?:[\w.-]+)?|\w+\.(?:md|toml))`", page.read_text()))
    assert len(named) >= 3
    example = {"config.toml", "datasites/pages/certificates.py"}
    assert [name for name in named - example if not (PROJECT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_that_a_page_says_stands_in_a_file_is_there(page: Path) -> None:
    for line in page.read_text().splitlines():
        row = re.match(r"\| `([\w/.]+\.py)` \| (.*) \|$", line)
        if row and row[1] != "datasites/pages/certificates.py":
            source = (PROJECT / row[1]).read_text()
            for name in re.findall(r"`(_?[A-Z]\w+)`", row[2]):
                assert name in source, f"{row[1]} has no {name}"


def test_a_model_as_the_page_tells_is_named_built_and_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    page = written("model")
    known: Mapping[str, Any] = MappingProxyType({**model_options.PICTURE_MODELS, "two_layers": page["options"]})
    monkeypatch.setattr(model_options, "PICTURE_MODELS", known)
    monkeypatch.setattr(model_options, "MODELS", (*model_options.MODELS, "two_layers"))
    monkeypatch.setitem(models.MODELS, "two_layers", page["two_layers"])
    spec = ModelSpec("two_layers", (4, 4, 1), 3, {"width": 8})
    model_options.check_options(spec)
    with pytest.raises(PlanError, match="width"):
        model_options.check_options(replace(spec, options={"width": 3}))
    assert sum(np.prod(shape) for shape in models.trainable_shapes(spec).values()) == 17 * 8 + 9 * 3
    images, labels = torch.randn(4, 1, 4, 4, dtype=torch.double), torch.tensor([0, 1, 2, 0])
    for engine in ENGINES.values():
        model = models.build_model(spec).double()
        expected = one_by_one(model, images, labels, 0.1)
        assert distance(engine(model, 0.1).clipped_sum(images, labels), expected) < 1e-5


def test_a_strategy_as_the_page_tells_is_built_by_its_name_and_averages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        strategies, "STRATEGIES", {**strategies.STRATEGIES, "cautious": written("strategy")["Cautious"]}
    )
    strategy = strategies.build("cautious", share=0.25)
    before = strategy.init({"w": np.array([1.0, 1.0], np.float32)})
    sent = [
        strategies.ClientUpdate("north", {"w": np.array([4.0, 0.0], np.float32)}, 1.0),
        strategies.ClientUpdate("south", {"w": np.array([0.0, 8.0], np.float32)}, 3.0),
    ]
    after = strategy.apply(before, sent)  # means 1 and 6, a quarter of them
    assert (after.weights["w"].tolist(), after.round, before.weights["w"].tolist()) == ([1.25, 2.5], 1, [1.0, 1.0])
    with pytest.raises(PlanError, match="share"):
        strategies.build("cautious", share=0)
    with pytest.raises(PlanError, match="no setting"):
        strategies.build("cautious", pace=1)


def test_a_doctor_check_as_the_page_tells_finds_what_it_looks_for(tmp_path: Path) -> None:
    examined = ExaminedDatasite(StateFolder(tmp_path / "north"))
    examined.state.create()
    check = written("doctor-check")["handed_over"]
    assert [one.level for one in examine(examined, (check,))] == [OK]
    (examined.state.credentials / "ada@university.org.json").write_text("{}")
    (found,) = examine(examined, (check,))
    assert (found.level, found.check) == (WARNING, "credentials") and "1 wait" in found.text and found.advice


def test_a_page_as_the_page_tells_is_drawn_takes_a_form_and_counts(tmp_path: Path) -> None:
    told = (PROJECT / "docs" / "how-to-add-a-page.md").read_text()
    row = ResearcherRow("ada@university.org", "valid", "2026-01-02T03:04:05", "2026-04-02T03:04:05", None, 20)
    revoked: list[str] = []
    pages = written("page")["make_pages"](lambda: [row], lambda email: revoked.append(email) or 2)
    place, (show, end) = pages.places[0], pages.routes
    assert (place.path, show.roles, end.method) == ("/certificates", ("admin",), "POST")
    template = re.search(r"```jinja\n(.*?)```", told, re.DOTALL)
    assert template
    languages = read_languages()
    for code, language in languages.items():
        environment = make_environment(language)
        page = show.view(visit_in(language))
        values = {"visit": visit_in(language), "console_name": "north", "places": [place], "notices": (), "signs": None}
        drawn = environment.from_string(template[1]).render(
            {**values, "languages": languages.values(), "themes": THEMES, **page.values}
        )
        assert "ada@university.org" in drawn and ("有效" if code == "zh" else "valid") in drawn
    assert end.view(visit_in(languages["en"])).status == 422
    sent = end.view(visit_in(languages["en"], email=[" ada@university.org "]))
    assert (sent.path, sent.notice, revoked) == ("/certificates", "2 certificates have ended.", ["ada@university.org"])


def visit_in(language: Language, **form: list[str]) -> Visit:
    person = Person("dr.wu", "admin", named=True)
    session = Session(person, mark="", began=0, seen=0)
    return Visit(
        "http://127.0.0.1", "/certificates", {}, Form(), Form(form), "", session, "", "", "token", language, "auto"
    )


def test_review_rules_as_the_page_tells_refuse_or_only_say() -> None:
    page = written("review-rule")
    page["check_local_work"](PLAN, 1)
    with pytest.raises(LimitExceeded, match="at most 1 steps"):
        page["check_local_work"](replace(PLAN, steps_per_round=2), 1)
    assert page["of_length"](replace(PLAN, rounds=200)) == []
    (said,) = page["of_length"](replace(PLAN, rounds=201))
    assert (said.field, "201" in said.text) == ("rounds", True)


def test_a_setting_as_the_page_tells_is_written_with_its_help_and_read_back(tmp_path: Path) -> None:
    config = written("setting")["Quieter"]
    text = config(name="north", quiet_minutes=5).to_toml()
    assert "# Minutes after a run in which no other one begins.\nquiet_minutes = 5\n" in text
    (tmp_path / "config.toml").write_text(text)
    assert config.from_toml(tmp_path / "config.toml").quiet_minutes == 5
    (tmp_path / "config.toml").write_text(DatasiteConfig(name="north").to_toml())
    assert config.from_toml(tmp_path / "config.toml").quiet_minutes == 0
    with pytest.raises(PlanError, match="quiet_minutes"):
        config(name="north", quiet_minutes=-1)
