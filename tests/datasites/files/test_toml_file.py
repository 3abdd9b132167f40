"""TOML that is written reads back as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasites.config import DatasiteConfig
from datasites.files.toml_file import toml_value
from datasites.hospitals_file import read_hospitals
from datasites.sources.dataset_settings import DatasetSettings
from policies.errors import ConfigError

TEXTS = st.text() | st.sampled_from(
    ["\n", "\r\n", "\x00", "\x7f", "\x85", "\u2028", '"', "'''", '"""', "\\", "\\u0041"]
)
VALUES = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(VALUES | st.lists(VALUES, max_size=4))
def test_any_value_reads_back_from_one_line(value: Any) -> None:
    line = f"setting = {toml_value(value)}\n"
    read = tomllib.loads(line)["setting"]
    assert read == value and type(read) is type(value)
    assert line[:-1].isprintable(), "in one line, and nothing in it is obeyed or invisible"


@settings(max_examples=50, deadline=None, derandomize=True)
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_any_text_in_the_settings_reads_back_with_all_of_them(text: str, class_names: list[str]) -> None:
    config = DatasiteConfig("north", dataset=DatasetSettings(data_path=text, site=text, class_names=tuple(class_names)))
    assert DatasiteConfig.from_dict(tomllib.loads(config.to_toml())) == config


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_saved_by_an_editor_of_windows_reads_the_same(mark: bytes, tmp_path: Path) -> None:
    (tmp_path / "hospitals.toml").write_bytes(mark + b'[hospital_a]\r\nport = 8081\r\ndata_path = "pictures/a"\r\n')
    (only,) = read_hospitals(tmp_path / "hospitals.toml")
    assert (only.name, only.port) == ("hospital_a", 8081)


def test_a_file_in_another_encoding_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "hospitals.toml").write_text("[hospital_a]\nport = 8081\n", encoding="utf-16")
    with pytest.raises(ConfigError, match=r"is not UTF-8.*save it anew as UTF-8"):
        read_hospitals(tmp_path / "hospitals.toml")
    for without_its_mark in ("utf-16-le", "utf-16-be", "utf-32-le"):
        (tmp_path / "hospitals.toml").write_text("[hospital_a]\nport = 8081\n", encoding=without_its_mark)
        with pytest.raises(ConfigError, match=r"holds zero bytes, as UTF-16 without its mark does"):
            read_hospitals(tmp_path / "hospitals.toml")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("\ufeff\ufeff[hospital_a]\nport = 8081\n", r"line 1, .*U\+FEFF, ZERO WIDTH NO-BREAK SPACE"),
        ("[hospital_a]\nport = 8081\n\ufeff[hospital_b]\nport = 8082\n", r"line 3, .*U\+FEFF"),
        ("\u200b[hospital_a]\nport = 8081\n", r"line 1, .*U\+200B"),
        ("[hospital_a]\nport\u00a0= 8081\n", r"line 2, .*U\+00A0, NO-BREAK SPACE"),
        ("[hospital_a]\nport ＝ 8081\n", r"line 2, .*U\+FF1D, FULLWIDTH EQUALS SIGN"),
        ("[hospital_a]\nport = 8081\ndata_path = “a”\n", r"line 3, .*U\+201C, LEFT DOUBLE QUOTATION MARK"),
        ("[hospital_a]\ndata_path = „Köln“\n", r"line 2, .*U\+201E"),
        ("[hospital_a]\rport = 8081\r", r"line 1, .*U\+000D, CARRIAGE RETURN"),
        ("[hospital_a]\r\nport = 8081\r\n\x1a", r"line 3, .*U\+001A, SUBSTITUTE"),
        ("[hospital_a]\r\nport == 8081\r\n", r"not valid TOML: Invalid value \(at line 2, column 7\)\.$"),
        ("[hospital_a]\nport = 8081\n\0\0\0", "holds zero bytes.*save it anew as UTF-8"),
        ('[hospital_a]\nport = 8081\ndata_path = "C:\\Users\\a"\n', "backslash between double quotes begins a code"),
    ],
)
def test_what_nobody_sees_in_a_file_that_is_not_read_is_named(text: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "hospitals.toml").write_bytes(text.encode())
    with pytest.raises(ConfigError, match=named):
        read_hospitals(tmp_path / "hospitals.toml")


@pytest.mark.parametrize("line", ["port 8081", 'data_path = "Köln', "port = 8081 8082"])
def test_other_faults_are_told_by_their_line_alone(line: str, tmp_path: Path) -> None:
    (tmp_path / "hospitals.toml").write_text(f'[hospital_a]\nsite = "a\u00a0b"\n{line}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is not valid TOML: .*\(at line 3, column \d+\)\.$"):
        read_hospitals(tmp_path / "hospitals.toml")


@pytest.mark.parametrize("count", [1, 3])
def test_a_list_stands_in_one_line(count: int) -> None:
    assert toml_value([0.5] * count) == f"[{', '.join(['0.5'] * count)}]"
