"""Words of the approval card and of a decision's record: findings, channels, votes, limits, what was stated."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from datasites.pages.languages.languages import to_translate
from policies.answers.sentence import Sentence

TOPICS: Mapping[str, str] = MappingProxyType(
    {
        "refused": to_translate("Refused by the datasite"),
        "budget": to_translate("Over the budget"),
        "delta": to_translate("Delta"),
        "text": to_translate("A text that misleads"),
        "contradiction": to_translate("A text that contradicts the plan"),
        "repeat": to_translate("The same under another name"),
        "graph": to_translate("Another model"),
        "version": to_translate("Another dataset version"),
        "unit": to_translate("Whom it protects"),
        "weights": to_translate("Weights of unknown origin"),
    }
)
SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "dataset": to_translate("The whole dataset"),
        "researcher": to_translate("This researcher"),
        "study": to_translate("This study"),
    }
)
STATED: Mapping[str, str] = MappingProxyType(
    {
        "name": to_translate("Name"),
        "institution": to_translate("Institution"),
        "contact": to_translate("Contact"),
        "purpose": to_translate("Purpose"),
        "protocol": to_translate("Protocol or ethics number"),
        "publication": to_translate("Planned publication"),
    }
)
DIFFERS: Mapping[str, str] = MappingProxyType(
    {
        "researcher": to_translate("The researcher's last approved request"),
        "study": to_translate("The study's last approved request"),
    }
)
CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "weights": to_translate("Weights"),
        "counts": to_translate("Counts"),
        "states": to_translate("States"),
        "durations": to_translate("Durations"),
        "log lines": to_translate("Log lines"),
        "mock": to_translate("Mock"),
        "schema": to_translate("Schema"),
    }
)
QUESTIONS: Mapping[str, str] = MappingProxyType(
    {
        "purpose": to_translate("What is it for?"),
        "data": to_translate("Which data?"),
        "people": to_translate("Who, and about whom?"),
        "setting": to_translate("Where and how?"),
        "outputs": to_translate("What leaves?"),
    }
)
VOTES: Mapping[str, str] = MappingProxyType(
    {
        "approve": to_translate("approve"),
        "deny": to_translate("deny"),
        "return": to_translate("ask for a change"),
    }
)
DECISIONS: Mapping[str, str] = MappingProxyType(
    {
        "approved": to_translate("approved"),
        "denied": to_translate("denied"),
        "returned": to_translate("returned for a change"),
        "withdrawn": to_translate("withdrawn"),
        "ended": to_translate("ended"),
    }
)
ENTRIES: Mapping[str, str] = MappingProxyType(
    {
        "reserve": to_translate("reserved for all rounds"),
        "start": to_translate("round charged as it started"),
        "commit": to_translate("round came to its end"),
        "release": to_translate("unused part freed"),
    }
)
LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "epsilon": to_translate("Epsilon of all studies together"),
        "delta": to_translate("Delta, at which epsilons are stated"),
        "max_study_epsilon": to_translate("Epsilon of one study"),
        "max_researcher_epsilon": to_translate("Epsilon of one researcher's studies"),
        "min_noise_multiplier": to_translate("Least noise of a step"),
        "max_grad_norms": to_translate("Bounds of one unit's part, least and most"),
        "learning_rates": to_translate("Learning rates, least and most"),
        "sample_rates": to_translate("Sample rates, least and most"),
        "max_weight_decay": to_translate("Most weight decay"),
        "max_proximal_mu": to_translate("Most pull to the global model"),
        "max_rounds": to_translate("Most rounds of a plan"),
        "max_steps": to_translate("Most steps of a plan"),
        "min_public_size": to_translate("Least public size of a dataset"),
        "min_release_size": to_translate("Least public size for counts"),
        "allow_non_private": to_translate("Plans without differential privacy"),
        "approvals_needed": to_translate("People who must vote"),
        "adaptive_filter": to_translate("Total holds for studies chosen by earlier results"),
        "model_sources": to_translate("Where models may come from"),
    }
)
"""What each limit is called, in the order of the page."""
MISSING: Mapping[str, str] = MappingProxyType(
    {
        "deny_reason": to_translate("Give the reason of the denial: the researcher reads it."),
        "change_reason": to_translate("Say what is to be changed: the researcher reads it."),
        "question": to_translate("Write the question."),
        "end_reason": to_translate("Give the reason of the end."),
    }
)


def word(of: Mapping[str, str], name: str) -> str:
    """What something is called, English, translated where it is shown; its own name where there is no word."""
    return of.get(name, name)


def recognised(odds: Sentence) -> int:
    """How many in 100 the sentence says are recognised at most; 100 where it says that nothing useful bounds it."""
    return int(odds.values.get("found", "100"))
