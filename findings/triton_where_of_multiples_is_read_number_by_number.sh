#!/usr/bin/env bash
# A Triton kernel reads rows of 128 bfloat16 numbers, each from one of two places: `tl.where` chooses between 0 and an argument
# that is known to be a multiple of 16. Rows stay aligned either way, so they might be expected to be read 16 bytes at once, as
# they are where the same offset is a product of the condition and the argument. Triton 3.8.0, which comes with torch 2.14,
# reads them number by number, 2 bytes at once, eight times as many loads, and can then copy none of them beside
# computation (`cp.async` takes 4 bytes at least). Triton 3.6.0 read both alike. No GPU is needed: it is compiled for one (9.0).
#
# Fails once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/rows.py" <<'PYTHON'
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def chosen(x, out, low):
    row, column = tl.arange(0, 16), tl.arange(0, 128)
    place = row[:, None] * 128 + column[None, :]
    start = tl.where(row % 2 == 1, low, 0)
    tl.store(out + place, tl.load(x + start[:, None] + place))


@triton.jit
def multiplied(x, out, low):
    row, column = tl.arange(0, 16), tl.arange(0, 128)
    place = row[:, None] * 128 + column[None, :]
    start = (row % 2 == 1).to(tl.int32) * low
    tl.store(out + place, tl.load(x + start[:, None] + place))


for kernel in (chosen, multiplied):
    sixteens = {(number,): [["tt.divisibility", 16]] for number in range(3)}
    source = ASTSource(kernel, {"x": "*bf16", "out": "*bf16", "low": "i32"}, {}, sixteens)
    loads = re.findall(r"ld\.global\S*", triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"])
    print(kernel.__name__, len(loads), "loads", *sorted(set(loads)))
PYTHON
for version in 3.6.0 3.8.0; do
  python3.11 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet "triton==$version" numpy==1.24.4 setuptools==80.9.0
  echo "triton $version: expected 2 loads of 16 bytes a thread (v4.b32), twice"
  TRITON_CACHE_DIR="$folder/cache-$version" "$folder/$version/bin/python" "$folder/rows.py" | tee "$folder/told-$version"
done
grep -q "^chosen 2 loads ld.global.v4.b32$" "$folder/told-3.6.0"
grep -q "^multiplied 2 loads ld.global.v4.b32$" "$folder/told-3.8.0"
if ! grep -q "^chosen 16 loads ld.global.b16$" "$folder/told-3.8.0"; then
  echo "seen: another number of loads. The finding no longer holds."
  exit 1
fi
