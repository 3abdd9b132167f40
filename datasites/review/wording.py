"""Sentences of a review: what is computed, what leaves, where the model comes from. Templates stand here, in English.

Values are figures of plan, dataset and ledger, and names that were checked; nothing that a researcher wrote freely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

from datasites.code_requests.calculator import DeclaredShapes
from policies.answers.sentence import Sentence, said
from policies.graphs.summary import Summary
from policies.plans.features import FeatureSpec
from policies.plans.kinds import Plan
from policies.plans.releases import EvaluationPlan, GramPlan, StatisticsPlan
from policies.plans.server.beside import word_of
from policies.plans.server.local_part import keeps_part, local
from policies.plans.training import ModelSpec, TrainingPlan

TRAINS = (
    "Trains the model {model} on this hospital's pictures: {steps} steps in all, each on a random draw of {share} of "
    "all {unit}s. Each {unit} adds at most a fixed amount to a step, then noise is added."
)
TRAINS_ALLOCATED = (
    "Trains the model {model} on this hospital's pictures: {steps} steps in all, which are {passes} passes of {of} "
    "steps. In each pass every {unit} is in exactly one step, which is drawn at random for each {unit} alone. Each "
    "{unit} adds at most a fixed amount to a step, then noise is added."
)
TRAINS_ON_ALL = (
    "Trains the model {model} on this hospital's pictures: {steps} steps in all, each on all {unit}s. Each {unit} "
    "adds at most a fixed amount to a step, then noise is added. Nobody is drawn at random, and no draw is needed: "
    "epsilon adds up the noise of the steps alone."
)
TRAINS_OPENLY = (
    "Trains the model {model} on this hospital's pictures, {steps} steps in all, without noise and without a bound on "
    "what one picture adds."
)
EVALUATES = "Counts how often the model {model} is right on this hospital's pictures, {rounds} times, with noise."
COUNTS = (
    "Counts what this hospital's pictures are like: how many of each class, how bright, {rounds} times, with noise."
)
GRAM_OF_PICTURES = (
    "Sums how the {inputs} numbers that the model {model} makes of each picture go together, once, with noise: for "
    "every two of them their product, added up over all pictures. Labels are not read."
)
GRAM_OF_PATIENTS = (
    "Sums how the {inputs} numbers that the model {model} makes of each picture go together, once, with noise: for "
    "every two of them their product, of each patient the mean over the patient's pictures, added up over all "
    "patients. Labels are not read."
)
NUMBERS_LEAVE = (
    "{numbers} numbers leave in each of {rounds} rounds, {total} in all: changes of the model's weights, with noise."
)
NUMBERS_LEAVE_OPENLY = (
    "{numbers} numbers leave in each of {rounds} rounds, {total} in all: changes of the model's weights, without noise."
)
COUNTS_LEAVE = "{numbers} counts leave in each of {rounds} rounds, {total} in all, with noise on every one."
ONCE: Mapping[str, str] = MappingProxyType(
    {
        EVALUATES: "Counts how often the model {model} is right on this hospital's pictures, once, with noise.",
        COUNTS: "Counts what this hospital's pictures are like: how many of each class, how bright, once, with noise.",
        NUMBERS_LEAVE: "{numbers} numbers leave, once: changes of the model's weights, with noise.",
        NUMBERS_LEAVE_OPENLY: "{numbers} numbers leave, once: changes of the model's weights, without noise.",
        COUNTS_LEAVE: "{numbers} counts leave, once, with noise on every one.",
    }
)
"""What is said of a plan of one round, in place of what counts rounds."""
OF_AN_OWN_MODEL: Mapping[str, str] = MappingProxyType(
    {
        TRAINS: (
            "Trains the researcher's own model on this hospital's pictures: {steps} steps in all, each on a random "
            "draw of {share} of all {unit}s. Each {unit} adds at most a fixed amount to a step, then noise is added."
        ),
        TRAINS_ALLOCATED: (
            "Trains the researcher's own model on this hospital's pictures: {steps} steps in all, which are {passes} "
            "passes of {of} steps. In each pass every {unit} is in exactly one step, which is drawn at random for each "
            "{unit} alone. Each {unit} adds at most a fixed amount to a step, then noise is added."
        ),
        TRAINS_ON_ALL: (
            "Trains the researcher's own model on this hospital's pictures: {steps} steps in all, each on all {unit}s. "
            "Each {unit} adds at most a fixed amount to a step, then noise is added. Nobody is drawn at random, and no "
            "draw is needed: epsilon adds up the noise of the steps alone."
        ),
        TRAINS_OPENLY: (
            "Trains the researcher's own model on this hospital's pictures, {steps} steps in all, without noise and "
            "without a bound on what one picture adds."
        ),
        EVALUATES: (
            "Counts how often the researcher's own model is right on this hospital's pictures, {rounds} times, with "
            "noise."
        ),
        ONCE[EVALUATES]: (
            "Counts how often the researcher's own model is right on this hospital's pictures, once, with noise."
        ),
    }
)
"""What is said of an own model, which has no name that says anything, in place of what names a built-in one."""
GRAM_LEAVES = (
    "{numbers} numbers leave, once, with noise on every one: sums over all {unit}s. No one {unit}'s own numbers are "
    "among them."
)
GRAM_IS_KEPT = (
    "The researcher keeps these numbers. Later studies of the same features, whatever they classify, may train by them "
    "in fewer rounds, and these numbers are not charged again; each such study is a request of its own."
)
NO_PICTURE_LEAVES = "No picture, report, label or name leaves."
CORRECTION_COMES_IN = (
    "From the second round on, a correction comes in with the model's weights: one number for each weight, made from "
    "earlier updates. It is added to each step after the noise, so nothing more leaves for it."
)
ANCHOR_COMES_IN = (
    "Each hospital has a model of its own. From the second round on, this hospital's model comes in, as its released "
    "updates made it, with the mean of all hospitals' models. Each step is pulled towards that mean after the noise, "
    "by {pull} of the way, so nothing more leaves for it."
)
LAST_LAYER_STAYS = (
    "The model's last layer stays here: {stays} of its {total} numbers are trained on in each round, in the same steps "
    "and under the same bound and noise, and leave neither in an update nor otherwise. The hospital keeps them until "
    "the study ends."
)
NORMS_STAY = (
    "The scales and shifts of the model's norms stay here: {stays} of its {total} numbers are trained on in each "
    "round, in the same steps and under the same bound and noise, and leave neither in an update nor otherwise. The "
    "hospital keeps them until the study ends."
)
RUNS_AT_MOST = "Each round runs for at most {minutes} minutes, in one run that cannot reach a network."
RUNS_ONCE_AT_MOST = "It runs once, for at most {minutes} minutes, and cannot reach a network."
FROM_FEATURES = (
    "A last layer on top of the public network {backbone}, whose weights have the SHA-256 {digest}. The hospital "
    "computed what the network says of each picture; the researcher sends the last layer's first weights."
)
FROM_THE_RESEARCHER = (
    "The platform's own {model}, built here from its name. The researcher sends its first weights with the first round "
    "of {rounds}; the plan does not say what they were made from, and taking them in costs no epsilon."
)
FROM_A_STUDY = (
    "The platform's own {model}, with weights that came in before: those of round {round} of the request {request}, "
    "study {study}."
)
FROM_AN_OWN_GRAPH = (
    "The researcher's own model, not one of the platform's: a graph of {operators} operators with {numbers} trained "
    "numbers, {multiplications} multiplications for a picture. It holds no code. That no picture of a batch meets "
    "another in it is proved, here and again before each run. The researcher sends its first weights with the first "
    "round of {rounds}; the plan does not say what they were made from, and taking them in costs no epsilon."
)
FROM_A_STUDY_WITH_AN_OWN_GRAPH = (
    "The researcher's own model, not one of the platform's: a graph of {operators} operators with {numbers} trained "
    "numbers, {multiplications} multiplications for a picture. It holds no code. That no picture of a batch meets "
    "another in it is proved, here and again before each run. Its weights came in before: those of round {round} of "
    "the request {request}, study {study}."
)
NO_WEIGHTS = "The platform's own {model}, of which only what it makes of a picture is used. No weights come in."
NO_MODEL = "No model is used."


def computed(plan: Plan, unit: str) -> Sentence:
    """What is computed, for people who are no engineers."""
    if isinstance(plan, StatisticsPlan):
        return _counted(COUNTS, plan.rounds)
    if isinstance(plan, GramPlan):
        of_unit = GRAM_OF_PATIENTS if plan.privacy.unit == "patient" else GRAM_OF_PICTURES
        return said(of_unit, inputs=plan.inputs - 1, model=plan.model.name)
    if isinstance(plan, EvaluationPlan):
        if plan.rounds == 1:
            return _of_model(plan.model, ONCE[EVALUATES])
        return _of_model(plan.model, EVALUATES, rounds=plan.rounds)
    steps = plan.total_steps
    if plan.privacy is None:
        return _of_model(plan.model, TRAINS_OPENLY, steps=steps)
    if plan.sample_rate == 1:
        return _of_model(plan.model, TRAINS_ON_ALL, steps=steps, unit=unit)
    if of := plan.allocated_over:
        return _of_model(plan.model, TRAINS_ALLOCATED, passes=steps // of, of=of, steps=steps, unit=unit)
    share = f"{100 * plan.sample_rate:.3g} %"
    return _of_model(plan.model, TRAINS, steps=steps, share=share, unit=unit)


def _of_model(model: ModelSpec, template: str, **values: object) -> Sentence:
    """A sentence that names a built-in model, or says that it is the researcher's own."""
    if model.is_own:
        return said(OF_AN_OWN_MODEL[template], **values)
    return said(template, model=model.name, **values)


