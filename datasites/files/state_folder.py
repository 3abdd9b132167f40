"""The state folder: where everything of one datasite lies.

Nothing of it leaves the hospital but the credentials that an admin hands to a researcher.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StateFolder:
    """Where everything of one datasite lies. It can be stopped, copied, and started elsewhere."""

    path: Path

    @property
    def name(self) -> str:
        """The datasite's name."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The datasite's settings, TOML."""
        return self.path / "config.toml"

    @property
    def identity(self) -> Path:
        """Keys and the admin's password."""
        return self.path / "identity"

    @property
    def credentials(self) -> Path:
        """One file for each researcher, to be handed over."""
        return self.path / "credentials"

    @property
    def syft(self) -> Path:
        """PySyft's own database and files."""
        return self.path / "syft"

    @property
    def store(self) -> Path:
        """One picture store for each dataset."""
        return self.path / "store"

    @property
    def blobs(self) -> Path:
        """Weights in and updates out, a folder for each researcher."""
        return self.path / "blobs"

    @property
    def local_parts(self) -> Path:
        """Parts of models that stay here, a folder for each study; never told outside."""
        return self.path / "local-parts"

    @property
    def kernels(self) -> Path:
        """Compiled kernels of the hospital's GPUs, a folder for each kind of run; made anew where they are lost."""
        return self.path / "kernels"

    @property
    def scratch(self) -> Path:
        """One folder for each run in progress."""
        return self.path / "scratch"

    @property
    def logs(self) -> Path:
        """The hospital's own logs."""
        return self.path / "logs"

    @property
    def ledger(self) -> Path:
        """What was reserved and spent."""
        return self.path / "ledger.sqlite"

    @property
    def composed_sums(self) -> Path:
        """Costs that were composed before; computed anew where they are lost, and in no backup."""
        return self.path / "composed-sums.jsonl"

    @property
    def runs(self) -> Path:
        """The run queue."""
        return self.path / "runs.sqlite"

    @property
    def approvals(self) -> Path:
        """What was decided, and what exactly it covered."""
        return self.path / "approvals.sqlite"

    @property
    def limit_proposals(self) -> Path:
        """Changes of limits that wait for a further person's confirmation."""
        return self.path / "limit-proposals.json"

    @property
    def rules(self) -> Path:
        """What is approved without a person; in no backup, so that none which was switched off comes back."""
        return self.path / "rules.json"

    @property
    def notices(self) -> Path:
        """What the hospital's people should know of, and who has read it."""
        return self.path / "notices.sqlite"

    @property
    def rehearsals(self) -> Path:
        """What each request's run on the mock twin came to."""
        return self.path / "rehearsals.sqlite"

    @property
    def audit(self) -> Path:
        """The hash-chained log of events."""
        return self.path / "audit.log"

    @property
    def withdrawn(self) -> Path:
        """Pseudonyms of patients who withdrew, and of what their pictures were read from."""
        return self.path / "withdrawn.json"

    @property
    def ingest_report(self) -> Path:
        """What the last ingest left out or found worth a look, with the names of files."""
        return self.path / "ingest-report.csv"

    @property
    def study_reports(self) -> Path:
        """Study reports that are kept for the hospital's own people: exact, and never told outside."""
        return self.path / "study-reports"

    @property
    def elsewhere(self) -> Path:
        """Decisions that other hospitals shared, as this hospital's people added them."""
        return self.path / "elsewhere"

    @property
    def dataset_page(self) -> Path:
        """The page about the dataset, with samples of its pictures, for the hospital's own people."""
        return self.path / "dataset.html"

    @property
    def books(self) -> tuple[Path, ...]:
        """All that a datasite never begins twice: ledger, audit log, their heads, decisions, run queue."""
        chains = (self.ledger, self.audit)
        return (*chains, *(chain.with_suffix(".head") for chain in chains), self.approvals, self.runs)

    @property
    def console(self) -> Path:
        """Where the running datasite's admin API listens, and the token for it."""
        return self.identity / "console.json"

    def create(self) -> None:
        """Makes the folders, mode 0700."""
        for folder in (
            self.path,
            self.identity,
            self.credentials,
            self.syft,
            self.store,
            self.blobs,
            self.scratch,
            self.logs,
        ):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
