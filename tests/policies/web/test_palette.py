"""The palette: pages on both sides take their colours from it alone, and text can be read on each ground."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policies.web import palette

PROJECT = Path(__file__).parents[3]
SHEETS = (PROJECT / "datasites/pages/static/console.css", PROJECT / "researcher/serving/page/page.css")
COLOURS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", palette.in_colours(SHEETS[0]).decode()
    )
}
TEXTS = [
    *((text, ground) for text in ("ink", "soft", "accent", "bad") for ground in ("ground", "sheet")),
    ("on-accent", "accent"),
    ("ink", "accent-tint"),
    *((f"{text}", f"{text}-tint") for text in ("accent", "good", "warn", "bad")),
]
EDGES = [("edge", "sheet"), ("edge", "ground"), ("accent", "sheet"), ("bad", "sheet")]


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXTS, 4.5), (EDGES, 3.0)], ids=["texts", "edges"])
def test_each_text_and_edge_stands_out_from_its_ground(theme: int, pairs: list[tuple[str, str]], least: float) -> None:
    faint = {pair: contrast(*(COLOURS[name][theme] for name in pair)) for pair in pairs}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < least} == {}


@pytest.mark.parametrize("sheet", SHEETS, ids=["console", "served model"])
def test_a_pages_style_sheet_has_no_colours_of_its_own_on_a_screen(sheet: Path) -> None:
    on_screen = sheet.read_text().split("@media print")[0]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|light-dark\(|rgba?\(|hsl", on_screen) == []
    assert set(re.findall(r"var\(--([a-z-]+)", on_screen)) <= {*COLOURS, "radius"}
    served = palette.in_colours(sheet).decode()
    assert served.endswith(sheet.read_text()) and "--ink: light-dark(" in served
