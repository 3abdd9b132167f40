#!/usr/bin/env bash
# torch 2.14.1 on a processor: GroupNorm of the same float32 numbers is exact to their last places in the usual memory
# format, and loses half of its digits or all of them in `channels_last`, maps of one pixel included.
#
# Tried: group_norm of drawn maps whose mean is 10, 100 and 1,000 times their spread, in either format, against float64;
#   beside them maps of one pixel with two channels a group, whose mean is 0.
# Expected: the order of one tensor's numbers in memory changes a result by the order of additions and no more. For the
#   usual format torch's threads tell of this loss until 2021, and of the change that ended it there.
# Seen: in `channels_last` outputs are off by 3e-5 at a mean of 10, by 0.4 % at 100, and at 1,000 by many times their
#   length, as it is where a variance is the mean of squares less the square of the mean in float32. A map of one pixel
#   counts as contiguous in both formats at once (`is_contiguous()`), and still its strides choose the kernel: 1e-6 in
#   one, 1e-4 in the other. Given as three axes, (N, C, pixels), the same memory gets the kernel that does not cancel.
#
# Ends with 0 while this is so, with 1 once it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.14.1 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import torch
from torch.nn.functional import group_norm

print("torch", torch.__version__)
torch.set_num_threads(1)
draws = torch.Generator().manual_seed(0)
cases = {"one pixel": (torch.randn(6, 64, 1, 1, generator=draws), 32)}
cases |= {f"mean {mean}": (torch.randn(6, 8, 28, 28, generator=draws) + mean, 4) for mean in (10, 100, 1000)}
least = {"one pixel": 2e-5, "mean 10": 1e-5, "mean 100": 1e-3, "mean 1000": 1.0}
as_seen = True
for name, (maps, groups) in cases.items():
    exact = group_norm(maps.double(), groups)

    def off(result):
        return float((result.view(exact.shape) - exact).norm() / exact.norm())

    last = maps.to(memory_format=torch.channels_last)
    usual, beside = off(group_norm(maps, groups)), off(group_norm(last, groups).contiguous())
    lines = off(group_norm(last.reshape(*maps.shape[:2], -1), groups))
    print(f"{name}: off by {usual:.0e}, in channels_last by {beside:.0e}, there as three axes by {lines:.0e}")
    as_seen &= beside > least[name] and usual < least[name] / 5 and lines < least[name] / 5
raise SystemExit(0 if as_seen else 1)
PY
