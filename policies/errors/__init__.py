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

from policies.errors.budget import (
    BudgetError,
    BudgetExceeded,
    BudgetTooSmall,
    LedgerBroken,
    LimitExceeded,
    NotReserved,
    ReceiptInvalid,
)
from policies.errors.configuration import (
    AuditBroken,
    AuditUnavailable,
    BackupRefused,
    BooksDisagree,
    ConfigError,
    StateVersionMismatch,
    StorageUnavailable,
)
from policies.errors.contracts import (
    BodyTooLarge,
    ContractError,
    HostRefused,
    InputRefused,
    MessageRefused,
    OutputRefused,
    RangeRefused,
    RequestMalformed,
    TooSlow,
)
from policies.errors.data import DataError, StoreBroken
from policies.errors.federation import (
    AccountUnknown,
    CertificateRefused,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    FederationError,
    NotEnoughDatasites,
    SignInFailed,
    VersionMismatch,
)
from policies.errors.plans import PlanError
from policies.errors.requests import (
    NotAllowed,
    RequestAltered,
    RequestDenied,
    RequestError,
    RequestNotCanonical,
    RequestPending,
    RequestUnknown,
    RoundRefused,
    TooManyPending,
)
from policies.errors.runs import (
    BlobError,
    BlobUnknown,
    DiskFull,
    NotRepeatable,
    OutOfMemory,
    QuotaExceeded,
    RunCancelled,
    RunError,
    RunFailed,
    RunLost,
    SandboxMissing,
    TeamBroken,
)
from policies.errors.wanwu_error import WanwuError

__all__ = [
    "AccountUnknown",
    "AuditBroken",
    "AuditUnavailable",
    "BackupRefused",
    "BlobError",
    "BlobUnknown",
    "BodyTooLarge",
    "BooksDisagree",
    "BudgetError",
    "BudgetExceeded",
    "BudgetTooSmall",
    "CertificateRefused",
    "ConfigError",
    "ContractError",
    "DataError",
    "DatasiteNotTrusted",
    "DatasiteUnreachable",
    "DiskFull",
    "FederationError",
    "HostRefused",
    "InputRefused",
    "LedgerBroken",
    "LimitExceeded",
    "MessageRefused",
    "NotAllowed",
    "NotEnoughDatasites",
    "NotRepeatable",
    "NotReserved",
    "OutOfMemory",
    "OutputRefused",
    "PlanError",
    "QuotaExceeded",
    "RangeRefused",
    "ReceiptInvalid",
    "RequestAltered",
    "RequestDenied",
    "RequestError",
    "RequestMalformed",
    "RequestNotCanonical",
    "RequestPending",
    "RequestUnknown",
    "RoundRefused",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunLost",
    "SandboxMissing",
    "SignInFailed",
    "StateVersionMismatch",
    "StorageUnavailable",
    "StoreBroken",
    "TeamBroken",
    "TooManyPending",
    "TooSlow",
    "VersionMismatch",
    "WanwuError",
]
