"""A study's folder on the way to its hospitals, those of later too, its hold-out, a judgement, its exports."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.errors import ConfigError
from policies.plans.training import TrainingPlan
from researcher.evaluation.feature_hold_out import with_features
from researcher.evaluation.hold_out import HoldOut, load_hold_out
from researcher.hospitals.credentials import Credentials, read_credentials
from researcher.hospitals.hospital import DatasetInfo
from researcher.judgement.judge import Judgement, judge
from researcher.notebook.setup import Setup
from researcher.terminal import inviting
from researcher.terminal.inviting import Invitations, KnownHospital
from researcher.terminal.training_session import model_file

if TYPE_CHECKING:
    from researcher.exports.export import ExportedFile
    from researcher.hospitals.federation import Federation
    from researcher.studies.study import Study

__all__ = [
    "Invitations",
    "Judgement",
    "credentials_for",
    "exported",
    "given_hold_out",
    "invite",
    "judged",
    "read_hold_out",
]


def credentials_for(
    names: Collection[str],
    setup: Setup | None,
    folder: Path | str,
    given: str | Path | Iterable[str | Path | Credentials] | None,
) -> list[Credentials]:
    """The credentials for a study's hospitals and no others.

    Args:
        names: The datasites.
        setup: Says where credentials lay when the study was submitted.
        folder: Of the study.
        given: Credentials, their files or patterns; None for those of the submission.

    Raises:
        ConfigError: They are not there, or there are none for one of the hospitals.
    """
    where = _of_submission(setup, folder) if given is None else given
    needed = [one for one in read_credentials(where) if one.datasite in names]
    if missing := sorted(set(names) - {one.datasite for one in needed}):
        raise ConfigError(
            f"The study in {folder} runs at {', '.join(missing)} too, and no credentials for it were found. Give all "
            "of them: Study.open(folder, credentials=...)."
        )
    return needed


def invite(study: Study, *, hospital: str | None = None) -> Invitations:
    """Submits a study's plan to further hospitals, and keeps what is known of them beside what it was begun with.

    Args:
        study: Which, in its folder.
        hospital: Only this one; all of the federation that have no request if None.

    Raises:
        WanwuError: As `researcher.terminal.inviting.invite`.
    """
    with study.held():
        setup = Setup.load(study.folder, study.plan)

        def keep(names: Collection[str]) -> None:
            if setup is not None and names:
                setup.with_invited(study.federation, study.plan.dataset, names).save(study.folder)

        known = {
            name: KnownHospital(one.public_key, DatasetInfo.of(name, one.schema, {}))
            for name, one in (setup.hospitals if setup else {}).items()
        }
        return inviting.invite(study, hospital=hospital, known=known, before=keep)


def read_hold_out(where: str, federation: Federation, plan: TrainingPlan, backbone: str) -> HoldOut:
    """Public pictures as the study's hospitals have theirs, with the features that the plan's model may read.

    Raises:
        DataError: They cannot be read so.
        ConfigError: The model reads features, and the backbone's weights are missing.
    """
    info = next(iter(federation.hospitals.values())).datasets[plan.dataset]
    read = load_hold_out(
        where, class_names=info.class_names, image_shape=info.image_shape, form=info.form, label_kind=info.label_kind
    )
    return with_features(read, plan.model, backbone or None)


def given_hold_out(
    given: HoldOut | Path | str | None, federation: Federation, plan: TrainingPlan, setup: Setup | None
) -> HoldOut:
    """A hold-out that is given, or read from where it is; that of the submission where none is.

    Raises:
        ConfigError: There is none.
        WanwuError: As `read_hold_out`.
    """
    if isinstance(given, HoldOut):
        return given
    where = str(given or (setup.hold_out if setup else ""))
    if not where:
        raise ConfigError("No hold-out was given with the study. Give public pictures: study.run(hold_out=...).")
    return read_hold_out(where, federation, plan, setup.backbone_weights if setup else "")


def judged(
    folder: Path, setup: Setup | None, test_data: Path | str, hospital: str | None = None, **more: Any
) -> Judgement:
    """The judgement of the global model that a study's folder holds, or of one hospital's own.

    Raises:
        WanwuError: As `judge`.
    """
    backbone = {"backbone_weights": setup.backbone_weights} if setup and setup.backbone_weights else {}
    return judge(model_file(folder, hospital), test_data, **{**backbone, **more})


def exported(
    folder: Path,
    setup: Setup | None,
    format: str,
    out: Path | str | None,
    *,
    test: Path | str | None,
    calibrate_on: Path | str | None,
    backbone_weights: str | None,
    hospital: str | None = None,
) -> ExportedFile:
    """The global model that a study's folder holds, or one hospital's own, as a file for other programs.

    Raises:
        WanwuError: As `ExportOrder.export`.
    """
    from researcher.exports.order import ExportOrder  # late: torch takes seconds to import

    order = ExportOrder(
        format,
        None if out is None else Path(out),
        test=None if test is None else Path(test),
        calibrate_on=None if calibrate_on is None else Path(calibrate_on),
        backbone_weights=backbone_weights or (setup.backbone_weights if setup else None) or None,
    )
    return order.export(model_file(folder, hospital))


def _of_submission(setup: Setup | None, folder: Path | str) -> tuple[str, ...]:
    if setup is None or not setup.credentials:
        raise ConfigError(
            f"{folder} does not say which credentials it was submitted with. Give them: Study.open(folder, "
            "credentials=...)."
        )
    for pattern in setup.credentials:
        if not glob.glob(pattern):  # noqa: PTH207 - a pattern may be absolute
            raise ConfigError(
                f"The credentials that the study was submitted with are not at {pattern} any more. Give yours: "
                "Study.open(folder, credentials=...)."
            )
    return setup.credentials
