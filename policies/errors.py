"""Every error of the platform. Only an error's public text may cross the hospital's boundary.

    WanwuError
     ├─ PlanError               WW1xx  the plan is malformed or out of range
     ├─ DataError               WW2xx  pictures, tables and folders at ingestion (hospital-side only)
     ├─ BudgetError             WW3xx  privacy budget, limits and the ledger
     ├─ RequestError            WW4xx  code requests and approvals
     ├─ RunError                WW5xx  runs, their queue and their processes
     ├─ ContractError           WW6xx  what may enter and leave a run
     ├─ FederationError         WW7xx  researcher side: connecting, versions, rounds
     └─ ConfigError             WW8xx  settings, ports, state folders

Each class has a code, the same in the CLI, in JSON and in docs/ref-errors.md.
"""

from __future__ import annotations


class WanwuError(Exception):
    """An error with two texts.

    Attributes:
        code: Stable identifier, `WWnnn`.
        status: HTTP status that the datasite's own routes answer with.
        public: What was expected, what came (where public), what to do. Holds no value of private data.
        private: For the hospital's log only; empty when there is nothing to add.
    """

    code = "WW000"
    status = 500

    def __init__(self, public: str, *, private: str = "") -> None:
        super().__init__(public)
        self.public = public
        self.private = private

    def to_json(self) -> dict[str, str]:
        """The one error shape of every JSON answer: code and public text."""
        return {"code": self.code, "error": self.public}


# --- plans ---------------------------------------------------------------------------------------------------


class PlanError(WanwuError):
    """A plan is malformed: an unknown field, a wrong type, a value out of range."""

    code, status = "WW101", 422


# --- data ----------------------------------------------------------------------------------------------------


class DataError(WanwuError):
    """Pictures, labels or a store cannot be read as what they should be."""

    code, status = "WW201", 422


class StoreBroken(DataError):
    """A picture store does not match its manifest."""

    code, status = "WW202", 500


# --- budget --------------------------------------------------------------------------------------------------


class BudgetError(WanwuError):
    """Base of everything the privacy budget refuses."""

    code, status = "WW300", 403


class BudgetExceeded(BudgetError):
    """A request needs more privacy budget than is left."""

    code = "WW301"


class BudgetTooSmall(BudgetError):
    """No noise multiplier within bounds keeps the plan within the budget."""

    code = "WW302"


class LedgerBroken(BudgetError):
    """The ledger cannot be read or its chain does not verify: every run is refused."""

    code, status = "WW303", 500


class LimitExceeded(BudgetError):
    """A plan lies outside the limits that the hospital set for the dataset."""

    code = "WW304"


class NotReserved(BudgetError):
    """A run would spend what no approval has reserved."""

    code = "WW305"


class ReceiptInvalid(BudgetError):
    """A receipt was not signed by that datasite, was changed, or contradicts itself."""

    code, status = "WW306", 422


# --- requests ------------------------------------------------------------------------------------------------


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
    """A round outside the approved number, or a repeat with other weights."""

    code = "WW406"


class NotAllowed(RequestError):
    """The account may not do this."""

    code = "WW407"


# --- runs ----------------------------------------------------------------------------------------------------


class RunError(WanwuError):
    """Base of what goes wrong while a run is queued or executed."""

    code, status = "WW500", 500


class RunFailed(RunError):
    """A run ended without an update; nothing left the hospital."""

    code = "WW501"


class RunCancelled(RunError):
    """A run was cancelled by the hospital or by the researcher who asked for it."""

    code, status = "WW502", 409


class BlobError(RunError):
    """A blob is missing, too large, or does not have the digest it was announced with."""

    code, status = "WW503", 422


class BlobUnknown(BlobError):
    """No blob of that digest that this account may read."""

    code, status = "WW504", 404


class SandboxMissing(RunError):
    """The hospital's machine lacks a piece of the sandbox that its settings ask for: runs are refused."""

    code, status = "WW505", 503


class QuotaExceeded(BlobError):
    """A blob does not fit into what the account, or the datasite, may keep."""

    code, status = "WW508", 507


class DiskFull(BlobError):
    """The datasite's disk has no room for a blob, or takes none."""

    code, status = "WW509", 507


class TeamBroken(RunError):
    """One of the processes that train together ended before the others."""

    code, status = "WW510", 500


class OutOfMemory(RunError):
    """The hospital's memory did not hold a part of a step."""

    code, status = "WW511", 500


class NotRepeatable(RunError):
    """A device computes a picture's gradient differently beside other pictures, or in another pass."""

    code, status = "WW512", 500


# --- contracts -----------------------------------------------------------------------------------------------


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


# --- federation ----------------------------------------------------------------------------------------------


class FederationError(WanwuError):
    """A datasite cannot be used from the researcher's side."""

    code = "WW701"


class VersionMismatch(FederationError):
    """A datasite and the researcher run versions that do not work together."""

    code = "WW702"


class NotEnoughDatasites(FederationError):
    """Fewer datasites than `min_clients` delivered an update for a round."""

    code = "WW703"


class DatasiteUnreachable(FederationError):
    """A datasite does not answer at all; it may be starting again."""

    code = "WW705"


class SignInFailed(FederationError):
    """The datasite did not accept the credentials or the signature."""

    code, status = "WW704", 401


class CertificateRefused(FederationError):
    """The researcher's certificate is expired, revoked, not the hospital's, or another account's."""

    code, status = "WW711", 403


class DatasiteNotTrusted(FederationError):
    """What answers at a datasite's address is not the hospital that the credentials are for."""

    code = "WW712"


class AccountUnknown(FederationError):
    """The hospital has no researcher with that address."""

    code, status = "WW713", 404


# --- configuration -------------------------------------------------------------------------------------------


class ConfigError(WanwuError):
    """A setting, a port, a path or a state folder is not usable."""

    code = "WW801"


class AuditBroken(ConfigError):
    """The audit log was changed, cut, or is torn."""

    code = "WW820"


class AuditUnavailable(ConfigError):
    """The audit log cannot be written: nothing is done that must stand in it."""

    code, status = "WW821", 503


class StorageUnavailable(ConfigError):
    """The hospital's disk is full, read-only or broken."""

    code, status = "WW822", 503


class StateVersionMismatch(ConfigError):
    """A state folder was made by another version than this one works with."""

    code = "WW823"


class BackupRefused(ConfigError):
    """A backup is torn, changed or would be restored at the cost of what was spent since."""

    code = "WW824"
