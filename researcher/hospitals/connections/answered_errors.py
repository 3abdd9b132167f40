"""Errors that a datasite answers, as the error classes with their codes. What is wrong here, it does not say."""

from __future__ import annotations

from policies import errors
from policies.errors import (
    ClocksDiffer,
    ConfigError,
    DatasiteUnreachable,
    FederationError,
    SignInFailed,
    StoreBroken,
    WanwuError,
)
from researcher.hospitals.secure_channel import httpx

_AT_HOME = "That is for the hospital's own people to do: tell them."
_NOT_FOR_LONG = (500, 502, 503, 504)


def raise_answer(code: str, text: str) -> None:
    """Raises what a datasite answered as the error class with that code."""
    raise _of_code(code, text)


def answered_error(answer: httpx.Response, *, datasite: str = "") -> WanwuError:
    """What a datasite answered as the error class with that code.

    Args:
        answer: With its body read.
        datasite: Its name, told where an account, or a clock, is not accepted: of several hospitals one may be wrong.
    """
    try:
        content = answer.json()
        error = _of_code(str(content["code"]), str(content["error"]))
        named = datasite and isinstance(error, SignInFailed | ClocksDiffer)
        return type(error)(f"Datasite '{datasite}': {error.public}") if named else error
    except (ValueError, KeyError, TypeError, RecursionError):
        told = f"The datasite answered with HTTP status {answer.status_code}"
        if answer.status_code in _NOT_FOR_LONG:  # its own errors say more: it is stopping, or a proxy speaks for it
            return DatasiteUnreachable(f"{told}, as when it, or a proxy before it, stops or starts.")
        return FederationError(f"{told}.")


def _of_code(code: str, text: str) -> WanwuError:
    """The error; settings and files of this machine are not a datasite's to judge: that ends a study everywhere."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, WanwuError) and kind.code == code and kind is not ConfigError:
            return kind(text if kind is not StoreBroken or text.startswith("The hospital ") else f"{text} {_AT_HOME}")
    return FederationError(text)
