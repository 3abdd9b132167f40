"""Encodings of weights and updates: what comes back, how far off it may be, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.contracts.encodings import (
    _CACHED_VALUES,
    ENCODINGS,
    MAGIC,
    _round,
    check_file,
    decode,
    decode_file,
    encode,
    encode_file,
    largest_size,
)
from policies.contracts.inputs import check_weights_file, decode_weights_file
from policies.contracts.outputs import is_canonical_update, release_update, take_update
from policies.contracts.weights import Malformed, canonical_bytes
from policies.errors import InputRefused, OutputRefused

LOSSLESS, ROUNDED = ("none", "zstd"), ("fp16", "int8")
SHAPES = {"bias": (3,), "empty": (0, 2), "kernel": (2, 5), "scalar": ()}
MAX = 1 << 20


def arrays(seed: int = 0, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: (scale * rng.standard_normal(shape)).astype(np.float32) for name, shape in SHAPES.items()}


def round_trip(values: dict[str, np.ndarray], encoding: str, seed: bytes = b"") -> dict[str, np.ndarray]:
    shapes = {name: array.shape for name, array in values.items()}
    return decode(encode(values, encoding, seed=seed), shapes, encoding, max_bytes=1 << 30)


def error(values: dict[str, np.ndarray], encoding: str) -> np.ndarray:
    came = round_trip(values, encoding)
    return np.concatenate([np.abs(came[n].astype(float) - values[n]).reshape(-1) for n in sorted(values)])


# --- what comes back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", LOSSLESS)
def test_a_lossless_encoding_gives_back_every_bit(encoding: str) -> None:
    values = arrays()
    values["kernel"][0] = [0.0, -0.0, np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal, -1e-30]
    assert canonical_bytes(round_trip(values, encoding)) == canonical_bytes(values)


def test_no_encoding_is_the_canonical_safetensors_file() -> None:
    assert encode(arrays(), "none", seed=b"") == canonical_bytes(arrays())


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-3, 1.0, 1e6, 1e38])
def test_half_precision_is_off_by_at_most_half_a_unit_in_its_last_place(scale: float) -> None:
    values = {"a": np.linspace(-scale, scale, 1001, dtype=np.float32)}
    largest = float(np.abs(values["a"]).max())
    # 11 significant bits while the scaled value is normal: 2**-12 of it; below 2**-14 a fixed 2**-25 steps.
    unit = max(2.0 ** (math.frexp(largest)[1] - 15), 2.0**-126)
    allowed = np.maximum(2.0**-11 * np.abs(values["a"].astype(float)), 2.0**-25 * unit)
    assert (error(values, "fp16") <= allowed).all()


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-3, 1.0, 1e6, 3.4e38])
def test_eight_bits_are_off_by_less_than_one_step_of_the_largest_over_127(scale: float) -> None:
    values = {"a": np.linspace(-scale, scale, 1001, dtype=np.float32)}
    step = max(float(np.abs(values["a"]).max()) / 127, float(np.finfo(np.float32).tiny))
    assert (error(values, "int8") <= step * (1 + 1e-6)).all()


@pytest.mark.parametrize("encoding", ROUNDED)
def test_zeros_stay_zero_and_extremes_keep_their_sign(encoding: str) -> None:
    values = {"a": np.zeros(4, np.float32), "b": np.array([-2.0, 0.0, 2.0], np.float32)}
    came = round_trip(values, encoding)
    assert not came["a"].any()
    assert came["b"].tolist() == pytest.approx([-2.0, 0.0, 2.0], abs=1e-6)


def test_stochastic_rounding_has_the_right_probability_of_going_up() -> None:
    """Exact two-sided binomial test: 4000 values a quarter above a step, each rounded on its own."""
    from scipy.stats import binomtest

    count = 4000
    values = np.full(count + 1, 10.25, np.float32)
    values[-1] = 127.0  # so that a step is 1
    came = round_trip({"a": values}, "int8", seed=b"fixed")["a"][:-1]
    assert set(came.tolist()) == {10.0, 11.0}
    assert binomtest(int((came == 11.0).sum()), count, 0.25).pvalue > 0.001


def test_stochastic_rounding_is_right_on_average_for_any_value() -> None:
    """The mean over roundings against the value, in standard errors: sqrt(f (1 - f)) steps for a fraction f."""
    rng = np.random.default_rng(7)
    values = np.append(rng.uniform(-127, 127, 200), 127.0).astype(np.float32)
    rounds = 400
    came = [round_trip({"a": values}, "int8", seed=str(n).encode())["a"] for n in range(rounds)]
    fraction = values.astype(float) - np.floor(values)
    deviation = np.sqrt(fraction * (1 - fraction) / rounds)
    z = (np.mean(came, axis=0, dtype=float) - values)[:-1] / np.maximum(deviation[:-1], 1e-3)
    # Under no bias the sum of squares has mean 200 and standard deviation sqrt(400) = 20.
    assert abs(float((z**2).sum()) - 200) < 5 * 20
    assert abs(float(z.mean())) < 5 / math.sqrt(200)


@pytest.mark.parametrize("largest", [-1.0, 1.0])
def test_no_step_lies_beyond_127_where_the_scale_was_rounded_down(largest: float) -> None:
    """float32 may put the largest value a little beyond 127 scales, and no decoder takes step 128."""
    values = np.full(_CACHED_VALUES + 100, largest * 127.5, np.float32)
    steps = np.frombuffer(_round(values, np.float32(1), np.random.default_rng(1)), np.int8)
    assert steps.tolist() == [int(largest * 127)] * values.size


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    values = {"a": np.linspace(-1, 1, 1000, dtype=np.float32)}
    assert encode(values, "int8", seed=b"1") == encode(values, "int8", seed=b"1")
    assert encode(values, "int8", seed=b"1") != encode(values, "int8", seed=b"2")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_is_encoded_and_decoded_piece_by_piece_like_arrays(tmp_path: Path, encoding: str) -> None:
    big = {"a": np.random.default_rng(3).standard_normal((1 << 18) + 77).astype(np.float32), **arrays()}
    shapes = {name: array.shape for name, array in big.items()}
    source, encoded, decoded = (tmp_path / name for name in ("source", "encoded", "decoded"))
    source.write_bytes(canonical_bytes(big))
    with encoded.open("wb") as stream:
        encode_file(source, shapes, encoding, stream.write, max_bytes=1 << 30)
    assert encoded.stat().st_size <= largest_size(shapes, encoding)
    with decoded.open("wb") as stream:
        decode_file(encoded, shapes, encoding, stream.write, max_bytes=1 << 30)
    expected = decode(encoded, shapes, encoding, max_bytes=1 << 30)
    assert decoded.read_bytes() == canonical_bytes(expected)
    if encoding in LOSSLESS:
        assert decoded.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("encoding", "share"), [("fp16", 0.5), ("int8", 0.25)])
def test_rounding_makes_weights_smaller_by_what_it_says(encoding: str, share: float) -> None:
    values = {"a": np.ones(100_000, np.float32)}
    assert len(encode(values, encoding, seed=b"")) == pytest.approx(share * 400_000, abs=100)


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_weights_are_refused(encoding: str, content: bytes) -> None:
    for prefix in (b"", MAGIC.get(encoding, b"")):
        with pytest.raises(Malformed):
            decode(prefix + content, SHAPES, encoding, max_bytes=MAX)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_changed_byte_gives_finite_declared_arrays_or_a_refusal(encoding: str, data: st.DataObject) -> None:
    content = bytearray(encode(arrays(), encoding, seed=b""))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        came = decode(bytes(content), SHAPES, encoding, max_bytes=MAX)
    except Malformed:
        return
    assert {name: array.shape for name, array in came.items()} == SHAPES
    assert all(np.isfinite(array).all() for array in came.values())


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_cut_or_lengthened_bytes_are_refused(encoding: str, data: st.DataObject) -> None:
    content = encode(arrays(), encoding, seed=b"")
    with pytest.raises(Malformed):
        decode(content[: data.draw(st.integers(0, len(content) - 1))], SHAPES, encoding, max_bytes=MAX)
    with pytest.raises(Malformed):
        decode(content + data.draw(st.binary(min_size=1, max_size=4)), SHAPES, encoding, max_bytes=MAX)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_as_large_as_may_come_is_taken_and_a_byte_more_is_not(tmp_path: Path, encoding: str) -> None:
    content = encode(arrays(), encoding, seed=b"")
    file = tmp_path / "weights"
    file.write_bytes(content)
    for source in (content, file):
        assert decode(source, SHAPES, encoding, max_bytes=len(content)).keys() == SHAPES.keys()
        with pytest.raises(Malformed):
            decode(source, SHAPES, encoding, max_bytes=len(content) - 1)
    assert len(content) <= largest_size(SHAPES, encoding)


def test_a_frame_that_unpacks_to_far_more_than_declared_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    import tracemalloc

    file = tmp_path / "bomb"
    file.write_bytes(MAGIC["zstd"] + zstandard.ZstdCompressor().compress(bytes(1 << 30)))
    assert file.stat().st_size < 1 << 17
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="more than the declared"):
            check_file(file, SHAPES, "zstd", max_bytes=MAX)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_frame_with_a_huge_window_is_refused() -> None:
    values = canonical_bytes({"a": np.zeros(1, np.float32)})
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    content = MAGIC["zstd"] + packer.compress(values) + packer.flush()
    with pytest.raises(Malformed):
        decode(content, {"a": (1,)}, "zstd", max_bytes=MAX)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("encoding", ROUNDED)
def test_a_scale_that_is_not_a_positive_number_is_refused(encoding: str, scale: float) -> None:
    content = bytearray(encode({"a": np.ones(2, np.float32)}, encoding, seed=b""))
    content[8:12] = np.float32(scale).tobytes()
    with pytest.raises(Malformed, match="scale"):
        decode(bytes(content), {"a": (2,)}, encoding, max_bytes=MAX)


def test_a_scale_that_makes_values_infinite_is_refused() -> None:
    content = bytearray(encode({"a": np.ones(2, np.float32)}, "int8", seed=b""))
    content[8:12] = np.float32(3e38).tobytes()
    with pytest.raises(Malformed, match="finite"):
        decode(bytes(content), {"a": (2,)}, "int8", max_bytes=MAX)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_values_that_are_not_finite_neither_leave_nor_come_in(tmp_path: Path, encoding: str, bad: float) -> None:
    file = tmp_path / "update"
    file.write_bytes(canonical_bytes({"a": np.array([1.0, bad], np.float32)}))
    with pytest.raises(OutputRefused) as refused:
        release_update(file, {"a": (2,)}, encoding, lambda piece: None, max_bytes=MAX)
    assert "finite" in refused.value.private and "finite" not in refused.value.public
    with pytest.raises(InputRefused, match="finite"):
        check_weights_file(file, {"a": (2,)}, "none", max_bytes=MAX)


def test_weights_in_another_encoding_than_the_plan_says_are_refused(tmp_path: Path) -> None:
    for sent in ENCODINGS:
        file = tmp_path / sent
        file.write_bytes(encode(arrays(), sent, seed=b""))
        for declared in set(ENCODINGS) - {sent}:
            with pytest.raises(InputRefused):
                take_update(file, SHAPES, max_bytes=MAX, encoding=declared)
            with pytest.raises(InputRefused):
                decode_weights_file(file, tmp_path / f"{sent}-{declared}", SHAPES, declared, max_bytes=MAX)


@pytest.mark.parametrize(("change", "same"), [(0, True), (4, False), (-4, False)])
def test_a_file_is_the_one_serialisation_by_its_length_too(tmp_path: Path, change: int, same: bool) -> None:
    content = canonical_bytes({"a": np.ones(5, np.float32)})
    (tmp_path / "file").write_bytes(content + bytes(change) if change >= 0 else content[:change])
    assert is_canonical_update(tmp_path / "file", {"a": (5,)}, max_bytes=1000) is same
