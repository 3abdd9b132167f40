"""The enclosure that this machine has for runs: the sandbox, what it lacks, and a control group for each run.

Runs on other machines are closed in by what is there; of this one they have nothing but the limits.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from datasites.audit_log.log import AuditLog
from datasites.runs.gpus import Gpu
from datasites.runs.sandbox.cgroups import DelegatedGroup, find_delegated
from datasites.runs.sandbox.confinement import Confinement, draw_uid, missing_pieces, sandbox_report
from datasites.runs.sandbox.limits import RunLimits

log = logging.getLogger(__name__)


class Enclosure:
    """The pieces that this machine has, looked at once, and the confinement of each run."""

    def __init__(self, state: Path, limits: RunLimits, *, required: bool, elsewhere: bool = False) -> None:
        """Looks at nothing yet.

        Args:
            state: The datasite's folder, of which runs may read nothing.
            limits: The most that one run may take.
            required: Whether runs are refused rather than less closed in.
            elsewhere: Whether they are on other machines, where each is closed in, or refused, by what it finds.
        """
        self._state, self._limits, self._required, self._elsewhere = state, limits, required, elsewhere
        self._group: DelegatedGroup | None = None
        self._lacking: dict[str, str] = {}

    def look(self, audit: AuditLog) -> None:
        """Keeps, logs and records what runs on this machine lack, and what is done about it."""
        if self._elsewhere:
            log.info("sandbox: runs are closed in on the nodes that they get")
            audit.write("sandbox looked at", missing="", answer="runs are closed in on the nodes that they get")
            return
        report = sandbox_report()
        missing = {piece.piece: piece.why for piece in report if not piece.present}
        self._lacking = {piece.piece: piece.why for piece in report if piece.required and not piece.present}
        if "control group" not in missing:
            try:
                group = find_delegated()
                group.prepare()
                self._group = group
            except OSError as error:
                missing["control group"] = str(error)
        if not self._lacking:
            answer = "runs are closed in"
        else:
            answer = "runs are refused" if self._required else "runs are closed in less than they should be"
        for piece, why in missing.items():
            log.log(logging.WARNING if piece in self._lacking else logging.INFO, "sandbox: no %s: %s", piece, why)
        log.log(logging.WARNING if self._lacking else logging.INFO, "sandbox: %s", answer)
        audit.write("sandbox looked at", missing=", ".join(sorted(missing)), answer=answer)

    def confine(self, gpus: tuple[Gpu, ...]) -> Confinement:
        """How a run is closed in.

        Raises:
            SandboxMissing: A piece is missing that the settings ask for.
        """
        lacking = dict(self._lacking)
        if gpus and self._group is None and not self._elsewhere:
            lacking["control group"] = "only it limits the memory of a run with a GPU"
        if lacking and self._required:
            raise missing_pieces(lacking)
        return Confinement(self._limits, self._required, self._state.resolve(), draw_uid(), gpus)

    @contextlib.contextmanager
    def entrance(self, run_id: str) -> Iterator[int | None]:
        """Yields the run's open `cgroup.procs`, if there is one; its control group and all in it end afterwards."""
        if self._group is None:
            yield None
            return
        group = self._group.make(run_id, self._limits)
        try:
            entrance = group.entrance()
            try:
                yield entrance
            finally:
                os.close(entrance)
        finally:
            group.end()
