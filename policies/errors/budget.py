"""Errors of the privacy budget, the hospital's limits, the ledger and its receipts."""

from __future__ import annotations

from policies.errors.wanwu_error import WanwuError


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


class LedgerUnavailable(LedgerBroken):
    """The disk takes nothing or cannot be read now, so that no ledger is there: every run is refused until it is."""

    code, status = "WW307", 503


class LimitExceeded(BudgetError):
    """A plan lies outside the limits that the hospital set for the dataset."""

    code = "WW304"


class NotReserved(BudgetError):
    """A run would spend what no approval has reserved."""

    code = "WW305"


class ReceiptInvalid(BudgetError):
    """A receipt was not signed by that datasite, was changed, or contradicts itself."""

    code, status = "WW306", 422
