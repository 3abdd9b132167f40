"""Tables in a narrow terminal: identifiers stay whole, and what is needed least is left out."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from policies.terminal.rich_terminal import PlainConsole, PlainTable

IDENTIFIERS = ("f7efbb81", "approved", "researcher@university.org")
PROSE = "The noise is below what this hospital asks for"
COLUMNS = ("request", "state", "researcher", "model", "reason")


def printed(width: int, *, spare: tuple[str, ...] = ()) -> str:
    table = PlainTable(*COLUMNS, spare=spare)
    table.add_row(*IDENTIFIERS, "mobilenet_v3_small", PROSE)
    table.add_row("0c11d2e3", "pending")
    stream = io.StringIO()
    PlainConsole(file=stream, width=width).print(table)
    assert max(map(cell_len, stream.getvalue().splitlines())) <= width
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_identifier_and_no_word_is_broken(width: int) -> None:
    found = printed(width, spare=("model",))
    assert [word for word in (*IDENTIFIERS, *PROSE.split()) if word not in found] == []


def test_a_spare_column_is_left_out_only_where_the_others_have_no_room() -> None:
    whole, narrow = printed(100, spare=("model",)), printed(70, spare=("model",))
    assert "mobilenet_v3_small" in whole and "No room" not in whole
    table, _, told = narrow.partition("No room for the column ")
    assert "mobilenet_v3_small" not in narrow and "model" not in table
    assert told.split() == ["model.", "It", "stands", "in", "a", "wider", "terminal."]


def test_two_columns_that_are_left_out_are_told_as_two() -> None:
    told = " ".join(printed(50, spare=("model", "state")).split())
    assert "No room for the columns model, state. They stand in a wider terminal." in told


def test_a_column_is_kept_where_it_fits_with_less_between_the_columns() -> None:
    least = sum(len(max(word.split(), key=len)) for word in ("mobilenet_v3_small", *IDENTIFIERS, "hospital"))
    found = printed(least + 2 * 4, spare=("model",))
    assert [word for word in (*IDENTIFIERS, "mobilenet_v3_small", *PROSE.split()) if word not in found] == []
    assert "No room" not in found and "No room" in printed(least + 2 * 4 - 1, spare=("model",))


def test_the_option_that_tells_all_columns_is_named_where_there_is_one() -> None:
    table, stream = PlainTable("hospital", "round trip", spare=("round trip",), elsewhere="--json"), io.StringIO()
    table.add_row("hospital_a", "223 ms")
    PlainConsole(file=stream, width=12).print(table)
    assert "--json tells it, and so does a wider terminal." in " ".join(stream.getvalue().split())


def test_where_not_all_words_fit_the_longest_are_folded() -> None:
    found = printed(56)
    assert "f7efbb81" in found and "approved" in found and IDENTIFIERS[2] not in found


def test_a_number_stays_beside_its_unit_where_others_can_be_broken() -> None:
    table, stream = PlainTable("hospital", "round trip", "MB/s up / down", "reason"), io.StringIO()
    table.add_row("hospital_a", "223 ms", "2 / 4", PROSE)
    PlainConsole(file=stream, width=56).print(table)
    assert "223 ms" in stream.getvalue() and "2 / 4" in stream.getvalue()


@pytest.mark.parametrize("width", [1, 10, 30])
def test_even_a_very_narrow_terminal_gets_its_table(width: int) -> None:
    assert printed(width, spare=("model", "nothing by that name"))


def test_columns_stand_closer_before_a_number_is_parted_from_its_unit() -> None:
    table, stream = PlainTable("hospital", "round trip", "certificate", "reason"), io.StringIO()
    table.add_row("hospital_a", "104 ms", "89 days", "noise")
    PlainConsole(file=stream, width=45).print(table)
    row = next(one for one in stream.getvalue().splitlines() if "hospital_a" in one)
    assert "104 ms" in row and "89 days" in row and "noise" in row
