"""The model card as Hugging Face reads it: a header in YAML, then text whose sentences carry what they rest on."""

from __future__ import annotations

import json

from researcher.papers import rests_on
from researcher.papers.facts import Facts
from researcher.papers.lines import HOSPITALS, SCORES, Line, Section, as_markdown
from researcher.papers.study_record import StudyRecord
from researcher.papers.words import Words

# Names of scores as Hugging Face's leaderboards have them; others keep the platform's.
_TYPES = {"macro_f1": "f1", "macro_auroc": "roc_auc", "macro_precision": "precision", "macro_recall": "recall"}

OF_THE_GRAM = (
    Line(
        "{hospital}: that includes a noised Gram matrix of its features, released once, by which the rounds step; "
        "alone it cost epsilon {gram_epsilon} at delta {gram_delta}.",
        HOSPITALS,
    ),
    Line("{hospital}: the model's file names that very matrix, SHA-256 {gram_digest}.", HOSPITALS),
    Line(
        "{hospital}: the model's file names no Gram matrix, so nothing shows that its rounds stepped by this one.",
        HOSPITALS,
        given="gram_epsilon",
        unless="gram_digest",
    ),
    Line(
        "{alone_count} more hospital(s) released such a matrix and trained in no round, at epsilon {alone_epsilon} at "
        "most, at delta {alone_delta}."
    ),
)
OF_THE_DATASET = (
    Line(
        "{hospital}: all studies of this dataset together hold epsilon {epsilon_held} of at most "
        "{epsilon_limit}, at delta {delta_of_dataset}.",
        HOSPITALS,
    ),
    Line("{hospital}: rounds {held_open} ran on the dataset too, which no epsilon bounds.", HOSPITALS),
    Line(
        "{hospital}: what other studies of the same dataset cost beside is not known here.",
        HOSPITALS,
        unless="epsilon_held",
        rests_on=(rests_on.NO_EXTRACT,),
    ),
)

