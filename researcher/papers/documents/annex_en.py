"""The annex to a data-protection impact assessment, in English; the German and Chinese ones say the same."""

from __future__ import annotations

from researcher.papers import rests_on
from researcher.papers.documents.model_card import OF_THE_DATASET, OF_THE_GRAM
from researcher.papers.lines import HOSPITALS, Line, Section

TITLE = "Annex to the data-protection impact assessment of the study '{}'"
RESTS_ON = "What these sentences rest on"
SECTIONS = (
    Section(
        "What this annex is",
        (
            Line(
                "It states what signed receipts and tests show of the study '{study}'. It is no assessment: whether "
                "the processing is lawful, the controller has to say."
            ),
            Line(
                "It is made for Article 35(7) of the GDPR, and for Article 56 of China's Personal Information "
                "Protection Law. The plan has the SHA-256 {plan_digest}, the model {model_sha256}."
            ),
        ),
    ),
    Section(
        "The processing and its purposes",
        (
            Line("Purpose, in the words that the hospitals approved: {purpose}"),
            Line("Purpose: not stated in the plan.", unless="purpose", rests_on=(rests_on.NOT_SAID,)),
            Line("Protocol or ethics approval: {protocol}"),
            Line("Protocol or ethics approval: not stated.", unless="protocol", rests_on=(rests_on.NOT_SAID,)),
            Line("Intended use of the model, in the researcher's words: {intended_use}"),
            Line("Intended use of the model: not stated.", unless="intended_use", rests_on=(rests_on.NOT_SAID,)),
            Line(
                "{hospital_count} hospital(s) trained a {model_name} on their pictures of {picture_shape} values, of "
                "{class_count} classes: {class_names}."
            ),
            Line("{hospital}: approved on {approved_on}; {rounds_charged} round(s) were run and charged.", HOSPITALS),
        ),
    ),
    Section(
        "Necessity and proportionality",
        (
            Line(
                "Pictures stay in the hospital. What leaves in a round is one set of arrays of the model's shape, "
                "checked before it goes.",
                rests_on=(rests_on.OUTPUT,),
            ),
            Line("Researchers work with a mock that is drawn from the public schema alone.", rests_on=(rests_on.MOCK,)),
            Line("The approval covers at most {rounds} round(s) of {steps_per_round} step(s)."),
        ),
    ),
    Section(
        "Risks to patients",
        (
            Line(
                "{hospital}: epsilon {epsilon} at delta {delta} per patient. It bounds what everything that these "
                "rounds released can tell of one patient.",
                HOSPITALS,
                given="unit_patient",
            ),
            Line(
                "{hospital}: epsilon {epsilon} at delta {delta} per picture. It bounds what everything that these "
                "rounds released can tell of one picture.",
                HOSPITALS,
                given="unit_picture",
            ),
            *OF_THE_GRAM,
            Line(
                "{hospital}: of 100 patients who took part, whoever sees all that these rounds released and knows "
                "every "
                "other patient's data recognises at most {found_patient}, if they take 1 in 100 of the others for one "
                "who did. "
                "Guessing finds 1.",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line(
                "{hospital}: of 100 pictures that were used, whoever sees all that these rounds released and knows "
                "every "
                "other picture recognises at most {found_picture}, if they take 1 in 100 of the others for one that "
                "was. Guessing "
                "finds 1. A patient with several pictures is protected less.",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line(
                "{hospital}: the noise bounds hardly anything; each single patient may be recognised.",
                HOSPITALS,
                given="no_bound_patient",
            ),
            Line(
                "{hospital}: the noise bounds hardly anything; each single picture may be recognised.",
                HOSPITALS,
                given="no_bound_picture",
            ),
            Line("{hospital} trained {without_privacy}: nothing bounds what is told of a patient.", HOSPITALS),
            *OF_THE_DATASET,
            Line(
                "A patient of several of these hospitals bears the sum; the largest one is {epsilon_most}.",
                given="unit_patient",
            ),
            Line(
                "A picture that several of these hospitals hold bears the sum; the largest one is {epsilon_most}.",
                given="unit_picture",
            ),
        ),
    ),
    Section(
        "Measures",
        (
            Line(
                "Noise of {noise_multiplier} times the clipping bound {max_grad_norm} is added in the hospital, in "
                "each step; units are drawn with probability {sample_rate}.",
                unless="allocated_over",
                rests_on=(rests_on.SHAPE, rests_on.SAMPLING),
            ),
            Line(
                "Noise of {noise_multiplier} times the clipping bound {max_grad_norm} is added in the hospital, in "
                "each step; each unit joins exactly one of the {allocated_over} steps of each epoch, drawn at random.",
                rests_on=(rests_on.SHAPE, rests_on.ALLOCATION),
            ),
            Line(
                "The hospital's ledger charges a round before it reads a picture, and never more rounds than were "
                "approved.",
                rests_on=(rests_on.CHARGED, rests_on.ENVELOPE),
            ),
            Line(
                "Runs are closed in: what is printed, raised or told in one reaches nobody.",
                rests_on=(rests_on.CLOSED,),
            ),
            Line("Each receipt is signed by its hospital; {hospital}'s key is {key}.", HOSPITALS),
        ),
    ),
    Section(
        "What the controller has to add",
        (
            Line(
                "Legal basis, information of patients, retention at the hospital, transfers to other countries, and "
                "the views of patients are not known here.",
                rests_on=(rests_on.NOT_SAID,),
            ),
        ),
    ),
)
