"""Errors of plans, before they become code requests."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class PlanError(WanwuError):
    """A plan is malformed: an unknown field, a wrong type, a value out of range."""

    code, status = "WW101", 422


class GraphError(PlanError):
    """A graph of an own model is malformed, too large, or lets the pictures of a batch meet."""

    code, status = "WW102", 422