def leaves(plan: Plan, shapes: DeclaredShapes) -> tuple[Sentence, ...]:
    """How many numbers leave, how often, and what does not; and what a strategy sends that leaves no more."""
    numbers = sum(math.prod(shape) for shape in shapes.outputs.values())
    template = COUNTS_LEAVE
    if isinstance(plan, TrainingPlan):
        template = NUMBERS_LEAVE if plan.privacy is not None else NUMBERS_LEAVE_OPENLY
    minutes = math.ceil(plan.run.timeout_seconds / 60)
    if isinstance(plan, GramPlan):
        first = said(GRAM_LEAVES, numbers=numbers, unit=plan.privacy.unit)
    else:
        first = _counted(template, plan.rounds, numbers=numbers, total=numbers * plan.rounds)
    return (
        first,
        said(NO_PICTURE_LEAVES),
        *((said(GRAM_IS_KEPT),) if isinstance(plan, GramPlan) else ()),
        *_stays(plan, shapes),
        *_comes_in(plan),
        said(RUNS_ONCE_AT_MOST if plan.rounds == 1 else RUNS_AT_MOST, minutes=minutes),
    )


def _counted(template: str, rounds: int, **values: object) -> Sentence:
    """A sentence that counts rounds, or that of a single one."""
    if rounds == 1:
        values.pop("total", None)
        return said(ONCE[template], **values)
    return said(template, rounds=rounds, **values)


