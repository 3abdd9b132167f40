"""What others wrote is shown, never obeyed: the function itself, and what prints with it."""

from __future__ import annotations

import io
import json
import random
import sys
import unicodedata

import pytest
from support.hostile_texts import HOSTILE, PLAIN, raw_in

from policies import validate
from policies.errors import ConfigError, PlanError, RunFailed, WanwuError
from policies.inside_folder import inside
from policies.terminal.printing import say, say_error, say_json, show_everything
from policies.terminal.rich_terminal import PlainConsole, PlainTable, line
from policies.untrusted_text import csv_cell, in_one_form, is_plain, shown


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_shown_as_one_bounded_line(text: str) -> None:
    for most in (1, 40, 500, 200_000):
        seen = shown(text, most=most)
        assert len(seen) <= most and not raw_in(seen, lines=False)
        assert shown(seen, most=most) == seen
        seen.encode()


@pytest.mark.parametrize("text", PLAIN)
def test_letters_of_every_script_stay_as_they_are(text: str) -> None:
    assert shown(text) == text and is_plain(text) and validate.label("a name", text) == text
    assert str(WanwuError(text)) == text


def test_no_character_of_unicode_is_left_that_is_obeyed_or_has_no_meaning() -> None:
    for first in range(0, sys.maxunicode, 997):  # a prime step, and each plane's first characters
        for number in (first, first % 0x3000):
            assert not raw_in(shown(chr(number)), lines=False)
    drawn = random.Random(1)
    mixed = "".join(chr(drawn.randrange(sys.maxunicode)) for _ in range(5000))
    assert not raw_in(shown(mixed, most=100_000), lines=False)


def test_what_is_cut_says_so_and_how_long_it_was() -> None:
    seen = shown("x" * 1234, most=100)
    assert len(seen) == 100 and seen.endswith("… (1,234 characters)") and seen.startswith("xxx")
    assert shown("x" * 100, most=100) == "x" * 100


def test_marks_are_shown_on_letters_and_escaped_where_they_pile_up_or_have_none() -> None:
    assert shown("\u0301") == "\\u0301" and shown("e\u0301") == "e\u0301"
    assert sum(unicodedata.combining(one) > 0 for one in shown("e" + "\u0301" * 50)) == 4


@pytest.mark.parametrize("value", [None, 3, -1.5, True, b"\x1b", ["\x1b"], {"\x1b": "\x1b"}])
def test_what_is_not_a_text_is_shown_too(value: object) -> None:
    assert not raw_in(shown(value), lines=False)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", " =1", "\r=1", "\uff1d1", "\uff20a"])
def test_a_spreadsheet_computes_no_cell(text: str) -> None:
    assert csv_cell(text)[0] in "'\\"  # an apostrophe, or a control character that is an escape now


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_errors_text_is_one_that_can_be_shown(text: str) -> None:
    error = RunFailed(f"It failed: {text}")
    assert not raw_in(error.public, lines=False) and not raw_in(str(error), lines=False)
    assert len(error.public) <= 4000
    assert json.loads(json.dumps(error.to_json())) == {"code": error.code, "error": error.public}
    assert type(error)(error.public).public == error.public  # as it is raised again on the other side


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_printed_is_shown(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"Said {text}")
    say_json({text: [text]})
    say_error(ConfigError(text, private=text), private=True)
    show_everything()
    sys.excepthook(ValueError, ValueError(f"it was {text}"), None)
    printed = capsys.readouterr()
    assert not raw_in(printed.out + printed.err)
    assert printed.out.count("\n") == 2
    assert all(len(one) <= 4000 for one in printed.err.splitlines())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_table_and_a_console_obey_nothing_in_a_text(text: str) -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, force_terminal=True, width=5000)
    table = PlainTable("name", text)
    table.add_row(text, "b")
    console.print(table, text, line("before ", (text, "red"), " after"))
    console.rule(text)
    with console.status(text):
        pass
    stream.getvalue().encode()
    cursor = {"0x1b"}  # rich hides and shows the cursor while it waits
    assert set(raw_in(stream.getvalue().replace("\r", ""))) <= cursor
    if len(text) < 100:
        assert stream.getvalue().count(shown(text)) >= 3  # brackets and codes stand there as they were written


@pytest.mark.parametrize("text", [*HOSTILE.values(), "", ".", "..", ".x", "a/b", "a\\b", "a\0", "C:x"])
def test_no_text_leads_out_of_a_folder(text: str, tmp_path) -> None:
    try:
        path = inside(tmp_path, text)
    except ConfigError as error:
        assert not raw_in(error.public, lines=False)
    else:
        assert path.resolve().parent == tmp_path.resolve()
        assert text in ("+1", "-1")  # they are names


def test_names_that_are_used_stay_in_their_folder(tmp_path) -> None:
    for name in ("hospital_a.receipt.json", "researcher+1@university.org.json", "round-00001-0a.safetensors"):
        assert inside(tmp_path, name) == tmp_path / name


def test_a_link_out_of_the_folder_is_refused_and_a_folder_behind_a_link_is_not(tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert inside(tmp_path / "linked", "x.json") == tmp_path / "linked" / "x.json"
    (tmp_path / "real" / "out.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ConfigError, match="leads out"):
        inside(tmp_path / "real", "out.json")


@pytest.mark.parametrize("text", [text for name, text in HOSTILE.items() if name not in ("markup", "emoji code")])
def test_a_name_for_people_is_one_that_can_be_shown(text: str) -> None:
    try:
        assert is_plain(validate.label("a class name", text))
    except PlanError as error:
        assert not raw_in(error.public, lines=False) and len(error.public) < 400


def test_names_that_look_alike_are_in_one_form_unless_two_would_become_one() -> None:
    assert in_one_form(["cafe\u0301", "\u304b\u3099", "b"]) == ("caf\u00e9", "\u304c", "b")
    two = ("cafe\u0301", "caf\u00e9", "o\u0302")
    assert in_one_form(two) == two
