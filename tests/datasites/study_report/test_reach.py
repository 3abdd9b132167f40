"""Nothing that a researcher can reach knows a study report: no room of the researchers' port, and no route."""

from __future__ import annotations

import re
from pathlib import Path

DATASITES = Path(__file__).resolve().parents[3] / "datasites"


def test_only_the_command_line_imports_what_makes_it_and_only_the_consoles_pages_what_is_kept() -> None:
    knowing = {
        (str(file.relative_to(DATASITES)), module)
        for file in DATASITES.rglob("*.py")
        for module in re.findall(r"datasites\.study_report\.(\w+)", file.read_text())
        if file.parent.name != "study_report"
    }
    assert knowing == {
        ("cli/requests.py", "printed"),
        ("pages/daily/pages.py", "kept_reports"),
        ("pages/daily/study_reports.py", "kept_reports"),
    }


def test_no_route_of_the_researchers_port_and_none_of_the_admin_api_is_about_reports() -> None:
    texts = [file.read_text() for name in ("researchers_port", "console") for file in (DATASITES / name).rglob("*.py")]
    routes = [path for text in texts for path in re.findall(r"@\w+\.(?:get|post|put|delete)\(\"([^\"]*)\"", text)]
    assert len(routes) > 20
    assert [path for path in routes if "report" in path or "holdout" in path or "studies" in path] == []
    folders = [file for file in (DATASITES / "researchers_port").rglob("*.py") if "study_reports" in file.read_text()]
    assert folders == []
