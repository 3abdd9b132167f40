"""A seal at the end of an ONNX file, made of all bytes before it, so that one which changes on a disk is told.

It stands where ONNX has a text about the model, which onnxruntime passes on and every other program leaves alone. It is
short, since the smallest models have no room: one of a thousand million damaged files passes.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode

from policies.errors import ModelRefused

_LETTERS = 5
_SAID = re.compile(r"#[\w-]{5}", re.ASCII)
_BEGINS = bytes([6 << 3 | 2, 1 + _LETTERS]) + b"#"  # as protobuf writes the field doc_string, which is number 6
_BYTES = len(_BEGINS) + _LETTERS


def sealed(body: bytes) -> bytes:
    """An ONNX file with its seal.

    Args:
        body: The serialised model, without a text about it.
    """
    return body + _BEGINS + urlsafe_b64encode(hashlib.sha256(body).digest())[:_LETTERS]


def check_seal(content: bytes) -> bool:
    """Whether a file ends with its seal; one of an older release has none.

    Args:
        content: The file's bytes.

    Raises:
        ModelRefused: The seal is another one than that of the bytes before it.
    """
    if not content[-_BYTES:].startswith(_BEGINS):
        return False
    if sealed(content[:-_BYTES]) != content:
        raise _broken()
    return True


def check_said(description: str, *, is_sealed: bool) -> None:
    """Refuses a file that was sealed and has something behind its seal.

    Args:
        description: The text about the model.
        is_sealed: Whether the file ends with its seal.

    Raises:
        ModelRefused: It was changed.
    """
    if _SAID.fullmatch(description) and not is_sealed:
        raise _broken()


def _broken() -> ModelRefused:
    return ModelRefused(
        "The file's bytes are not those that were exported: it is damaged, or was changed. Copy it anew, or export the "
        "model again."
    )
