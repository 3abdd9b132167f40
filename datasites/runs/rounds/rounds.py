"""Rounds, each run by a process of its own: weights go in, and an update that the output contract allows is kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from datasites.approvals.approval import Approval
from datasites.assets.features import reading_kept
from datasites.runs.blobs import Blob, BlobStore
from datasites.runs.charges import RoundCharges
from datasites.runs.enclosure import Enclosure
from datasites.runs.gpus import Gpu
from datasites.runs.local_parts.kept_parts import LocalParts, file_name
from datasites.runs.local_parts.round_part import RoundPart
from datasites.runs.processes.job import Job
from datasites.runs.processes.kernels.ready_kernels import ReadyKernels
from datasites.runs.processes.launcher import Launcher
from datasites.runs.queue import Run
from datasites.runs.sandbox.limits import RunLimits
from policies.budget.accountant import round_spend
from policies.contracts.encodings import largest_size
from policies.contracts.inputs import decode_weights_file
from policies.contracts.outputs import is_canonical_update, release_update
from policies.plans.kinds import Plan
from policies.plans.server.beside import taken_in
from policies.plans.server.local_part import local


class Rounds:
    """Runs the rounds of one datasite.

    Args:
        blobs: Where weights come from and updates are kept.
        charges: Charges a round when its process is closed in and has read no picture yet.
        enclosure: Closes each process in.
        launcher: Starts each process.
        kernels: Of the hospital's GPUs, ready before a process is closed in.
        local_parts: What stays here of models whose strategy keeps a part at each hospital.
        approved: Checks a run's approval once more and returns it; raises if it does not hold any more.
        foresee: Computes what the researcher is told after the round, while the round runs.
        limits: The most that one run may take.
        max_update_bytes: The most bytes of a set of weights.
    """

    def __init__(
        self,
        *,
        blobs: BlobStore,
        charges: RoundCharges,
        enclosure: Enclosure,
        launcher: Launcher,
        kernels: ReadyKernels,
        local_parts: LocalParts,
        approved: Callable[[Run], Approval],
        foresee: Callable[[Run], None],
        limits: RunLimits,
        max_update_bytes: int,
    ) -> None:
        self._blobs, self._charges, self._enclosure, self._launcher = blobs, charges, enclosure, launcher
        self._kernels, self._local_parts, self._approved, self._foresee = kernels, local_parts, approved, foresee
        self._limits, self._max_update_bytes = limits, max_update_bytes

    def run(
        self,
        run: Run,
        scratch: Path,
        gpus: tuple[Gpu, ...],
        room: contextlib.ExitStack,
        *,
        given_up: Callable[[], bool],
        progress: Callable[[float], None],
    ) -> str:
        """Runs a round; returns the digest of its update, which nobody else knows.

        Guarantees:
            The round is charged before its process reads a picture, and once its weights are on the disk for good.
            What the plan's strategy keeps of the model here is not in the update, and is on the disk, under the
            update's digest, when this returns.

        Args:
            run: Which round.
            scratch: The folder to make for its files.
            gpus: What it was leased.
            room: Holds the room that is taken for the update, and what the process took of other machines, until the
                caller closes it.
            given_up: Whether nobody waits for the round's end any more; asked again and again.
            progress: Told the share of the work that is done.

        Raises:
            WanwuError: It is not approved any more, could not be closed in or charged, or gave no update that may be
                let out.
        """
        approved = self._approved(run)
        store = approved.published.store.resolve()
        plan = reading_kept(approved.plan, store)
        if self._kernels.compile_missing(plan, gpus, run.id, given_up):
            approved = self._approved(run)  # that took a while
        scratch.mkdir(mode=0o700)
        part = self._part(run, approved, room)
        came = self._weights(run, approved, scratch)
        job = Job.of_round(
            plan,
            gpus=len(gpus),
            round=run.round,
            store=str(store),
            weights=str((part.join(came, scratch / "joined.safetensors") if part else came).resolve()),
            result=str((scratch / "update.safetensors").resolve()),
            confinement=self._kernels.given(self._enclosure.confine(gpus), plan),
        )
        # Room for the update is taken before anything is read, so that a lack of it is no way to run again.
        at_most = largest_size(approved.outputs, approved.plan.update_encoding)
        blob = room.enter_context(self._blobs.write(run.account, at_most=at_most))
        with self._enclosure.entrance(run.id) as group:
            self._execute(job, run, group, approved.plan, room, given_up, progress)
        result = Path(job.result)
        if part is not None:
            result = part.withhold(result, scratch / "leaving.safetensors", max_bytes=self._max_update_bytes)
        digest = self._release(approved, result, blob)
        if part is not None:
            part.keep(file_name(run.round, digest))
        return digest

    def _part(self, run: Run, approved: Approval, room: contextlib.ExitStack) -> RoundPart | None:
        """What stays here of the round's model, with room for what becomes of it; None where nothing does."""
        stays = local(approved.plan, approved.inputs)
        return room.enter_context(self._local_parts.next(run.request_id, approved.inputs, stays)) if stays else None

    def _execute(
        self,
        job: Job,
        run: Run,
        group: int | None,
        plan: Plan,
        room: contextlib.ExitStack,
        given_up: Callable[[], bool],
        progress: Callable[[float], None],
    ) -> None:
        process = self._launcher.start(group=group)
        room.callback(process.release)

        def begin() -> None:
            self._blobs.settle(run.account, run.weights)
            self._charges.start(run, round_spend(plan), gpus=len(job.confinement.gpus), **process.known_as)
            # What the researcher is told after the round is computed meanwhile.
            threading.Thread(target=self._foresee, args=(run,), daemon=True).start()

        process.execute(
            job,
            begin=begin,
            timeout_seconds=min(plan.run.timeout_seconds, self._limits.wall_seconds_per_run),
            cancelled=given_up,
            progress=progress,
        )

    def _weights(self, run: Run, approved: Approval, scratch: Path) -> Path:
        """The round's global weights as a safetensors file: the blob itself, or what it decodes to."""
        blob = self._blobs.promised(run.account, run.weights)
        encoding = approved.plan.weights_encoding
        if encoding == "none":
            return blob
        decoded = scratch / "weights.safetensors"
        expected = taken_in(approved.plan, run.round, approved.inputs)
        decode_weights_file(blob, decoded, expected, encoding, max_bytes=self._max_update_bytes)
        return decoded

    def _release(self, approved: Approval, result: Path, blob: Blob) -> str:
        """Checks the result against the output contract and keeps the update under a digest that nobody knows yet.

        Guarantees:
            What leaves is the datasite's own serialisation of exactly the declared arrays, in the plan's encoding; the
            digest in ledger and receipt is of these bytes. Nobody can read it before the ledger has committed the
            round and the audit log names it: nothing else says the digest.
        """
        shapes, encoding, most = approved.outputs, approved.plan.update_encoding, self._max_update_bytes
        write: Callable[[bytes | memoryview], None] = blob.write
        # A result that is that very serialisation need not be written twice, if nobody can write to it any more.
        own = encoding == "none" and not self._launcher.elsewhere
        if own and is_canonical_update(result, shapes, max_bytes=most) and blob.take_over(result):
            result, write = blob.file, blob.found
        release_update(result, shapes, encoding, write, max_bytes=most)
        return blob.keep()
