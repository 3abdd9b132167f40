"""Encodings in which weights and client updates travel: plain, packed without loss, or rounded to 16 or 8 bits.

An update is encoded after the output contract, by the hospital's own code: whatever an encoding does to it is
post-processing of what may leave anyway, and costs no privacy. Every encoding has one layout, which follows from the
declared names and shapes, so that no byte is left to carry anything else.

    none    the canonical safetensors file (`policies.contracts.weights`)
    zstd    magic, then one Zstandard frame (RFC 8878): the values by planes of their bytes. Lossless.
    fp16    magic, a float32 scale for each array, then IEEE 754 half precision, to the nearest, of the value over a
            power of two.
    int8    magic, a float32 scale for each array, then one signed byte a value, rounded stochastically to a multiple of
            the scale, so that the mean over roundings is the value itself: QSGD's quantiser with the largest
            magnitude in the place of the norm (Alistarh et al., "QSGD: Communication-Efficient SGD via Gradient
            Quantization and Encoding", NeurIPS 2017).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from policies.contracts.weights import Malformed, Shapes, canonical_header, open_plain
from policies.contracts.weights_file import (
    CHUNK_VALUES,
    WeightsFile,
    all_finite,
    canonical_size,
    exactly,
    finite,
    open_weights,
)
from policies.contracts.zstd_frame import ZstdFrame, packer
from policies.plans.training import ENCODINGS

__all__ = ["ENCODINGS", "check_file", "decode", "decode_file", "encode", "encode_file", "largest_size"]

MAGIC = {"zstd": b"WWzstd\x00\x01", "fp16": b"WWfp16\x00\x01", "int8": b"WWint8\x00\x01"}
_VALUE_BYTES = {"fp16": 2, "int8": 1}
_LARGEST_STEP = 127
# Values that are rounded in one go: with what is made of them they stay in a core's own cache.
_CACHED_VALUES = 1 << 14
# A Zstandard frame may grow by a little where nothing can be packed.
_ZSTD_ALLOWANCE_BYTES = 1 << 20
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny)

Chunks = Callable[[str], Iterator[np.ndarray]]
Pieces = Iterator[bytes | memoryview]


def encode(arrays: Mapping[str, np.ndarray], encoding: str, *, seed: bytes) -> bytes:
    """Encodes arrays that are in memory; the same arrays, encoding and seed give the same bytes.

    Args:
        arrays: Name → float32 of any shape, finite.
        encoding: One of `ENCODINGS`.
        seed: What stochastic rounding is drawn from, such as a digest of the study and the round.
    """
    shapes = {name: array.shape for name, array in arrays.items()}
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed).digest(), "big"))
    flat = {name: np.ascontiguousarray(array, dtype="<f4").reshape(-1) for name, array in arrays.items()}

    def chunks(name: str) -> Iterator[np.ndarray]:
        for start in range(0, flat[name].size, CHUNK_VALUES):
            yield finite(name, flat[name][start : start + CHUNK_VALUES].tobytes())

    return b"".join(_encoded(chunks, shapes, encoding, random))


def encode_file(
    source: Path, expected: Shapes, encoding: str, write: Callable[[bytes | memoryview], object], *, max_bytes: int
) -> None:
    """Encodes a safetensors file in bounded memory; stochastic rounding is keyed by the operating system.

    Guarantees:
        What is written is a function of the declared arrays' values alone: exactly these arrays, finite, in the one
        layout of the encoding.

    Raises:
        Malformed: The file is not exactly the expected arrays. Part of it may have been written then.
    """
    with open_weights(source, expected, max_bytes=max_bytes) as weights:
        for piece in _encoded(weights.chunks, expected, encoding, np.random.default_rng()):
            write(piece)


def decode(source: Path | bytes, expected: Shapes, encoding: str, *, max_bytes: int) -> dict[str, np.ndarray]:
    """Decodes into arrays, float32 by name, sorted, of the expected shapes.

    Raises:
        Malformed: The bytes are not these arrays in this encoding.
    """
    arrays = {name: np.empty(expected[name], np.float32) for name in sorted(expected)}
    filled = dict.fromkeys(arrays, 0)
    with _open(source, max_bytes) as (file, size):
        for name, values in _decoded(file, size, expected, encoding):
            flat = arrays[name].reshape(-1)
            flat[filled[name] : filled[name] + values.size] = values
            filled[name] += values.size
    return arrays


def decode_file(
    source: Path, expected: Shapes, encoding: str, write: Callable[[bytes | memoryview], object], *, max_bytes: int
) -> None:
    """Writes what `source` encodes as the canonical safetensors file, in bounded memory.

    Guarantees:
        Never more than the declared arrays is decoded, whatever the source claims. What was written when this
        returns is exactly the expected arrays, finite.

    Raises:
        Malformed: The bytes are not these arrays in this encoding. Part of it may have been written then.
    """
    with _open(source, max_bytes) as (file, size):
        write(canonical_header(expected))
        for _, values in _decoded(file, size, expected, encoding):
            write(values.astype("<f4", copy=False).view(np.uint8).data)


def check_file(source: Path, expected: Shapes, encoding: str, *, max_bytes: int) -> None:
    """Refuses a file that is not the expected arrays in this encoding, in bounded memory.

    Raises:
        Malformed: With what is wrong.
    """
    with _open(source, max_bytes) as (file, size):
        for _ in _decoded(file, size, expected, encoding):
            pass


def largest_size(expected: Shapes, encoding: str) -> int:
    """Most bytes that these arrays take in this encoding."""
    if encoding in _VALUE_BYTES:
        return _fixed_size(expected, encoding)
    return canonical_size(expected) + (_ZSTD_ALLOWANCE_BYTES if encoding == "zstd" else 0)


# --- encoding --------------------------------------------------------------------------------------------


def _encoded(chunks: Chunks, shapes: Shapes, encoding: str, random: np.random.Generator) -> Pieces:
    names = sorted(shapes)
    if encoding == "none":
        yield canonical_header(shapes)
        for name in names:
            yield from (values.view(np.uint8).data for values in chunks(name))
        return
    yield MAGIC[encoding]
    if encoding == "zstd":
        yield from _packed(chunks, names)
        return
    scales = {name: _scale(chunks(name), encoding) for name in names}
    yield np.array([scales[name] for name in names], "<f4").tobytes()
    for name in names:
        for values in chunks(name):
            yield _round_to_half(values, scales[name]) if encoding == "fp16" else _round(values, scales[name], random)


def _packed(chunks: Chunks, names: list[str]) -> Pieces:
    frame = packer()
    for name in names:
        for values in chunks(name):
            yield frame.compress(np.ascontiguousarray(values.view(np.uint8).reshape(-1, 4).T).tobytes())
    yield frame.flush()


def _scale(chunks: Iterator[np.ndarray], encoding: str) -> np.float32:
    """One array's scale: for int8 the least with all values within 127 steps, for fp16 a power of two."""
    largest = max((max(float(values.max()), -float(values.min())) for values in chunks), default=0.0)
    if encoding == "fp16":
        _, exponent = math.frexp(largest)  # largest < 2**exponent: the scaled values lie below 2**15
        return np.float32(2.0 ** max(exponent - 15, -126))
    step = np.float32(largest / _LARGEST_STEP)
    if float(step) * _LARGEST_STEP < largest:
        step = np.nextafter(step, np.float32(np.inf))
    if not np.isfinite(step * np.float32(_LARGEST_STEP)):  # the largest float32 themselves: 127 steps must stay finite
        step = np.nextafter(step, np.float32(0))
    return np.float32(max(float(step), _SMALLEST_SCALE))


