"""A GPU that this torch has no code for counts as none, since all that is launched there fails."""

from __future__ import annotations

import pytest
import torch

from datasites.training.gpu.requirements import LEAST_FOR_TORCH
from datasites.training.gpu.step import has_gpu

BUILT = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.mark.parametrize(
    ("capability", "built", "counts"),
    [
        ((7, 0), BUILT, False),  # a V100
        ((7, 5), BUILT, True),
        ((8, 0), BUILT, True),
        ((8, 9), BUILT, True),  # code for 8.6 runs there
        ((9, 0), ["sm_80", "sm_90a"], True),
        ((12, 1), BUILT, True),
        ((13, 0), BUILT, False),
        ((13, 0), [*BUILT, "compute_120"], True),  # which its driver translates
        ((9, 4), [], True),
    ],
)
def test_a_gpu_counts_where_torch_has_code_for_it(
    capability: tuple[int, int], built: list[str], counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    assert has_gpu() == counts


def test_what_the_doctor_holds_a_gpu_against_is_what_torch_was_built_for() -> None:
    flags = (torch._C._cuda_getArchFlags() or "").split()
    built = [int(one.removeprefix("sm_")) for one in flags if one.startswith("sm_")]
    assert divmod(min(built), 10) == LEAST_FOR_TORCH
