"""Composed costs that were computed before, kept in a file beside the ledger, so that a start computes none again.

Each stands under the digest of all that it follows from: the steps, the delta or budget, and the code and libraries
that compute. So none can be out of date, and where one is missing it is computed. The file stays in the hospital.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import policies.budget
from policies.budget.limits import PrivacyBudget
from policies.budget.steps import GaussianSteps
from policies.ledger.seal import Seal
from policies.plans.plan_json import canonical_json

log = logging.getLogger(__name__)

MOST_SUMS = 4000
"""Of a file that is read; a longer one begins anew with the latest of them."""
_PURPOSE = "composed sum"
_MOST_BYTES = 4 << 20
_COMPUTED_BY = ("dp-accounting", "numpy", "opacus", "scipy")


class KeptSums:
    """The file of sums.

    Guarantees:
        A sum that is given out is to the last bit the one that was kept under these very values by this very code, in
        a line that carries the seal's mark. Any other line, as one that was cut or changed, is none.
    """

    def __init__(self, file: Path, seal: Seal | None) -> None:
        """Reads the file when the first sum is asked for.

        Args:
            file: Where; it need not exist.
            seal: The datasite's; None keeps nothing.
        """
        self._file, self._seal = file, seal
        _computed_by()  # of the code that was imported: an upgrade may lie beside it by the first sum
        self._lock = threading.Lock()
        self._known: dict[str, float] | None = None

    def get(self, what: str, history: Sequence[GaussianSteps], at: float | PrivacyBudget) -> float | None:
        """The sum that was kept, or None.

        Args:
            what: Name of the function that computes it.
            history: The steps.
            at: The delta, or the budget, for which it was computed.
        """
        if self._seal is None:
            return None
        with self._lock:
            if self._known is None:
                self._known = self._read(self._seal)
            return self._known.get(_digest(what, history, at))

    def keep(self, what: str, history: Sequence[GaussianSteps], at: float | PrivacyBudget, value: float) -> None:
        """Keeps a sum, finite; where the disk does not take it, it is computed again after the next start."""
        if self._seal is None:
            return
        line = _line(self._seal, _digest(what, history, at), value)
        with self._lock:
            if self._known is not None:
                self._known[_digest(what, history, at)] = value
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(self._file, flags, 0o600)
                try:
                    os.write(descriptor, b"\n" + line)  # behind a line that was cut, this is one of its own
                finally:
                    os.close(descriptor)
            except OSError as error:
                log.warning("a composed sum cannot be kept in %s: %s", self._file, error)

    def _read(self, seal: Seal) -> dict[str, float]:
        try:
            with self._file.open("rb") as file:
                lines = file.read(_MOST_BYTES).split(b"\n")
        except OSError:
            return {}
        found: dict[str, float] = {}
        for line in lines:
            if (read := _sum_of(seal, line)) is not None:
                found.pop(read[0], None)  # the latest stand last
                found[read[0]] = read[1]
        if len(lines) > MOST_SUMS:
            found = dict(list(found.items())[-MOST_SUMS // 2 :])
            self._begin_anew(b"\n".join(_line(seal, *one) for one in found.items()))
        return found

    def _begin_anew(self, content: bytes) -> None:
        aside = self._file.with_name(f"{self._file.name}.new")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            aside.replace(self._file)
        except OSError as error:
            log.warning("%s cannot be written anew: %s", self._file, error)


def _digest(what: str, history: Sequence[GaussianSteps], at: float | PrivacyBudget) -> str:
    steps = [[one.noise_multiplier, one.sample_rate, one.steps, one.allocated_over] for one in history]
    where = [at.epsilon, at.delta] if isinstance(at, PrivacyBudget) else [at]
    text = canonical_json({"what": what, "steps": steps, "at": where, "by": _computed_by()})
    return hashlib.sha256(text.encode()).hexdigest()


def _line(seal: Seal, digest: str, value: float) -> bytes:
    kept = {"of": digest, "is": value.hex()}
    return canonical_json({**kept, "mark": seal.mark(_PURPOSE, kept)}).encode()


def _sum_of(seal: Seal, line: bytes) -> tuple[str, float] | None:
    """A line's digest and sum; None for a line that this seal has not marked."""
    try:
        read = json.loads(line)
        kept = {"of": str(read["of"]), "is": str(read["is"])}
        if set(read) != {"of", "is", "mark"} or not seal.fits(read["mark"], _PURPOSE, kept):
            return None
        value = float.fromhex(kept["is"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return (kept["of"], value) if math.isfinite(value) and value >= 0 else None


@lru_cache(maxsize=1)
def _computed_by() -> str:
    """A digest of the accountants' own code and of the versions of the libraries that they compute with."""
    found = hashlib.sha256()
    for folder in policies.budget.__path__:
        for file in sorted(Path(folder).rglob("*.py")):
            found.update(hashlib.sha256(file.read_bytes()).digest())
    found.update(repr([(name, metadata.version(name)) for name in _COMPUTED_BY]).encode())
    return found.hexdigest()
