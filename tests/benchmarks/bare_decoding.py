"""The floor of a benchmark: a bare loop of the decoder and the resizing over every so many-th file; nothing is kept.

python tests/benchmarks/bare_decoding.py FOLDER SIDE CHANNELS PROCESSES NUMBER
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasites.picture_files.decode import decode
from policies.plans.picture_form import PictureForm


def main(folder: str, side: int, channels: int, processes: int, number: int) -> None:
    """Decodes the files, and prints how many they were."""
    form = PictureForm((side, side), channels)
    own = sorted(path for path in Path(folder).rglob("*") if path.is_file())[number::processes]
    for path in own:
        decode(path, form)
    print(len(own))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
