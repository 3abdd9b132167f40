"""A seal at the end of an ONNX file: the digest of all bytes before it, so that a byte which changes on a disk is told.

It stands where ONNX has a text about the model, which onnxruntime passes on and every other program leaves alone.
"""

from __future__ import annotations

import hashlib

from policies.errors import ModelRefused

_SAID = "sha256:"
_LENGTH = len(_SAID) + 64
_BEGINS = bytes([6 << 3 | 2, _LENGTH]) + _SAID.encode()  # as protobuf writes the field doc_string, which is number 6
_BYTES = 2 + _LENGTH


def sealed(body: bytes) -> bytes:
    """An ONNX file with its seal.

    Args:
        body: The serialised model, without a text about it.
    """
    return body + _BEGINS + hashlib.sha256(body).hexdigest().encode()


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
    if description.startswith(_SAID) and not is_sealed:
        raise _broken()


def _broken() -> ModelRefused:
    return ModelRefused(
        "The file's bytes are not those that were exported: it is damaged, or was changed. Copy it anew, or export the "
        "model again."
    )
