"""Errors of code requests, from submission to approval."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class RequestError(WanwuError):
    """Base of what goes wrong between submission and approval."""

    code, status = "WW400", 403


class RequestUnknown(RequestError):
    """No such code request."""

    code, status = "WW401", 404


class RequestPending(RequestError):
    """The hospital has not decided yet."""

    code = "WW402"


class RequestDenied(RequestError):
    """The hospital denied the request; the public text carries its reason."""

    code = "WW403"


class RequestAltered(RequestError):
    """What would run is not what was approved."""

    code = "WW404"


class RequestNotCanonical(RequestError):
    """The request's code or policies are not the platform's stub; it cannot be approved."""

    code = "WW405"


class RoundRefused(RequestError):
    """A round outside the approved number, or one that was asked for with other weights before."""

    code = "WW406"


class NotAllowed(RequestError):
    """The account may not do this."""

    code = "WW407"


class TooManyPending(RequestError):
    """So many code requests of the account wait for a decision that the hospital takes no more."""

    code, status = "WW408", 429


class NotRehearsed(RequestError):
    """The request has not passed its rehearsal on the mock, and this hospital approves none before."""

    code, status = "WW419", 409
