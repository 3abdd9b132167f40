"""Nothing that a researcher can reach knows a study report: no room of the datasite's process, and no route."""

from __future__ import annotations

import re
from pathlib import Path

DATASITES = Path(__file__).resolve().parents[3] / "datasites"


def test_only_the_command_line_imports_what_makes_it() -> None:
    knowing = {
        str(file.relative_to(DATASITES))
        for file in DATASITES.rglob("*.py")
        if "datasites.study_report" in file.read_text() and file.parent.name != "study_report"
    }
    assert knowing == {"cli/requests.py"}


def test_no_route_of_either_port_is_about_reports() -> None:
    texts = [file.read_text() for name in ("researchers_port", "console") for file in (DATASITES / name).rglob("*.py")]
    routes = [path for text in texts for path in re.findall(r"@\w+\.(?:get|post|put|delete)\(\"([^\"]*)\"", text)]
    assert len(routes) > 20
    assert [path for path in routes if "report" in path or "holdout" in path] == []
