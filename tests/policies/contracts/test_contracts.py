"""What may enter and leave a run: exactly the declared weights, and nothing hidden beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import numpy as safetensors

from policies.answers.runs import ChargedRunAnswer, RunAnswer
from policies.contracts.inputs import Ticket, check_weights_file
from policies.contracts.outputs import is_canonical_update, release_answer, release_update, take_update
from policies.contracts.weights import FiniteArrays, canonical_bytes
from policies.errors import ContractError, InputRefused, OutputRefused

SHAPES = {"head.bias": (2,), "head.weight": (2, 3), "scale": ()}
ROOM = 10_000
CANARY = "canary-7f3a"


def weights() -> dict[str, np.ndarray]:
    return {
        "head.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "head.bias": np.array([-1.5, 2.5], dtype=np.float32),
        "scale": np.array(0.25, dtype=np.float32),
    }


def file_of(header: dict[str, Any] | str, data: bytes) -> bytes:
    """A safetensors file by hand."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(text).to_bytes(8, "little") + text + data


def array(begin: int, end: int, *shape: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def header(**changes: Any) -> dict[str, Any]:
    packed = {"head.bias": array(0, 8, 2), "head.weight": array(8, 32, 2, 3), "scale": array(32, 36)}
    return {**packed, **changes}


# --- writing ---------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_safetensors_reads() -> None:
    read = safetensors.load(canonical_bytes(weights()))
    assert {name: values.tolist() for name, values in read.items()} == {
        name: values.tolist() for name, values in weights().items()
    }


def test_what_is_written_is_what_safetensors_writes() -> None:
    assert canonical_bytes(weights()) == safetensors.save(weights())


def test_equal_arrays_give_equal_bytes_whatever_their_order_and_layout() -> None:
    turned = dict(reversed(weights().items()))
    turned["head.weight"] = np.asfortranarray(turned["head.weight"])
    assert canonical_bytes(turned) == canonical_bytes(weights())


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.lists(st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False), max_size=5),
        max_size=4,
    )
)
def test_any_finite_arrays_survive_the_way_through_a_file(values: dict[str, list[float]]) -> None:
    arrays = {name: np.array(row, dtype=np.float32) for name, row in values.items()}
    shapes = {name: row.shape for name, row in arrays.items()}
    read = take_update(canonical_bytes(arrays), shapes, max_bytes=ROOM)
    assert {name: row.tolist() for name, row in read.items()} == {name: row.tolist() for name, row in arrays.items()}


# --- reading ---------------------------------------------------------------------------------------------------


def as_output(content: bytes, tmp_path: Path, max_bytes: int = ROOM) -> dict[str, np.ndarray]:
    path = tmp_path / "update.safetensors"
    path.write_bytes(content)
    return released(path, max_bytes)


