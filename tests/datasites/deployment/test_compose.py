"""compose.yaml starts the images that are built, closed in, with settings that a datasite knows."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from support.chart_tools import PROJECT

from datasites.config import DatasiteConfig
from policies import __version__

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DATASITES = [name for name, one in SERVICES.items() if name.startswith("hospital")]


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_closed_in(name: str) -> None:
    one = SERVICES[name]
    assert one["image"] in (f"localhost/wanwu-{what}:{__version__}" for what in ("datasite", "researcher"))
    assert one["read_only"] is True and one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges", "seccomp=datasites/deployment/seccomp.json"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & one.keys()


def test_there_is_one_hospital_and_a_trial_of_three_without_a_way_out() -> None:
    profiles = {name: SERVICES[name]["profiles"] for name in DATASITES}
    assert profiles.pop("hospital") == ["hospital"]
    assert len(profiles) == 3 and set(map(tuple, profiles.values())) == {("trial",)}
    assert all(SERVICES[name]["networks"] == ["trial"] for name in (*profiles, "researcher"))
    assert COMPOSE["networks"]["trial"] == {"internal": True}
    assert SERVICES["researcher"]["volumes"] == ["${STUDY:-./study}:/study"]  # no hospital's books, no pictures


@pytest.mark.parametrize("name", DATASITES)
def test_the_settings_are_settings_of_a_datasite(name: str) -> None:
    one = SERVICES[name]
    plain = {key: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for key, value in one["environment"].items()}
    (text,) = re.findall(r"printf '(.*)' ", one["entrypoint"][2])
    places = ("PUBLIC_NAME", "RESEARCHER", "DATA_PATH", "SITE")
    told = text.replace("\\n", "\n") % tuple(plain[place] for place in places)
    config = DatasiteConfig.from_dict({"name": plain["NAME"], **tomllib.loads(told)})
    assert f"http://127.0.0.1:{config.console_port}/health" in str(one["healthcheck"]["test"])
    if ports := one.get("ports"):
        assert ports == [f"{config.port}:{config.port}"]
