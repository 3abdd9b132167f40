"""Errors of a served model: what it answers to a request that it cannot serve now, or not for whoever asks."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class ServingError(WanwuError):
    """Base of what a served model refuses for its own sake, whatever the pictures are."""

    code = "WW901"


class ServingBusy(ServingError):
    """As many requests or pictures are under way as are held at once."""

    code, status = "WW902", 503


class TokenRefused(ServingError):
    """The request has no token, or another one than the server's."""

    code, status = "WW903", 401


class AnswerLate(ServingError):
    """An answer took longer than a request may."""

    code, status = "WW904", 504
