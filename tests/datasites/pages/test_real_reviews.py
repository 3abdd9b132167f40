"""Reviews of real books on the approval card: a decided request and new ones are pages, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from support.console_pages import REVIEWER_NAME, serving
from support.console_reviews import FakeBook
from support.reviewed import MODEL, ON_FEATURES, PLAN, reviewed_datasite
from support.waiting import CEILING_SECONDS

from policies.plans.kinds import Plan
from policies.plans.releases import ReleaseSpec, StatisticsPlan

RELEASES = ReleaseSpec(20.0, 1e-5, "picture")
KINDS: dict[str, Plan] = {
    "on features": ON_FEATURES,
    "statistics": StatisticsPlan("pneumonia", "pictures", MODEL.image_shape, 2, RELEASES),
}


def test_requests_of_real_books_are_pages_in_both_languages(tmp_path: Path, drawn: Path) -> None:
    with reviewed_datasite(tmp_path / "real", drawn) as datasite:
        before = datasite.request(PLAN, name="approved before")
        datasite.approve(before)
        made = [before, *(datasite.request(plan) for plan in KINDS.values())]
        reviews = {one: datasite.review(one) for one in made}
    (tmp_path / "console").mkdir()
    with serving(tmp_path / "console", book=FakeBook(reviews)) as console:
        for request in made:
            for language, odds in (("en", "Guessing finds 1 in 100."), ("zh-CN", "随意猜测可认出 1")):
                answer = httpx.get(
                    f"{console.url}/requests/{request}",
                    cookies=console.session_of(REVIEWER_NAME),
                    headers={"accept-language": language},
                    trust_env=False,
                    timeout=CEILING_SECONDS,
                )
                assert answer.status_code == 200
                assert odds in answer.text
                if language == "zh-CN":
                    shown = re.sub(r'<(\w+)[^>]* lang="en"[^>]*>.*?</\1>|<[^>]+>', " ", answer.text, flags=re.DOTALL)
                    assert not re.findall(r"[a-z]+ (?:the|of|and|to|is|in) [a-z]+", shown)
