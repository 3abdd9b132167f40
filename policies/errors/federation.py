"""Errors of the researcher's way to a hospital."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


class FederationError(WanwuError):
    """A datasite cannot be used from the researcher's side."""

    code = "WW701"


class VersionMismatch(FederationError):
    """A datasite and the researcher run versions that do not work together."""

    code, status = "WW702", 409


class NotEnoughDatasites(FederationError):
    """Fewer datasites than `min_clients` delivered an update for a round."""

    code = "WW703"


class DatasiteUnreachable(FederationError):
    """A datasite does not answer at all; it may be starting again."""

    code = "WW705"


class SignInFailed(FederationError):
    """The datasite did not accept the credentials or the signature."""

    code, status = "WW704", 401


class ClocksDiffer(FederationError):
    """The datasite's clock and the researcher's differ by more than a signature allows."""

    code, status = "WW714", 401


class CertificateRefused(FederationError):
    """The researcher's certificate is expired, revoked, not the hospital's, or another account's."""

    code, status = "WW711", 403


class DatasiteNotTrusted(FederationError):
    """What answers at a datasite's address is not the hospital that the credentials are for."""

    code = "WW712"


class AccountUnknown(FederationError):
    """The hospital has no researcher with that address."""

    code, status = "WW713", 404
