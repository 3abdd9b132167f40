"""The setup of a study, kept in its folder, so that anybody can go on with it, or do it again.

No password and no key stands in it: of credentials, only where their files lay.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from safetensors import numpy as safetensors

from policies.answers.hospital import DatasetSchema
from policies.answers.plain_values import from_plain, to_plain
from policies.errors import ConfigError, StateVersionMismatch
from policies.plans.plan_json import canonical_json, sha256_text
from policies.plans.training import TrainingPlan
from policies.untrusted_text import shown
from policies.versions.packages import installed
from researcher import atomic_file
from researcher.studies.asked_round import ASKED_FILE
from researcher.studies.checkpoints import STATE_FILE

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation
    from researcher.hospitals.hospital import DatasetInfo

SETUP_FILE = "setup.json"
SETUP_VERSION = 1
PACKAGES = ("numpy", "pillow", "safetensors", "timm", "torchvision")
"""Whose versions are kept beside those of `policies.versions.packages`: what a round computes follows from them."""
_PROJECT = Path(__file__).resolve().parents[2]
_SOURCES = ("policies", "datasites/training", "researcher")


@dataclass(frozen=True)
class Asked:
    """A hospital that a study was submitted to.

    Attributes:
        url: Its address.
        public_key: What its receipts are signed with, in hexadecimal.
        schema: Of the dataset, as the hospital published it.
    """

    url: str
    public_key: str
    schema: DatasetSchema


@dataclass(frozen=True)
class Setup:
    """What a study was begun with.

    Attributes:
        plan_digest: Of the plan in the same folder.
        hospitals: Datasite → what was known of it.
        credentials: Files or patterns that it was connected with.
        packages: Package → version.
        build: Digest of this platform's own sources.
        seed: Of the first global weights.
        first_weights: Their digest.
        min_clients: Least hospitals in a round.
        hold_out: Where the public pictures lay; empty if that was not said.
        hold_out_digest: Of their bytes and names.
        backbone_weights: As `with_features` takes them; empty if none are needed.
    """

    plan_digest: str
    hospitals: Mapping[str, Asked]
    credentials: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    build: str = ""
    seed: int = 0
    first_weights: str = ""
    min_clients: int = 2
    hold_out: str = ""
    hold_out_digest: str = ""
    backbone_weights: str = ""

    @classmethod
    def of(
        cls,
        federation: Federation,
        plan: TrainingPlan,
        *,
        hold_out: Path | str | None = None,
        min_clients: int = 2,
        seed: int = 0,
        backbone_weights: str | None = None,
    ) -> Self:
        """What a study that is about to be submitted is begun with; arguments as `Draft.submit`."""
        return cls(
            plan_digest=plan.digest(),
            hospitals={
                name: Asked(one.routes.url, one.public_key, schema_of(one.datasets[plan.dataset]))
                for name, one in federation.hospitals.items()
                if plan.dataset in one.datasets
            },
            credentials=federation.came_from,
            packages=packages(),
            build=build(),
        ).begun_with(plan, hold_out=hold_out, min_clients=min_clients, seed=seed, backbone_weights=backbone_weights)

    def begun_with(
        self,
        plan: TrainingPlan,
        *,
        hold_out: Path | str | None,
        min_clients: int,
        seed: int,
        backbone_weights: str | None,
    ) -> Self:
        """This setup with what may be chosen until the first round; arguments as `Draft.submit`."""
        found = str(Path(hold_out).resolve()) if hold_out and Path(hold_out).exists() else str(hold_out or "")
        return replace(
            self,
            seed=seed,
            first_weights=weights_digest(plan, seed),
            min_clients=min_clients,
            hold_out=found,
            hold_out_digest=digest_of(Path(found)) if found else "",
            backbone_weights=backbone_weights or "",
        )

    def with_invited(self, federation: Federation, dataset: str, names: Collection[str]) -> Self:
        """This setup with hospitals that are asked after the others.

        Args:
            federation: Which they are connected in.
            dataset: Name of the study's.
            names: Theirs.
        """
        more = {
            name: Asked(one.routes.url, one.public_key, schema_of(one.datasets[dataset]))
            for name, one in federation.hospitals.items()
            if name in names
        }
        credentials = tuple(dict.fromkeys((*self.credentials, *(federation.came_from if more else ()))))
        return replace(self, hospitals={**self.hospitals, **more}, credentials=credentials)

    def save(self, folder: Path | str) -> Path:
        """Writes it into a study's folder, with its own digest.

        Raises:
            ConfigError: The folder cannot be written.
        """
        values = to_plain(self)
        kept = {"version": SETUP_VERSION, "digest": sha256_text(canonical_json(values)), "setup": values}
        return atomic_file.write(Path(folder) / SETUP_FILE, json.dumps(kept, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path | str, plan: TrainingPlan) -> Self | None:
        """Reads it back; None where the folder has none, as one of an older version.

        Args:
            folder: Of the study.
            plan: In the same folder.

        Raises:
            StateVersionMismatch: A later version wrote it.
            ConfigError: It was changed, or the plan beside it was.
        """
        path = Path(folder) / SETUP_FILE
        if not path.exists():
            return None
        values = _read(path)
        version = values.get("version")
        if version != SETUP_VERSION:
            raise StateVersionMismatch(
                f"{path} is of version {shown(version)!r}, this program reads version {SETUP_VERSION}. Go on with the "
                "version of wanwu that the study was begun with."
            )
        try:
            told = sha256_text(canonical_json(values.get("setup")))
        except ValueError:  # a number that is not finite
            told = ""
        if values.get("digest") != told:
            raise ConfigError(f"{path} was changed after it was written. Take the folder's original, or a copy of it.")
        setup = from_plain(cls, values["setup"], lambda text: ConfigError(f"{path} is not a study's setup: {text}"))
        if setup.plan_digest != plan.digest():
            raise ConfigError(
                f"{path} is of the plan with digest {setup.plan_digest[:16]}, the folder holds the plan with "
                f"{plan.digest()[:16]}: one of the two files was changed. Take the folder's original."
            )
        return setup


def keep_until_begun(
    folder: Path | str, federation: Federation, plan: TrainingPlan, *, submitted: bool, **begun: Any
) -> None:
    """Keeps in a study's folder what it is begun with; once its first round was asked for, that stays as it is.

    Args:
        folder: Of the study, which need not be there yet.
        federation: As `Setup.of`, like all that follow.
        plan: Likewise.
        submitted: Whether the study was submitted before, so that what was known of its hospitals then is kept.
        begun: As `Setup.of`.

    Raises:
        ConfigError: The folder cannot be written, or what it holds was changed.
    """
    if not any((Path(folder) / file).exists() for file in (ASKED_FILE, STATE_FILE)):
        kept = Setup.load(folder, plan) if submitted else None
        (Setup.of(federation, plan, **begun) if kept is None else kept.begun_with(plan, **begun)).save(folder)


def schema_of(dataset: DatasetInfo) -> DatasetSchema:
    """What a hospital published of a dataset, its limits and terms apart."""
    told = {one.name: getattr(dataset, one.name) for one in fields(DatasetSchema) if one.name != "version"}
    return DatasetSchema(version=0, **told)


@cache
def packages() -> Mapping[str, str]:
    """Package → version here."""
    found = dict(installed())
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


@cache
def build() -> str:
    """SHA-256 of the sources that plan, train and average, in hexadecimal: two builds of one version differ in it."""
    whole = hashlib.sha256()
    for top in _SOURCES:
        for file in sorted((_PROJECT / top).rglob("*.py")):
            whole.update(f"{file.relative_to(_PROJECT).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return whole.hexdigest()


def weights_digest(plan: TrainingPlan, seed: int) -> str:
    """SHA-256 of the first global weights that a seed gives here, in hexadecimal."""
    weights = {name: np.ascontiguousarray(array) for name, array in sorted(first_weights(plan, seed).items())}
    return hashlib.sha256(safetensors.save(weights)).hexdigest()


def first_weights(plan: TrainingPlan, seed: int) -> Mapping[str, np.ndarray]:
    """The first global weights that a seed gives: name → float32 array of the parameter's shape."""
    from datasites.training.models import initial_weights

    return initial_weights(plan.model, seed)


def digest_of(path: Path) -> str:
    """SHA-256 of a hold-out: its bytes, of a folder also the names; empty for what is no file, as `medmnist:NAME`."""
    whole = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file()):
        with file.open("rb") as stream:
            whole.update(file.relative_to(path).as_posix().encode() + hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest() if path.exists() else ""


def _read(path: Path) -> Mapping[str, object]:
    try:
        values = json.loads(atomic_file.read(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON as this program writes it. Take the folder's original.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a study's setup. Take the folder's original.")
    return values
