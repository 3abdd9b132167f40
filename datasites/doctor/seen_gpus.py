"""A look at whether runs see the machine's GPUs: each is tried by a process that is closed in as a run is."""

from __future__ import annotations

from collections.abc import Iterator

from datasites.doctor.finding import OK, WARNING, ExaminedDatasite, Finding
from datasites.runs.gpus import find_gpus
from datasites.runs.sandbox.gpu_trial import try_gpu


def seen_gpus(examined: ExaminedDatasite, listed: int) -> Iterator[Finding]:
    """Says of each GPU whether a run sees it, and where not, what hides it.

    Args:
        examined: The datasite.
        listed: How many GPUs nvidia-smi lists.
    """
    found = find_gpus()
    if len(found) < listed:
        told = f"nvidia-smi lists {listed}, /proc/driver/nvidia {len(found)}: runs are leased no others"
        yield Finding(
            "GPU", WARNING, told, "See whether this machine, or its container, has that folder and all in it."
        )
    seen = []
    for gpu in found:
        trial = try_gpu(gpu, examined.config.run_limits, examined.state.path.resolve())
        if trial.seen:
            seen.append(gpu)
        else:
            told = f"/dev/nvidia{gpu.minor}: runs do not see it, and compute on the processor: {trial.told}"
            advice = "See 'A GPU that runs do not see' in docs/how-to-deploy-a-datasite.md."
            yield Finding("GPU", WARNING, told, advice)
    if seen:
        yield Finding("GPU", OK, f"{len(seen)} of {len(found)} seen by a process that is closed in as a run is")
