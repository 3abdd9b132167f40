"""Every error of the platform. Only an error's public text may cross the hospital's boundary.

WW1xx: plans. WW2xx: pictures and folders at ingestion, at the hospital only. WW3xx: privacy budget, limits, ledger.
WW4xx: code requests and approvals. WW5xx: runs, their queue and their processes. WW6xx: what may enter and leave a run.
WW7xx: the researcher's way to a hospital. WW8xx: settings, ports, state folders. WW9xx: a served model.

    WanwuError                     WW000
     ├─ PlanError                  WW101
     │  └─ GraphError              WW102
     ├─ DataError                  WW201
     │  ├─ StoreBroken             WW202
     │  └─ IdentitySuspected       WW203
     ├─ BudgetError                WW300
     │  ├─ BudgetExceeded          WW301
     │  ├─ BudgetTooSmall          WW302
     │  ├─ LedgerBroken            WW303
     │  │  └─ LedgerUnavailable    WW307
     │  ├─ LimitExceeded           WW304
     │  ├─ NotReserved             WW305
     │  └─ ReceiptInvalid          WW306
     ├─ RequestError               WW400
     │  ├─ RequestUnknown          WW401
     │  ├─ RequestPending          WW402
     │  ├─ RequestDenied           WW403
     │  ├─ RequestAltered          WW404
     │  ├─ RequestNotCanonical     WW405
     │  ├─ RoundRefused            WW406
     │  ├─ NotAllowed              WW407
     │  ├─ TooManyPending          WW408
     │  └─ NotRehearsed            WW419
     ├─ RunError                   WW500
     │  ├─ RunFailed               WW501
     │  │  └─ RunLost              WW511
     │  ├─ RunCancelled            WW502
     │  ├─ BlobError               WW503
     │  │  ├─ BlobUnknown          WW504
     │  │  ├─ QuotaExceeded        WW508
     │  │  └─ DiskFull             WW509
     │  ├─ SandboxMissing          WW505
     │  ├─ ProcessGroupBroken      WW510
     │  ├─ NotRepeatable           WW512
     │  └─ OutOfMemory             WW513
     ├─ ContractError              WW600
     │  ├─ InputRefused            WW601
     │  ├─ OutputRefused           WW602
     │  ├─ MessageRefused          WW603
     │  ├─ BodyTooLarge            WW604
     │  ├─ RequestMalformed        WW611
     │  ├─ HostRefused             WW612
     │  ├─ TooSlow                 WW613
     │  ├─ RangeRefused            WW614
     │  ├─ FormRefused             WW615
     │  └─ PageUnknown             WW616
     ├─ FederationError            WW701
     │  ├─ VersionMismatch         WW702
     │  ├─ NotEnoughDatasites      WW703
     │  ├─ SignInFailed            WW704
     │  ├─ DatasiteUnreachable     WW705
     │  ├─ CertificateRefused      WW711
     │  ├─ DatasiteNotTrusted      WW712
     │  ├─ AccountUnknown          WW713
     │  └─ ClocksDiffer            WW714
     ├─ ConfigError                WW801
     │  ├─ AuditBroken             WW820
     │  ├─ AuditUnavailable        WW821
     │  ├─ StorageUnavailable      WW822
     │  ├─ StateVersionMismatch    WW823
     │  ├─ BackupRefused           WW824
     │  ├─ DatabaseUnavailable     WW825
     │  ├─ DatabaseRefused         WW826
     │  ├─ RowUnreadable           WW827
     │  ├─ BooksDisagree           WW830
     │  ├─ NoticeNotSent           WW831
     │  ├─ BooksBehind             WW832
     │  ├─ ModelRefused            WW840
     │  ├─ ExportRefused           WW841
     │  ├─ ConverterMissing        WW842
     │  └─ EvidenceRefused         WW843
     └─ ServingError               WW901
        ├─ ServingBusy             WW902
        ├─ TokenRefused            WW903
        └─ AnswerLate              WW904

Each class has a code, the same in the CLI, in JSON and in docs/ref-errors.md.
"""

from policies.errors.budget import (
    BudgetError,
    BudgetExceeded,
    BudgetTooSmall,
    LedgerBroken,
    LedgerUnavailable,
    LimitExceeded,
    NotReserved,
    ReceiptInvalid,
)
from policies.errors.configuration import (
    AuditBroken,
    AuditUnavailable,
    BackupRefused,
    BooksBehind,
    BooksDisagree,
    ConfigError,
    DatabaseRefused,
    DatabaseUnavailable,
    NoticeNotSent,
    RowUnreadable,
    StateVersionMismatch,
    StorageUnavailable,
)
from policies.errors.contracts import (
    BodyTooLarge,
    ContractError,
    FormRefused,
    HostRefused,
    InputRefused,
    MessageRefused,
    OutputRefused,
    PageUnknown,
    RangeRefused,
    RequestMalformed,
    TooSlow,
)
from policies.errors.data import DataError, IdentitySuspected, StoreBroken
from policies.errors.exported_models import ConverterMissing, EvidenceRefused, ExportRefused, ModelRefused
from policies.errors.federation import (
    AccountUnknown,
    CertificateRefused,
    ClocksDiffer,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    FederationError,
    NotEnoughDatasites,
    SignInFailed,
    VersionMismatch,
)
from policies.errors.plans import GraphError, PlanError
from policies.errors.requests import (
    NotAllowed,
    NotRehearsed,
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
    ProcessGroupBroken,
    QuotaExceeded,
    RunCancelled,
    RunError,
    RunFailed,
    RunLost,
    SandboxMissing,
)
from policies.errors.serving import AnswerLate, ServingBusy, ServingError, TokenRefused
from policies.errors.wanwu_error import WanwuError

__all__ = [
    "AccountUnknown",
    "AnswerLate",
    "AuditBroken",
    "AuditUnavailable",
    "BackupRefused",
    "BlobError",
    "BlobUnknown",
    "BodyTooLarge",
    "BooksBehind",
    "BooksDisagree",
    "BudgetError",
    "BudgetExceeded",
    "BudgetTooSmall",
    "CertificateRefused",
    "ClocksDiffer",
    "ConfigError",
    "ContractError",
    "ConverterMissing",
    "DataError",
    "DatabaseRefused",
    "DatabaseUnavailable",
    "DatasiteNotTrusted",
    "DatasiteUnreachable",
    "DiskFull",
    "EvidenceRefused",
    "ExportRefused",
    "FederationError",
    "FormRefused",
    "GraphError",
    "HostRefused",
    "IdentitySuspected",
    "InputRefused",
    "LedgerBroken",
    "LedgerUnavailable",
    "LimitExceeded",
    "MessageRefused",
    "ModelRefused",
    "NotAllowed",
    "NotEnoughDatasites",
    "NotRehearsed",
    "NotRepeatable",
    "NotReserved",
    "NoticeNotSent",
    "OutOfMemory",
    "OutputRefused",
    "PageUnknown",
    "PlanError",
    "ProcessGroupBroken",
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
    "RowUnreadable",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunLost",
    "SandboxMissing",
    "ServingBusy",
    "ServingError",
    "SignInFailed",
    "StateVersionMismatch",
    "StorageUnavailable",
    "StoreBroken",
    "TokenRefused",
    "TooManyPending",
    "TooSlow",
    "VersionMismatch",
    "WanwuError",
]
