"""Looks at every hospital before anything is submitted: reachable, right versions, fast enough, fitting datasets.

All of it is what a hospital tells any researcher with an account; measuring leaves one small blob there, which expires.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from policies.answers.hospital import HospitalAnswer
from policies.errors import WanwuError
from policies.plans.picture_form import PictureForm
from policies.plans.tokeniser import TextForm
from policies.versions import packages
from researcher.hospitals.differences import differences
from researcher.hospitals.hospital import DatasetInfo, Hospital

PROBE_BYTES = 1 << 20
PINGS = 5
MAX_CLOCK_DIFFERENCE_SECONDS = 60.0  # signed requests are refused beyond two minutes
RENEW_DAYS = 14


@dataclass(frozen=True)
class DatasetCheck:
    """What a hospital publishes and what is left of its budget, at one dataset."""

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    unit: str
    public_size: int
    epsilon_left: float
    epsilon_total: float
    delta: float
    text: TextForm | None = None
    form: PictureForm | None = None
    label_kind: str = "single"
    modality: str = "other"


@dataclass(frozen=True)
class HospitalCheck:
    """One hospital, as seen from here.

    Attributes:
        datasite: Its name.
        url: Its address.
        reachable: Whether it answered and accepted the account.
        latency_seconds: Median of a few signed requests, there and back.
        upload_mb_per_second: Of one small blob; with `download_mb_per_second`, an orientation.
        download_mb_per_second: The same blob back.
        clock_difference_seconds: Its clock minus this one's, to a second; None where it does not say.
        certificate_days: How long this account's certificate is still valid; None without one.
        versions: Of the programs there.
        datasets: What it publishes.
        limits: What it allows, as `DatasetLimits.to_dict` gives it.
        problems: What must be put right before a study; `warnings`, what should be looked at.
    """

    datasite: str
    url: str
    reachable: bool
    latency_seconds: float | None = None
    upload_mb_per_second: float | None = None
    download_mb_per_second: float | None = None
    clock_difference_seconds: float | None = None
    certificate_days: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetCheck, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def check_hospital(hospital: Hospital, *, certificate: str = "") -> HospitalCheck:
    """Measures one connected hospital. What fails on the way is a problem in the answer, not an exception."""
    try:
        return _measure(hospital, certificate)
    except WanwuError as error:
        return unreachable(hospital.name, hospital.routes.url, error)


def unreachable(datasite: str, url: str, error: WanwuError) -> HospitalCheck:
    """A hospital that could not be reached or did not accept the account."""
    return HospitalCheck(datasite, url, reachable=False, problems=(f"{error.code}: {error.public}",))


def contract_problems(datasets: Iterable[DatasetInfo]) -> dict[str, tuple[str, ...]]:
    """By datasite, how its datasets differ from the first hospital's of the same name; empty where all fit together."""
    first: dict[str, DatasetInfo] = {}
    found: dict[str, tuple[str, ...]] = {}
    for dataset in datasets:
        other = first.setdefault(dataset.name, dataset)
        for one in differences(dataset, other):
            told = f"{one.what} {one.here}, at {other.datasite} {one.there}"
            text = f"'{dataset.name}' has {told}: one study cannot use both"
            found[dataset.datasite] = (*found.get(dataset.datasite, ()), text)
    return found


def _measure(hospital: Hospital, certificate: str) -> HospitalCheck:
    info, clock, latency = _ping(hospital)
    upload, download = _bandwidth(hospital)
    days = _certificate_days(certificate)
    problems, warnings = _judge(info.versions, clock, days)
    return HospitalCheck(
        datasite=hospital.name,
        url=hospital.routes.url,
        reachable=True,
        latency_seconds=latency,
        upload_mb_per_second=upload,
        download_mb_per_second=download,
        clock_difference_seconds=clock,
        certificate_days=days,
        versions=dict(info.versions),
        datasets=tuple(_dataset(hospital, dataset) for dataset in hospital.datasets.values()),
        limits=dict(info.limits),
        problems=problems,
        warnings=warnings,
    )


def _ping(hospital: Hospital) -> tuple[HospitalAnswer, float | None, float]:
    """What the hospital says of itself, its clock minus ours, and the median time of a request, in seconds."""
    taken = []
    for _ in range(PINGS):
        started, asked = time.monotonic(), time.time()
        info = hospital.routes.info()
        taken.append(time.monotonic() - started)
    clock = None if info.time is None else float(info.time) - int(asked + taken[-1] / 2)
    return info, clock, statistics.median(taken)


def _bandwidth(hospital: Hospital) -> tuple[float, float]:
    """MB a second, up and down. The bytes are the same each time, so that all checks together leave one blob."""
    probe = hashlib.shake_256(b"wanwu bandwidth probe").digest(PROBE_BYTES)
    started = time.monotonic()
    digest = hospital.routes.put_blob(probe)
    sent = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        hospital.routes.get_blob(digest, Path(folder) / "probe", max_bytes=PROBE_BYTES)
    received = time.monotonic()
    return PROBE_BYTES / 1e6 / max(sent - started, 1e-6), PROBE_BYTES / 1e6 / max(received - sent, 1e-6)


def _dataset(hospital: Hospital, dataset: DatasetInfo) -> DatasetCheck:
    budget = hospital.routes.budget(dataset.name)
    return DatasetCheck(
        name=dataset.name,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        unit=dataset.unit,
        public_size=dataset.public_size,
        epsilon_left=budget.epsilon_left,
        epsilon_total=budget.epsilon_total,
        delta=budget.delta,
        text=dataset.text,
        form=dataset.form,
        label_kind=dataset.label_kind,
        modality=dataset.modality,
    )


def _judge(there: Mapping[str, str], clock: float | None, days: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What must be put right, and what should be looked at."""
    problems: list[str] = []
    warnings: list[str] = []
    for mismatch in packages.compare(packages.installed(), there):
        (problems if mismatch.refused else warnings).append(str(mismatch))
    if clock is not None and abs(clock) > MAX_CLOCK_DIFFERENCE_SECONDS:
        problems.append(f"the clocks differ by {clock:+.0f} seconds: signed requests will be refused")
    if days is not None and days < 0:
        problems.append("this account's certificate has expired: ask the hospital for a new one")
    elif days is not None and days < RENEW_DAYS:
        warnings.append(f"this account's certificate expires in {days} days")
    return tuple(problems), tuple(warnings)


def _certificate_days(certificate: str) -> int | None:
    """Days until a PEM certificate ends, negative when it has; None where there is none."""
    if not certificate:
        return None
    try:
        ends = x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError:
        return None
    return (ends - datetime.now(UTC)).days
