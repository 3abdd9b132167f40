"""The dataset that a request for counts is of, and whether a model sees there what it was trained to see."""

from __future__ import annotations

from policies.errors import FederationError
from policies.plans.picture_form import PictureForm
from policies.untrusted_text import in_one_form
from researcher.hospitals.differences import form_differences
from researcher.hospitals.federation import Federation
from researcher.hospitals.hospital import DatasetInfo
from researcher.planning.count_settings import CountSettings, GramSettings
from researcher.planning.planning import agreeing, check_delta


def dataset_of(federation: Federation, settings: CountSettings | GramSettings) -> DatasetInfo:
    """The dataset that is asked about, which every hospital that has one of its name describes the same way.

    Raises:
        FederationError: No hospital publishes it, or they describe it differently.
        PlanError: The settings' delta promises nothing at one of them.
    """
    published = federation.datasets()
    name = settings.dataset or (published[0].name if published else None)
    found = [dataset for dataset in published if dataset.name == name]
    if not found:
        raise FederationError(f"No hospital publishes a dataset {name!r}.")
    check_delta(settings.delta, found)
    return agreeing(found)


def check_seen(federation: Federation, name: str, class_names: tuple[str, ...], form: PictureForm | None) -> None:
    """Refuses hospitals whose classes or pictures are other than those that a model was trained on.

    Args:
        federation: The hospitals that would evaluate it.
        name: Of their dataset.
        class_names: The model's, in order.
        form: How files became the model's pictures; None where its file does not say, and nothing can be compared.

    Raises:
        FederationError: One differs: the hospital is named, and what differs.
    """
    for dataset in (one for one in federation.datasets() if one.name == name):
        if in_one_form(dataset.class_names) != in_one_form(class_names):
            ours, theirs = ", ".join(class_names), ", ".join(dataset.class_names)
            raise FederationError(
                f"The model's classes are {ours}, the dataset's {theirs} at {dataset.datasite}. An evaluation needs "
                "the same, in the same order."
            )
        if form is not None and (found := list(form_differences(form, dataset.form))):
            told = "; ".join(f"{one.what} is {one.here} of the model and {one.there} there" for one in found)
            raise FederationError(
                f"The model was trained on pictures of another form than {dataset.datasite} has: {told}. "
                f"{found[0].means} Connect only to hospitals of the model's form, or give a model of theirs."
            )