def _stays(plan: Plan, shapes: DeclaredShapes) -> tuple[Sentence, ...]:
    """What of the model the plan's strategy keeps here, where it keeps something."""
    if not isinstance(plan, TrainingPlan) or not keeps_part(plan):
        return ()
    stays, total = (sum(map(math.prod, of.values())) for of in (local(plan, shapes.inputs), shapes.inputs))
    return (said(LAST_LAYER_STAYS if plan.server.strategy == "fed_per" else NORMS_STAY, stays=stays, total=total),)


def _comes_in(plan: Plan) -> tuple[Sentence, ...]:
    """What the plan's strategy sends beside global weights, where it sends something."""
    word = word_of(plan, 1)
    if word is None or not isinstance(plan, TrainingPlan):
        return ()
    pull = plan.server.mean_pull
    return (said(ANCHOR_COMES_IN, pull=f"{pull:g}") if word == "anchor" else said(CORRECTION_COMES_IN),)


def model_from(plan: Plan, came_before: tuple[str, str, int] | None, own_model: Summary | None = None) -> Sentence:
    """Where the model comes from.

    Args:
        plan: The plan.
        came_before: Request, study and round that the first weights had come in with already, where a round of the
            plan has run and they had.
        own_model: What the plan's own model is made of, if its model is one.
    """
    if isinstance(plan, StatisticsPlan):
        return said(NO_MODEL)
    if isinstance(plan, GramPlan):
        return said(NO_WEIGHTS, model=plan.model.name)
    if spec := FeatureSpec.of(plan.model):
        return said(FROM_FEATURES, backbone=spec.backbone, digest=spec.weights_sha256)
    if came_before is not None:
        request, study, index = came_before
        if own_model is not None:
            figures = _figures(own_model)
            return said(FROM_A_STUDY_WITH_AN_OWN_GRAPH, **figures, request=request, study=study, round=index)
        return said(FROM_A_STUDY, model=plan.model.name, request=request, study=study, round=index)
    if own_model is not None:
        return said(FROM_AN_OWN_GRAPH, **_figures(own_model), rounds=plan.rounds)
    return said(FROM_THE_RESEARCHER, model=plan.model.name, rounds=plan.rounds)


def _figures(own_model: Summary) -> dict[str, int]:
    return {
        "operators": own_model.operators,
        "numbers": own_model.parameters,
        "multiplications": own_model.multiplications,
    }
