"""`train --initial_weights`: public weights become the first global model, with a record in the study's folder."""

from __future__ import annotations

import hashlib
import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
from references import understood
from rich.console import Console

from datasites.training.models import initial_weights
from policies.errors import ConfigError
from policies.plans.training import ModelSpec
from researcher.cli.program import main, make_program
from researcher.planning.initial_weights import RECORD_FILE
from researcher.studies.checkpoints import STATE_FILE
from researcher.terminal.public_data import first_weights

with warnings.catch_warnings():  # PySyft's own imports warn of what pydantic and others have deprecated
    warnings.simplefilter("ignore")
    from researcher.terminal.training_session import wait_and_run

SPEC = ModelSpec("linear", (4, 4, 1), 2)
STUDY = SimpleNamespace(
    plan=SimpleNamespace(model=SPEC, rounds=1, dataset="d"),
    requests={},
    folder="out",
    federation=SimpleNamespace(hospitals={}, missing={}),
)


def options(tmp_path, *more):
    command = ["train", "--out", str(tmp_path / "study"), "--test", "hold_out.npz", *more]
    return understood(make_program(), command)


def first(tmp_path, *more):
    given = options(tmp_path, *more)
    sha256, seed = given["initial_weights_sha256"], given["seed"]
    return first_weights(STUDY, given["out"], given["initial_weights"], sha256=sha256, seed=seed)


@pytest.fixture
def public(tmp_path):
    """A file of weights, and the arguments that name it."""
    content = safetensors.numpy.save(initial_weights(SPEC, 9))
    (tmp_path / "public.safetensors").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return "--initial_weights", str(tmp_path / "public.safetensors"), "--initial_weights_sha256", digest


def test_public_weights_are_read_and_recorded_in_the_studys_folder(tmp_path, public, capsys):
    got = first(tmp_path, *public)
    assert got is not None and np.array_equal(got["head.weight"], initial_weights(SPEC, 9)["head.weight"])
    record = json.loads((tmp_path / "study" / RECORD_FILE).read_text())
    assert (record["source"], record["sha256"], record["loaded"]) == (public[1], public[3], 2)
    assert "2 of 2 parameters; at random: none" in capsys.readouterr().out


def test_without_them_a_study_starts_at_random(tmp_path):
    assert first(tmp_path) is None


def test_a_study_that_goes_on_does_not_read_them_again(tmp_path, public):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / STATE_FILE).write_text("{}")
    assert first(tmp_path, *public) is None
    assert not (tmp_path / "study" / RECORD_FILE).exists()


def test_without_a_digest_they_are_refused(tmp_path, public):
    with pytest.raises(ConfigError, match="SHA-256"):
        first(tmp_path, *public[:2])


class FakeStudy(SimpleNamespace):
    under_way, waited = False, False

    def is_under_way(self, min_clients):
        return self.under_way

    def wait_for_decisions(self, **waits):
        self.waited = True
        return {}

    def run(self, hold_out, **given):
        first = given["initial_weights"]
        return first() if callable(first) and not self.under_way else first, None


@pytest.mark.parametrize("given", [None, {"head.weight": np.ones(3)}])
def test_a_session_starts_from_what_it_is_given_else_from_the_seed(given):
    began: tuple[dict, object] = wait_and_run(
        FakeStudy(**vars(STUDY)),
        SimpleNamespace(told=tuple),
        console=Console(quiet=True),
        min_clients=1,
        seed=3,
        initial_weights=given,
    )
    started, expected = began[0], initial_weights(SPEC, 3) if given is None else given
    assert set(started) == set(expected)
    assert all(np.array_equal(started[name], expected[name]) for name in expected)


def test_a_session_that_goes_on_with_a_round_waits_for_no_decision_and_draws_no_weights():
    study = FakeStudy(**vars(STUDY), under_way=True)
    first, _ = wait_and_run(study, SimpleNamespace(told=tuple), console=Console(quiet=True), min_clients=1, seed=3)
    assert callable(first) and not study.waited


def test_options_of_the_model_are_read_as_the_values_they_are(tmp_path):
    told = ("patch_size=8", "width=0.5", "bias=false", "stem=small", "activation=[1]")
    read = options(tmp_path, *(word for one in told for word in ("--model_option", one)))["model_option"]
    values = {"patch_size": 8, "width": 0.5, "bias": False, "stem": "small", "activation": "[1]"}
    assert dict(read) == values and type(dict(read)["bias"]) is bool


def test_an_option_without_a_value_is_refused(capsys):
    assert main(["train", "--test", "hold_out.npz", "--model_option", "stem"]) == 2
    assert "NAME=VALUE" in capsys.readouterr().err
