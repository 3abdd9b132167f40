"""Notices by webhook: one signed POST of JSON, which says what `ToldOutside` holds and no more.

The receiver checks `x-wanwu-signature`: HMAC-SHA256, under the shared secret, over `x-wanwu-time`, a dot and the body;
and refuses a time that is not about now.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import asdict

import httpx

from datasites.notices.notice import ToldOutside
from datasites.notices.secret_file import read_secret, tls_context
from datasites.notices.settings import NoticeSettings
from policies.errors import NoticeNotSent
from policies.plans.plan_json import canonical_json

TIME, SIGNATURE = "x-wanwu-time", "x-wanwu-signature"
TIMEOUT_SECONDS = 15.0


def send(settings: NoticeSettings, told: ToldOutside) -> None:
    """Posts one notice; follows no redirect, and uses no proxy but none.

    Raises:
        NoticeNotSent: Nothing answers there, it is not known by its certificate, or it answers with another status
            than 2xx.
    """
    body = canonical_json(asdict(told)).encode()
    headers = {"content-type": "application/json", **signed(read_secret(settings.webhook_secret_file), body)}
    try:
        answer = httpx.post(
            settings.webhook_url,
            content=body,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            verify=tls_context(settings),
        )
        why = "" if answer.is_success else f"status {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        why = repr(error)
    if why:
        raise NoticeNotSent("The notice was not taken by the webhook. Look at it and at webhook_url.", private=why)


def signed(secret: str, body: bytes, *, now: int | None = None) -> dict[str, str]:
    """The headers that sign a body."""
    stamp = str(int(time.time()) if now is None else now)
    mark = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {TIME: stamp, SIGNATURE: f"sha256={mark}"}
