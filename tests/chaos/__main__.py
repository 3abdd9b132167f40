"""`make test-chaos`: prints a table of figures and writes out/bench/chaos.json.

    python -m chaos --hospitals 8 --rounds 20 --seed 1

The exit status says whether all that is asked holds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

from chaos.run import Chaos, Size, run


def main() -> int:
    """Runs both studies; 0 if what is asked holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hospitals", type=int, default=Size.hospitals, help="at least 6")
    parser.add_argument("--rounds", type=int, default=Size.rounds)
    parser.add_argument("--steps", type=int, default=Size.steps, help="of a hospital in a round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/bench/chaos.json"))
    parser.add_argument("--folder", type=Path, help="where hospitals and studies stay; else they are removed")
    options = parser.parse_args()
    size = Size(options.hospitals, options.rounds, options.steps)
    with tempfile.TemporaryDirectory() as folder:
        chaos = run(options.folder or Path(folder), size, seed=options.seed)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": machine, **chaos.figures}, indent=1) + "\n")
    print(f"{machine}; {size.hospitals} hospitals, {size.rounds} rounds, min_clients {size.min_clients}")
    _print(chaos)
    return int(not all(chaos.kept.values()))


def _print(chaos: Chaos) -> None:
    for note in chaos.disturbed.notes:
        print(f"  round {note['round']:>2}: {note['what']}, {note['seconds']} s")
    for one in chaos.disturbed.resumes:
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in one.items() if name != "round")
        print(f"  round {one['round']:>2}: seconds from the researcher's start: {parts}")
    print(f"{'':>28} {'undisturbed':>12} {'disturbed':>12}")
    for told, of in ROWS.items():
        print(f"{told:>28} {of(chaos.undisturbed):>12} {of(chaos.disturbed):>12}")
    if (one := chaos.disturbed.invited) is not None:
        print(f"invited after round {one.after_round}: rounds charged {one.charged}, used {one.used}")
    print(f"ratio {chaos.ratio:.2f}, of the median rounds {chaos.ratio_of_rounds:.2f}")
    print(f"round_deadline {chaos.round_deadline:.1f} s; the cut {chaos.cut_seconds:.1f} s")
    for asked, holds in chaos.kept.items():
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {asked}")


ROWS = {
    "seconds": lambda ran: f"{ran.seconds:.1f}",
    "rounds": lambda ran: len(ran.records),
    "rounds lost": lambda ran: ran.books.rounds_lost,
    "rounds charged": lambda ran: ran.books.charged,
    "updates in the model": lambda ran: ran.books.used,
    "charged and not used": lambda ran: ran.books.charged_for_nothing,
    "charged more than once": lambda ran: ran.books.charged_twice,
    "left without a charge": lambda ran: ran.books.charged_less,
    "used more than once": lambda ran: ran.books.used_twice,
    "model is the mean of them": lambda ran: "no" if ran.books.wrong_model else "yes",
}


if __name__ == "__main__":
    raise SystemExit(main())
