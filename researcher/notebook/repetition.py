"""A study once more: the same plan and the same first weights, and all that is not the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from policies.errors import FederationError
from policies.plans.training import TrainingPlan
from policies.untrusted_text import shown
from researcher.hospitals.differences import differences
from researcher.hospitals.hospital import DatasetInfo
from researcher.html.element import Html, element, listed, together
from researcher.notebook.draft import Draft
from researcher.notebook.setup import Setup, build, digest_of, packages, weights_digest
from researcher.notebook.study import Study
from researcher.planning.initial_weights import RECORD_FILE
from researcher.studies.kept_plan import read_plan, read_submission

if TYPE_CHECKING:
    from researcher.hospitals.federation import Federation

ALWAYS = (
    "The hospitals draw pictures and noise anew: curves will differ by chance.",
    "Each hospital decides anew, and what the repetition costs is charged beside what the first study cost.",
)
_SAME = "Nothing is known to differ from the first study."
_UNKNOWN = "The folder does not say what the study was begun with: only its plan is the same."


@dataclass(frozen=True)
class Repetition:
    """A study that can be submitted again.

    Attributes:
        draft: The same plan, at the hospitals that are connected now.
        setup: What the first study was begun with; None where its folder does not say.
        differs: What is not the same as then, a sentence each; empty where nothing is known to differ.
    """

    draft: Draft
    setup: Setup | None
    differs: tuple[str, ...]

    def submit(self, folder: Path | str, *, hold_out: Path | str | None = None) -> Study:
        """Submits the plan again, with the first study's seed and least number of hospitals.

        Args:
            folder: Where the repetition is kept.
            hold_out: Public pictures, where they lie elsewhere than those of the first study.

        Raises:
            WanwuError: As `Draft.submit`.
        """
        setup = self.setup
        if setup is None:
            return self.draft.submit(folder, hold_out=hold_out)
        there = setup.hold_out if digest_of(Path(setup.hold_out)) else None
        return self.draft.submit(
            folder,
            hold_out=hold_out or there,
            min_clients=setup.min_clients,
            seed=setup.seed,
            backbone_weights=setup.backbone_weights or None,
        )

    def __repr__(self) -> str:
        lines = [*([f"differs: {one}" for one in self.differs] or [_SAME]), *ALWAYS]
        return "\n".join([repr(self.draft), *(shown(f"  {one}", most=2000) for one in lines)])

    def _repr_html_(self) -> Html:
        differs = together(element("p", "What differs from the first study:"), listed(self.differs))
        told = differs if self.differs else element("p", _SAME)
        return together(told, listed(ALWAYS), self.draft._repr_html_())


def repetition(federation: Federation, folder: Path | str) -> Repetition:
    """What submitting a folder's study again to these hospitals would be.

    Args:
        federation: The hospitals that are connected now.
        folder: Of the first study.

    Raises:
        ConfigError: The folder holds no study, or was changed.
        FederationError: No hospital publishes the plan's dataset.
    """
    plan, names = read_plan(folder)
    setup = Setup.load(folder, plan)
    having = [name for name, one in federation.hospitals.items() if plan.dataset in one.datasets]
    if not having:
        raise FederationError(f"None of these hospitals publishes '{plan.dataset}', which the study trains on.")
    there = federation.only(*having)
    differs = [_UNKNOWN] if setup is None else [*_of_software(setup, plan), *_of_pictures(setup)]
    if (Path(folder) / RECORD_FILE).exists():
        differs.append(
            f"The first study began from public weights, which {RECORD_FILE} in its folder names; a repetition begins "
            "from its seed unless it is given them as initial weights."
        )
    for name, invited in read_submission(Path(folder))[-1].items():
        differs.append(f"{name} was {invited.told()} in the first study; a repetition asks all of them at once.")
    return Repetition(Draft(there, plan), setup, (*differs, *_of_hospitals(there, plan, names, setup)))


def _of_software(setup: Setup, plan: TrainingPlan) -> Iterator[str]:
    if setup.build != build():
        yield f"This platform is of another build: {setup.build[:12]} then, {build()[:12]} now."
    now = packages()
    for name, version in setup.packages.items():
        if now.get(name) != version:
            yield f"{name} was {version} then, it is {now.get(name, 'missing')} now."
    if setup.first_weights != weights_digest(plan, setup.seed):
        yield f"Seed {setup.seed} gives other first weights here than it gave then."


def _of_pictures(setup: Setup) -> Iterator[str]:
    if setup.hold_out and (now := digest_of(Path(setup.hold_out))) != setup.hold_out_digest:
        what = "holds other pictures" if now else "is not there"
        yield f"The hold-out {setup.hold_out} {what}: scores compare only on the same pictures."


def _of_hospitals(
    federation: Federation, plan: TrainingPlan, names: tuple[str, ...], setup: Setup | None
) -> Iterator[str]:
    for name in names:
        if name not in federation.hospitals:
            yield f"{name} took part then and is not connected now."
    for name, hospital in federation.hospitals.items():
        if name not in names:
            yield f"{name} takes part now and did not then."
            continue
        asked: Mapping[str, object] = {} if setup is None else setup.hospitals
        if setup is None or name not in asked:
            continue
        then, now = setup.hospitals[name], hospital.datasets[plan.dataset]
        if then.public_key != hospital.public_key:
            yield f"{name} signs with another key than then: it may be another datasite of that name."
        before = DatasetInfo.of(name, then.schema, {})
        for found in differences(before, now, with_text=True):
            yield f"{name}'s {found.what} was {found.here} then, it is {found.there} now."
        if before.public_size != now.public_size:
            yield f"{name}'s public size was {before.public_size:,} then, it is {now.public_size:,} now."