def _round_to_half(values: np.ndarray, scale: np.float32) -> bytes:
    return (values / scale).astype("<f2").tobytes()


def _round(values: np.ndarray, scale: np.float32, random: np.random.Generator) -> bytes:
    """Each value down or up to a multiple of the scale, up with the probability that makes the mean exact."""
    rounded = np.empty(values.size, np.int8)
    room = np.empty((3, min(values.size, _CACHED_VALUES)), np.float32)
    for begin in range(0, values.size, _CACHED_VALUES):
        part = values[begin : begin + _CACHED_VALUES]
        above, below, drawn = room[:, : part.size]
        np.divide(part, scale, out=above)
        np.floor(above, out=below)
        above -= below
        random.random(dtype=np.float32, out=drawn)
        below += drawn < above
        np.minimum(below, _LARGEST_STEP, out=below)
        np.maximum(below, -_LARGEST_STEP, out=below)
        rounded[begin : begin + part.size] = below
    return rounded.tobytes()


# --- decoding --------------------------------------------------------------------------------------------


def _decoded(file: io.BufferedIOBase, size: int, expected: Shapes, encoding: str) -> Iterator[tuple[str, np.ndarray]]:
    """(name, next float32 values of it), arrays sorted by name."""
    if encoding == "none":
        weights = WeightsFile(file, expected, size)
        for name in sorted(expected):
            yield from ((name, values) for values in weights.chunks(name))
        return
    if file.read(len(MAGIC[encoding])) != MAGIC[encoding]:
        raise Malformed(f"it is not in the encoding {encoding} that the plan declares")
    if encoding == "zstd":
        yield from _unpacked(file, expected)
    else:
        yield from _unrounded(file, size, expected, encoding)