ODDS = (
    Line(
        "{hospital}: whoever sees all that these rounds released, knows the data of every other patient, and takes 1 "
        "in 100 patients who did not take part for one who did, recognises at most {found_patient} in 100 patients who "
        "did. Guessing finds 1 in 100.",
        HOSPITALS,
        rests_on=(rests_on.MEMBERSHIP,),
    ),
    Line(
        "{hospital}: whoever sees all that these rounds released, knows every other picture, and takes 1 in 100 "
        "pictures that were not used for one that was, recognises at most {found_picture} in 100 pictures that were. "
        "Guessing finds 1 in 100. This protects single pictures: a patient with several is protected less.",
        HOSPITALS,
        rests_on=(rests_on.MEMBERSHIP,),
    ),
    Line(
        "{hospital}: the noise bounds hardly anything. Whoever sees all that these rounds released may recognise each "
        "single {no_bound_patient} who took part.",
        HOSPITALS,
    ),
    Line(
        "{hospital}: the noise bounds hardly anything. Whoever sees all that these rounds released may recognise each "
        "single {no_bound_picture} that was used.",
        HOSPITALS,
    ),
    Line(
        "{hospital} trained {without_privacy}: nothing bounds what the model tells of a patient there.",
        HOSPITALS,
    ),
)
SECTIONS = (
    Section(
        "What it is",
        (
            Line(
                "The study '{study}' trained a {model_name} with {class_count} outputs on pictures of {picture_shape} "
                "(height, width, channels), at {hospital_count} hospital(s), in {model_rounds} round(s)."
            ),
            Line("The hospitals declare pictures of this kind: {modality}."),
            Line("Files became pictures so: {picture_form}."),
            Line("Its options: {model_options}."),
            Line("Its outputs are, in order: {class_names}. No hospital signed these names."),
            Line("A picture has one of these classes.", given="labels_single"),
            Line("Each output is a finding that a picture has or has not.", given="labels_multi"),
            Line("The file {model_file} ({model_form}, {model_bytes} bytes) has the SHA-256 {model_sha256}."),
            Line("The researcher calls it: {title}."),
            Line("Made by: {developer}."),
            Line("Ask: {contact}."),
            Line("Licence: {license}."),
            Line("The licence is not stated.", unless="license", rests_on=(rests_on.NOT_SAID,)),
        ),
    ),
    Section(
        "What it is for, in the researcher's words",
        (
            Line("Intended use: {intended_use}"),
            Line("Intended use: not stated.", unless="intended_use", rests_on=(rests_on.NOT_SAID,)),
            Line("Meant for: {users}"),
            Line("Patients: {population}"),
            Line("Not meant for: {out_of_scope}"),
            Line("Not meant for: not stated.", unless="out_of_scope", rests_on=(rests_on.NOT_SAID,)),
            Line("Known risks and limits: {limits}"),
            Line("Known risks and limits: not stated.", unless="limits", rests_on=(rests_on.NOT_SAID,)),
            Line("Known biases: {biases}"),
            Line("Known biases: not stated.", unless="biases", rests_on=(rests_on.NOT_SAID,)),
            Line("The purpose that the hospitals approved: {purpose}"),
            Line("Protocol or ethics approval: {protocol}"),
        ),
    ),
    Section(
        "How it was trained",
        (
            Line(
                "The plan that hospitals approved (SHA-256 {plan_digest}) allows {rounds} round(s) of "
                "{steps_per_round} step(s) at a sample rate of {sample_rate}.",
                unless="allocated_over",
            ),
            Line(
                "The plan that hospitals approved (SHA-256 {plan_digest}) allows {rounds} round(s) of "
                "{steps_per_round} step(s); each unit joins exactly one of the {allocated_over} steps of each epoch.",
                rests_on=(rests_on.ALLOCATION,),
            ),
            Line(
                "Optimiser: SGD, learning rate {learning_rate} ({learning_rate_schedule}), momentum {momentum}, weight "
                "decay {weight_decay}, proximal term {proximal_mu}; pictures changed at random: {augmentation}, "
                "{augmentation_multiplicity} view(s) each."
            ),
            Line("What training lowers, of each picture by itself: {objective}."),
            Line(
                "At the server: strategy {strategy} ({server_settings}), momentum {server_momentum}, averaging "
                "{server_averaging}."
            ),
            Line("What was tuned on what, in the researcher's words: {tuning}"),
            Line("What was tuned on what: not stated.", unless="tuning", rests_on=(rests_on.NOT_SAID,)),
            Line("The temperature of the evaluation was chosen on {temperature_on}."),
            Line("{idle_count} hospital(s) approved and ran no round."),
            Line(
                "Hospitals sign the digests of the updates that left them; the average of these is made by the "
                "researcher, and no hospital signs the model itself.",
                rests_on=(rests_on.BACKING,),
            ),
        ),
    ),
    Section(
        "What those whose pictures were used can lose by it",
        (
            Line(
                "{hospital}: epsilon {epsilon} at delta {delta} per {unit}, over {rounds_charged} charged round(s) and "
                "{steps} step(s), with noise multiplier {noise_multiplier}.",
                HOSPITALS,
            ),
            *OF_THE_GRAM,
            *ODDS,
            *OF_THE_DATASET,
            Line(
                "Over all hospitals the largest epsilon is {epsilon_most}. A patient of several of these hospitals "
                "bears the sum of theirs; whether there is such a patient is not known.",
                given="unit_patient",
            ),
            Line(
                "Over all hospitals the largest epsilon is {epsilon_most}. A picture that several of these hospitals "
                "hold bears the sum of theirs; whether there is such a picture is not known.",
                given="unit_picture",
            ),
            Line("{open_count} hospital(s) trained without differential privacy: nothing bounds what is told of them."),
        ),
    ),
    Section(
        "How well it does",
        (
            Line(
                "Measured on test data that the researcher gave, {test_data}: {test_pictures} pictures of "
                "{test_patients} patients. Intervals are of 95 %, by a bootstrap of {draws} draws of patients."
            ),
            Line(
                "Measured on test data that the researcher gave, {test_data}: {test_pictures} pictures; whose each is "
                "is not known. Intervals are of 95 %, by a bootstrap of {draws} draws of pictures.",
                unless="test_patients",
            ),
            Line("{score}: {score_value} ({score_low} to {score_high}).", SCORES),
            Line("Cautions of the evaluation: {cautions}"),
            Line(
                "No evaluation was given: how well the model does is not stated.",
                unless="test_data",
                rests_on=(rests_on.NO_EVALUATION,),
            ),
        ),
    ),
)


def model_card(facts: Facts, record: StudyRecord, words: Words) -> str:
    """The card, `README.md`."""
    title = words.title or record.receipts[0].receipt.study
    text = as_markdown(title, SECTIONS, facts, rests_on="What these sentences rest on")
    return f"---\n{_header(record, words, title)}---\n\n{text}"


def _header(record: StudyRecord, words: Words, title: str) -> str:
    """The header: YAML of which each value is written as JSON, which YAML reads as it is."""
    private = record.plan.privacy is not None
    tags = ["medical-imaging", "federated-learning", *(["differential-privacy"] if private else []), "wanwu"]
    rows: list[tuple[str, object]] = [
        ("license", words.license or "unknown"),
        ("pipeline_tag", "image-classification"),
        ("tags", tags),
    ]
    judged = record.judgement
    if judged is not None:
        metrics = [
            {
                "type": _TYPES.get(name, name),
                "name": name.replace("_", " "),
                "value": round(score.value, 6),
                "args": {"interval_low": round(score.low, 6), "interval_high": round(score.high, 6)},
            }
            for name, score in judged.scores.items()
            if score is not None
        ]
        dataset = {"name": judged.data.source, "type": judged.data.source}
        result = {
            "task": {"type": "image-classification"},
            "dataset": dataset,
            "metrics": metrics,
        }
        rows += [
            ("metrics", sorted({str(one["type"]) for one in metrics})),
            ("model-index", [{"name": title, "results": [result]}]),
        ]
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in rows)