def released(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """What leaves of the file that a run wrote."""
    left: list[bytes] = []
    release_update(path, SHAPES, "none", left.append, max_bytes=max_bytes)
    return take_update(b"".join(left), SHAPES, max_bytes=ROOM)


def as_taken(content: bytes, tmp_path: Path, max_bytes: int = ROOM) -> dict[str, np.ndarray]:
    return take_update(content, SHAPES, max_bytes=max_bytes)


def as_taken_file(content: bytes, tmp_path: Path, max_bytes: int = ROOM) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    return take_update(path, SHAPES, max_bytes=max_bytes)


def as_input(content: bytes, tmp_path: Path, max_bytes: int = ROOM) -> dict[str, np.ndarray]:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    check_weights_file(path, SHAPES, "none", max_bytes=max_bytes)
    return take_update(path, SHAPES, max_bytes=max_bytes)


READERS = [as_output, as_input, as_taken, as_taken_file]
Reader = Callable[..., dict[str, np.ndarray]]


@pytest.mark.parametrize("read", READERS)
def test_exactly_the_declared_arrays_are_read(read: Reader, tmp_path: Path) -> None:
    arrays = read(safetensors.save(weights()), tmp_path)
    assert list(arrays) == sorted(SHAPES)
    for name, values in weights().items():
        assert arrays[name].dtype == np.float32
        assert not arrays[name].flags.writeable
        assert arrays[name].flags.aligned
        np.testing.assert_array_equal(arrays[name], values)


@pytest.mark.parametrize("read", READERS)
def test_a_file_whose_data_begin_at_an_odd_byte_is_read_right(read: Reader, tmp_path: Path) -> None:
    text = json.dumps(header(), separators=(",", ":"))
    text += " " * (1 - len(text) % 2)
    data = b"".join(weights()[name].tobytes() for name in sorted(SHAPES))
    arrays = read(file_of(text, data), tmp_path)
    np.testing.assert_array_equal(arrays["head.weight"], weights()["head.weight"])


def broken_files() -> dict[str, bytes]:
    """Each a file that says or hides something besides the declared arrays."""
    good, data = canonical_bytes(weights()), bytes(36)
    not_finite = {
        kind: canonical_bytes({**weights(), "scale": np.array(value, dtype=np.float32)})
        for kind, value in (("nan", np.nan), ("infinity", np.inf), ("minus infinity", -np.inf))
    }
    without = {name: values for name, values in weights().items() if name != "scale"}
    return {
        **not_finite,
        "empty": b"",
        "seven bytes": good[:7],
        "no data": good[:-36],
        "cut off": good[:-1],
        "a byte behind": good + b"\0",
        "a name missing": safetensors.save(without),
        "a name more": safetensors.save({**weights(), CANARY: np.zeros(1, dtype=np.float32)}),
        "a buffer": safetensors.save({**weights(), "norm.running_mean": np.zeros(2, dtype=np.float32)}),
        "metadata": safetensors.save(weights(), metadata={"note": CANARY}),
        "empty metadata": file_of(header(__metadata__={}), data),
        "float64": safetensors.save({**weights(), "scale": np.array(0.25)}),
        "float16": safetensors.save({**weights(), "scale": np.array(0.25, dtype=np.float16)}),
        "int32": file_of(header(scale=array(32, 36, dtype="I32")), data),
        "another shape": file_of(header(**{"head.weight": array(8, 32, 3, 2)}), data),
        "another rank": file_of(header(**{"head.weight": array(8, 32, 6)}), data),
        "overlap": file_of(header(scale=array(28, 32)), data[:32]),
        "a gap": file_of(header(scale=array(36, 40)), bytes(40)),
        "a gap at the start": file_of(
            {"head.bias": array(4, 12, 2), "head.weight": array(12, 36, 2, 3), "scale": array(36, 40)}, bytes(40)
        ),
        "offsets too wide": file_of(header(scale=array(32, 40)), bytes(40)),
        "offsets turned": file_of(header(scale=array(36, 32)), data),
        "negative offsets": file_of(header(scale=array(-4, 0)), data),
        "offsets of floats": file_of(header(scale=array(32.0, 36.0)), data),  # type: ignore[arg-type]
        "offsets of truth values": file_of(header(scale={**array(32, 36), "data_offsets": [True, 36]}), data),
        "three offsets": file_of(header(scale={**array(32, 36), "data_offsets": [32, 36, 36]}), data),
        "a shape of truth values": file_of(header(**{"head.bias": array(0, 8, 2) | {"shape": [True]}}), data),
        "a field more": file_of(header(scale={**array(32, 36), "note": CANARY}), data),
        "a field missing": file_of(header(scale={"dtype": "F32", "shape": []}), data),
        "an array that is text": file_of(header(scale=CANARY), data),
        "a name twice": file_of(json.dumps(header())[:-1] + ', "scale": 1}', data),
        "a list": file_of("[]", data),
        "not json": file_of("{", data),
        "not text": (4).to_bytes(8, "little") + b"\xff\xfe\xfd\xfc" + data,
        "a deep header": file_of("[" * 2000, data),
        "a padded header": file_of(json.dumps(header()) + " " * 20_000, data),
        "a header longer than the file": (10**15).to_bytes(8, "little") + good[8:],
        "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00" + data,
    }


BROKEN = broken_files()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", BROKEN)
def test_anything_but_the_declared_arrays_is_refused(read: Reader, kind: str, tmp_path: Path) -> None:
    with pytest.raises(OutputRefused if read is as_output else InputRefused):
        read(BROKEN[kind], tmp_path, max_bytes=10**6)


@pytest.mark.parametrize("read", READERS)
def test_a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not(read: Reader, tmp_path: Path) -> None:
    content = canonical_bytes(weights())
    assert read(content, tmp_path, max_bytes=len(content))
    with pytest.raises(ContractError):
        read(content, tmp_path, max_bytes=len(content) - 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_no_bytes_make_the_reader_fail_in_another_way(data: st.DataObject) -> None:
    """Any single changed byte, and any cut, is read as the declared arrays or refused by name."""
    content = bytearray(canonical_bytes(weights()))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for changed in (bytes(content), bytes(content[:cut])):
        try:
            arrays = take_update(changed, SHAPES, max_bytes=ROOM)
        except InputRefused:
            continue
        assert {name: values.shape for name, values in arrays.items()} == SHAPES
        assert all(np.isfinite(values).all() for values in arrays.values())


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder", "nothing"])
def test_only_a_plain_file_is_read(kind: str, tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "update.safetensors"
    target.write_bytes(canonical_bytes(weights()))
    if kind == "a link":
        path.symlink_to(target)
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    with pytest.raises(OutputRefused):
        released(path, ROOM)
    with pytest.raises(OutputRefused):
        is_canonical_update(path, SHAPES, max_bytes=ROOM)


# --- the output contract ---------------------------------------------------------------------------------------


def test_every_refused_update_has_the_same_public_text(tmp_path: Path) -> None:
    """A reason would be a channel: a run could choose it by what it saw."""
    texts, reasons = set(), set()
    for content in BROKEN.values():
        with pytest.raises(OutputRefused) as refused:
            as_output(content, tmp_path, max_bytes=10**6)
        texts.add(refused.value.public)
        reasons.add(refused.value.private)
    assert len(texts) == 1
    assert CANARY not in texts.pop()
    assert len(reasons) > 10


def test_an_array_is_looked_at_again_unless_it_is_the_one_that_came_in_and_nobody_may_write_to_it() -> None:
    came = FiniteArrays(weights())
    assert all(came.is_known(name) for name in weights())
    came["scale"] = np.array(np.nan, np.float32)
    assert not came.is_known("scale") and not came.is_known("another")
    came["scale"].flags.writeable = False
    assert not came.is_known("scale"), "closed to writing, but another array"
    came["head.bias"].flags.writeable = True
    assert not came.is_known("head.bias") and came.is_known("head.weight")


RUN = RunAnswer("ab12", 3, "done", "", "", "0123456789abcdef" * 4, 0, 7)


def test_what_is_told_of_a_run_are_the_declared_fields_alone() -> None:
    assert release_answer(RUN) == vars(RUN)
    assert release_answer(ChargedRunAnswer(**vars(RUN), epsilon_spent=1.5))["epsilon_spent"] == 1.5
    assert release_answer(ChargedRunAnswer(**vars(RUN), epsilon_spent=None))["epsilon_spent"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"state": CANARY},
        {"code": CANARY},
        {"update": CANARY},
        {"round": 3.5},
        {"round": True},
        {"queue_position": -1},
        {"reason": {"picture": CANARY}},
        {"reason": None},
        {"version": np.int64(7)},
    ],
    ids=str,
)
def test_a_field_that_holds_anything_but_what_is_declared_stays_in_the_hospital(change: dict[str, Any]) -> None:
    with pytest.raises(OutputRefused) as refused:
        release_answer(replace(RUN, **change))
    assert CANARY not in refused.value.public
    assert next(iter(change)) in refused.value.private


# --- the input contract ----------------------------------------------------------------------------------------


DIGEST = "0123456789abcdef" * 4


def test_a_ticket_survives_the_way_through_its_text() -> None:
    ticket = Ticket(3, DIGEST)
    assert ticket.to_text() == f'{{"round":3,"weights":"{DIGEST}"}}'
    assert Ticket.parse(ticket.to_text()) == ticket


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "[]",
        "{}",
        "null",
        "{",
        '["round", "weights"]',
        '[["round", 3], ["weights", "' + DIGEST + '"]]',
        '{"round":3}',
        f'{{"round":3,"weights":"{DIGEST}","steps":100}}',
        f'{{"round":3,"round":4,"weights":"{DIGEST}"}}',
        f'{{"round":-1,"weights":"{DIGEST}"}}',
        f'{{"round":3.0,"weights":"{DIGEST}"}}',
        f'{{"round":true,"weights":"{DIGEST}"}}',
        f'{{"round":"3","weights":"{DIGEST}"}}',
        f'{{"round":NaN,"weights":"{DIGEST}"}}',
        f'{{"round":1{"0" * 900},"weights":"{DIGEST}"}}',
        f'{{"round":{{"round":3}},"weights":"{DIGEST}"}}',
        f'{{"round":3,"weights":"{DIGEST.upper()}"}}',
        f'{{"round":3,"weights":"{DIGEST[1:]}"}}',
        f'{{"round":3,"weights":"../{DIGEST[3:]}"}}',
        '{"round":3,"weights":7}',
        f'{{"round":3,"weights":"{DIGEST}"}}' + " " * 1000,
        f'{{"round":3,"weights":"{DIGEST[1:]}é"}}',
        "\ud800",
        "[" * 1000,
        b"{}",
        None,
    ],
    ids=lambda text: repr(text)[:40],
)
def test_any_other_ticket_is_refused(text: Any) -> None:
    with pytest.raises(InputRefused) as refused:
        Ticket.parse(text)
    assert len(refused.value.public) < 1500


def test_refused_weights_say_what_was_expected() -> None:
    with pytest.raises(InputRefused, match=r"'head\.bias' is missing"):
        take_update(canonical_bytes({}), SHAPES, max_bytes=ROOM)
    with pytest.raises(InputRefused, match=r"'head\.bias' must have the shape \(2,\)"):
        take_update(canonical_bytes({**weights(), "head.bias": np.zeros(3, dtype=np.float32)}), SHAPES, max_bytes=ROOM)