def _unpacked(file: io.BufferedIOBase, expected: Shapes) -> Iterator[tuple[str, np.ndarray]]:
    """Reads no more than the declared values out of the frame, however much it holds."""
    frame = ZstdFrame(file)
    for name, count in _counts(expected):
        planes = np.frombuffer(exactly(frame, 4 * count), np.uint8).reshape(4, count)
        yield name, finite(name, np.ascontiguousarray(planes.T).tobytes())
    if frame.read(1):
        raise Malformed("it holds more than the declared arrays")
    frame.check_end()


def _unrounded(file: io.BufferedIOBase, size: int, expected: Shapes, encoding: str) -> Iterator[tuple[str, np.ndarray]]:
    if size != _fixed_size(expected, encoding):
        raise Malformed(
            f"it has {size} bytes, the declared arrays have {_fixed_size(expected, encoding)} in {encoding}"
        )
    names = sorted(expected)
    scales = dict(zip(names, finite("scale", exactly(file, 4 * len(names))), strict=True))
    if any(scale < np.float32(_SMALLEST_SCALE) for scale in scales.values()):
        raise Malformed("a scale is not above zero")
    stored = np.dtype("<f2" if encoding == "fp16" else np.int8)
    for name, count in _counts(expected):
        steps = np.frombuffer(exactly(file, stored.itemsize * count), stored)
        if encoding == "int8" and steps.size and steps.min() < -_LARGEST_STEP:
            raise Malformed(f"{name!r} holds a step that no encoder writes")
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.multiply(steps, scales[name], dtype=np.float32)
        yield name, all_finite(name, values)


def _counts(expected: Shapes) -> Iterator[tuple[str, int]]:
    """(name, how many values come next), in the pieces that every encoder makes."""
    for name in sorted(expected):
        left = math.prod(expected[name])
        while left:
            count = min(left, CHUNK_VALUES)
            yield name, count
            left -= count


def _fixed_size(expected: Shapes, encoding: str) -> int:
    values = sum(math.prod(shape) for shape in expected.values())
    return len(MAGIC[encoding]) + 4 * len(expected) + _VALUE_BYTES[encoding] * values


@contextlib.contextmanager
def _open(source: Path | bytes, max_bytes: int) -> Iterator[tuple[io.BufferedIOBase, int]]:
    if isinstance(source, Path):
        with open_plain(source, max_bytes=max_bytes) as opened:
            yield opened
        return
    if len(source) > max_bytes:
        raise Malformed(f"it has {len(source)} bytes, {max_bytes} are allowed")
    yield io.BytesIO(source), len(source)
