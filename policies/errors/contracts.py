"""Errors of what may cross the boundary, in either direction."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class ContractError(WanwuError):
    """Base of what may not cross the boundary, in either direction."""

    code, status = "WW600", 422


class InputRefused(ContractError):
    """Incoming weights or a ticket are not what the plan declares."""

    code = "WW601"


class OutputRefused(ContractError):
    """A run's result is not exactly the declared parameters; it stays in the hospital."""

    code, status = "WW602", 500


class MessageRefused(ContractError):
    """A PySyft message holds a type or a field that no message of the platform does, or cannot be read."""

    code = "WW603"


class BodyTooLarge(ContractError):
    """The body of an HTTP request is larger than its path takes."""

    code, status = "WW604", 413


class RequestMalformed(ContractError):
    """An HTTP request is not made as the platform's own client makes it."""

    code, status = "WW611", 400


class HostRefused(ContractError):
    """An HTTP request asks for a host that this datasite is not."""

    code, status = "WW612", 421


class TooSlow(ContractError):
    """An HTTP request comes more slowly than the datasite waits for."""

    code, status = "WW613", 408


class RangeRefused(ContractError):
    """A download asks for bytes that the blob does not have, or in another form than from one byte to the end."""

    code, status = "WW614", 416


class FormRefused(ContractError):
    """A form was not sent by a page of the console that was made for this browser and this session."""

    code, status = "WW615", 403


class PageUnknown(ContractError):
    """The console has no such page."""

    code, status = "WW616", 404
