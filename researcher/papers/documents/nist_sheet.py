"""The evaluation sheet after NIST SP 800-226, "Guidelines for Evaluating Differential Privacy Guarantees" (2025).

Its pyramid, from the claim at the top to who may see the data at the bottom: each layer is a heading here.
"""

from __future__ import annotations

from researcher.papers import rests_on
from researcher.papers.documents.model_card import ODDS, OF_THE_DATASET, OF_THE_GRAM
from researcher.papers.facts import Facts
from researcher.papers.lines import HOSPITALS, Line, Section, as_markdown

TITLE = "Evaluation of the differential privacy guarantee of '{}', after NIST SP 800-226"
SECTIONS = (
    Section(
        "Privacy parameters",
        (
            Line("{hospital}: epsilon {epsilon}, delta {delta}.", HOSPITALS),
            *OF_THE_GRAM,
            *ODDS,
            Line(
                "{hospital}: at false alarm rates of 0.1, 1 and 10 % no test of membership finds more than "
                "{power_lowest}, {power_middle} and {power_highest} of those who took part.",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line("{open_count} hospital(s) give no guarantee at all: they trained without differential privacy."),
            Line(
                "Epsilon comes from privacy loss distributions, with Renyi divergences where these say nothing; each "
                "errs upwards.",
                unless="open_count",
                rests_on=(rests_on.DISTRIBUTIONS,),
            ),
        ),
    ),
    Section(
        "Unit of privacy, and neighbouring datasets",
        (
            Line(
                "One unit is a {unit} with all pictures of theirs: a patient adds one clipped gradient to a "
                "step, however many pictures they have.",
                given="unit_patient",
                rests_on=(rests_on.PATIENTS,),
            ),
            Line("One unit is a {unit}. A patient with several is protected less.", given="unit_picture"),
            Line(
                "Neighbouring datasets differ by one unit that is added or removed; both directions are counted.",
                unless="open_count",
                rests_on=(rests_on.NEIGHBOURS,),
            ),
        ),
    ),
    Section(
        "Where it holds: model of trust",
        (
            Line(
                "Each hospital trains on its own machine and adds the noise there, before anything leaves. Neither the "
                "researcher nor another hospital is trusted with an update without noise.",
                unless="open_count",
                rests_on=(rests_on.SHAPE, rests_on.OUTPUT),
            ),
            Line(
                "Each hospital is trusted with its own pictures and with running the program that the receipt names "
                "(Wanwu {wanwu} at {hospital}); that it ran this one and no other, nobody can prove from outside.",
                HOSPITALS,
            ),
            Line(
                "A patient of several of these hospitals bears the sum of their epsilons; the largest is "
                "{epsilon_most}.",
                given="unit_patient",
            ),
            Line(
                "A picture that several of these hospitals hold bears the sum of their epsilons; the largest is "
                "{epsilon_most}.",
                given="unit_picture",
            ),
        ),
    ),
    Section(
        "Mechanism",
        (
            Line(
                "DP-SGD: each unit's gradient is clipped to the norm {max_grad_norm}; Gaussian noise of "
                "{noise_multiplier} times that is added to the sum of each step.",
                rests_on=(rests_on.CLIPPING,),
            ),
            Line(
                "Units are drawn anew for each step, each alone with probability {sample_rate} (Poisson), from "
                "cryptographic randomness. The sample is not told.",
                unless="allocated_over",
                rests_on=(rests_on.SAMPLING, rests_on.CHACHA),
            ),
            Line(
                "Each unit is in exactly one of every {allocated_over} steps, drawn anew for each unit and each "
                "{allocated_over} steps from cryptographic randomness (random allocation). The sample is not told.",
                rests_on=(rests_on.ALLOCATION, rests_on.CHACHA),
            ),
            Line(
                "A step that draws nobody is taken, noised and counted like any other.",
                unless="open_count",
                rests_on=(rests_on.EMPTY,),
            ),
            Line(
                "{hospital}: {rounds_charged} round(s) with {steps} noised step(s) are counted, each from its start.",
                HOSPITALS,
                rests_on=(rests_on.CHARGED,),
            ),
            Line(
                "Averaging by {strategy}, momentum at the server ({server_momentum}) and averaging of rounds "
                "({server_averaging}) use what was released already, and cost nothing."
            ),
        ),
    ),
    Section(
        "Implementation: floating point, randomness, side channels",
        (
            Line(
                "Noised sums lie on a lattice that does not hang on the data, so that the low bits of a float tell "
                "nothing.",
                unless="open_count",
                rests_on=(rests_on.LATTICE,),
            ),
            Line(
                "Noise comes from ChaCha20 with a key that is used once; no seed of a plan or a library changes it.",
                unless="open_count",
                rests_on=(rests_on.CHACHA, rests_on.FRESH),
            ),
            Line(
                "Training computed in {precision}, by the engine {engine}; norms, sums and noise in float32 or better.",
                rests_on=(rests_on.CLIPPING,),
            ),
            Line(
                "A step computes a batch of one public shape, and the end of a run shows at times of a grid, so that "
                "durations tell little of who was drawn.",
                rests_on=(rests_on.SHAPE, rests_on.VISIBLE),
            ),
            Line(
                "Runs are closed in: what is printed, raised or told in one reaches nobody outside.",
                rests_on=(rests_on.CLOSED,),
            ),
            Line(
                "Faults of noise and clipping are looked for by a one-run audit with canaries.",
                unless="open_count",
                rests_on=(rests_on.AUDIT,),
            ),
        ),
    ),
    Section(
        "Tuning and choices made on data",
        (
            Line("In the researcher's words: {tuning}"),
            Line(
                "What was tuned on what is not stated. Tuning on private data outside of the ledger is not counted "
                "in epsilon.",
                unless="tuning",
                rests_on=(rests_on.NOT_SAID,),
            ),
        ),
    ),
    Section(
        "Budget over time",
        (
            *OF_THE_DATASET,
            Line(
                "A study's rounds never exceed what was reserved when it was approved, and a copy of the dataset under "
                "another name shares its budget.",
                rests_on=(rests_on.ENVELOPE, rests_on.RENAMED),
            ),
            Line("{hospital}: more rounds may still follow.", HOSPITALS, given="state_approved"),
            Line("{hospital}: no round can follow.", HOSPITALS, given="state_ended"),
        ),
    ),
    Section(
        "Collection, exposure and access",
        (
            Line(
                "Of the pictures, only what is declared leaves: arrays of the model's shape, checked before they go. "
                "The update of each round has its digest in the receipt.",
                rests_on=(rests_on.OUTPUT,),
            ),
            Line(
                "The mock that researchers see is drawn from the public schema alone.",
                rests_on=(rests_on.MOCK,),
            ),
            Line(
                "How the pictures were collected, and with which consent, is not known here.",
                rests_on=(rests_on.NOT_SAID,),
            ),
            Line("{hospital} ran packages whose bill of materials has the digest {hospital_sbom}.", HOSPITALS),
            Line(
                "{hospital}: which packages ran is not known beyond the receipt's versions.",
                HOSPITALS,
                unless="hospital_sbom",
                rests_on=(rests_on.NO_BILL,),
            ),
            Line(
                "{hospital}: the bill in this pack, sbom.cdx.json, has this very digest.", HOSPITALS, given="same_sbom"
            ),
            Line(
                "{hospital}: the bill in this pack is the researcher's, {sbom}, and differs from the hospital's.",
                HOSPITALS,
                given="other_sbom",
            ),
        ),
    ),
)


def nist_sheet(facts: Facts) -> str:
    """The sheet, as Markdown."""
    return as_markdown(
        TITLE.format(facts.study["study"].value), SECTIONS, facts, rests_on="What these sentences rest on"
    )
