#!/usr/bin/env bash
# The CUDA wheel of torch, installed without the packages that it depends on, might be expected to work on a processor: no
# operator there calls NVIDIA's libraries. It cannot even be imported, as it is linked against a dozen of them.
#
# Seen with torch 2.14.1, which the registry has for Linux on x86-64 in this build alone. Fails once that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps torch==2.14.1 numpy==1.24.4 filelock==3.20.0 fsspec==2025.9.0 \
  typing-extensions==4.12.2 sympy==1.14.0 mpmath==1.3.0 networkx==3.4.2 jinja2==3.1.6 markupsafe==3.0.2
echo "torch 2.14.1 without NVIDIA's packages, on a processor: expected to import"
if told=$("$folder/env/bin/python" -c "import torch; print(torch.ones(2).sum())" 2>&1); then
  echo "seen: it imports ($told). The finding no longer holds."
  exit 1
fi
echo "seen: ${told##*$'\n'}"
grep -q "cannot open shared object file\|not found in the system path" <<< "$told"
