"""What leaves the console of a notice, over real sockets: little, signed, to whom TLS knows. Nothing waits for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.mail_server import mail_server
from support.waiting import wait_for
from support.webhook_server import webhook_server

from datasites.access.certificates import issue_server, make_authority
from datasites.notices.notice import KINDS, OF_A_REQUEST, Notice, ToldOutside, told_outside
from datasites.notices.sender import MOST_WAITING, NoticeSender
from datasites.notices.settings import NoticeSettings
from datasites.notices.webhook import SIGNATURE, TIME
from policies.errors import ConfigError

PRIVATE = "canary-chest_xray_0017.png 412 patients"
REQUEST = "a1b2c3d4" + "e" * 24
MAIL: dict[str, Any] = {
    "mail_host": "127.0.0.1",
    "mail_from": "datasite@clinic.org",
    "mail_to": ("review@clinic.org", "it@clinic.org"),
    "mail_security": "none",
}


class Counted:
    """Counts what is told of notices."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, event: str, *, code: str = "") -> None:
        self.counts[event, code] += 1


def sender(settings: NoticeSettings, counted: Counted, **form: Any) -> NoticeSender:
    return NoticeSender(settings, counted, **form)  # type: ignore[arg-type]


def told(kind: str = "new request") -> ToldOutside:
    return told_outside(Notice(1, kind, REQUEST, PRIVATE, "2026-11-27"), "north", "https://console.clinic.org")


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text("a shared secret\n")
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_notice_leaves_but_its_kind_and_a_requests_beginning(kind: str, secret: str) -> None:
    with mail_server() as mails, webhook_server() as hook:
        settings = NoticeSettings(
            **MAIL, mail_port=mails.port, webhook_url=hook.url, webhook_secret_file=secret, link="https://c.clinic.org"
        )
        found = sender(settings, Counted()).try_all(told(kind))
    assert found == {"mail": "", "webhook": ""}
    (mail,), ((headers, body),) = mails.mails, hook.posts
    sent = mail.as_string() + body.decode() + repr(headers)
    request = REQUEST[:8] if kind in OF_A_REQUEST else ""
    assert not any(part in sent for part in ("canary", "patients", REQUEST[:9]))
    assert json.loads(body) == {
        "kind": kind, "datasite": "north", "request": request, "link": "https://console.clinic.org"
    }  # fmt: skip
    assert mail["Subject"] == f"[north] {kind} {request}".strip()
    assert mail["To"] == "review@clinic.org, it@clinic.org"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # some editors put a mark before the text
def test_a_post_is_signed_with_its_time(secret: str, encoding: str) -> None:
    Path(secret).write_text("a shared secret\r\n", encoding=encoding)
    with webhook_server() as hook:
        sender(NoticeSettings(webhook_url=hook.url, webhook_secret_file=secret), Counted()).try_all(told())
    ((headers, body),) = hook.posts
    mark = hmac.new(b"a shared secret", headers[TIME].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"sha256={mark}"
    assert abs(time.time() - int(headers[TIME])) < 3600


def test_mail_goes_by_tls_to_a_server_that_the_hospitals_authority_knows(tmp_path: Path, secret: str) -> None:
    authority = make_authority("mail")
    made = issue_server(authority, ["127.0.0.1"])
    for name, content in (
        ("crt", made.certificate_pem),
        ("key", made.key_pem),
        ("authority", authority.certificate_pem),
    ):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    form = {**MAIL, "mail_security": "starttls", "mail_user": "north", "mail_password_file": secret}
    with mail_server(context) as mails:
        settings = NoticeSettings(**form, mail_port=mails.port, authority_file=str(tmp_path / "authority"))
        assert sender(settings, Counted()).try_all(told()) == {"mail": ""}
        unknown = sender(replace(settings, authority_file=""), Counted()).try_all(told())
    assert mails.encrypted == [True] and mails.signed_in == [("north", "a shared secret")]
    assert "CERTIFICATE_VERIFY_FAILED" in unknown["mail"]


def test_a_server_without_tls_gets_neither_password_nor_mail(secret: str) -> None:
    form = {**MAIL, "mail_security": "starttls", "mail_user": "north", "mail_password_file": secret}
    with mail_server() as mails:
        found = sender(NoticeSettings(**form, mail_port=mails.port), Counted()).try_all(told())
    assert found["mail"] and mails.mails == [] and mails.signed_in == []


def test_a_secret_that_others_may_read_is_not_used(secret: str) -> None:
    Path(secret).chmod(0o640)
    with webhook_server() as hook:
        found = sender(NoticeSettings(webhook_url=hook.url, webhook_secret_file=secret), Counted()).try_all(told())
    assert "mode 0600" in found["webhook"] and hook.posts == []


def test_what_does_not_go_out_is_tried_again_some_times_and_counted(secret: str) -> None:
    counted = Counted()
    with webhook_server() as hook:
        hook.statuses = [503, 302, 204, 500]
        sending = sender(NoticeSettings(webhook_url=hook.url, webhook_secret_file=secret), counted, pauses=(0.01, 0.01))
        sending.start()
        for _ in range(2):
            sending.put(told())
        wait_for(lambda: len(hook.posts) == 6 and counted.counts["notice not sent", "webhook"] == 1)
        sending.stop()
    assert counted.counts == {("notice sent", "webhook"): 1, ("notice not sent", "webhook"): 1}


def test_nobody_waits_for_notices_and_too_many_are_dropped(secret: str) -> None:
    counted = Counted()
    sending = sender(NoticeSettings(webhook_url="http://127.0.0.1:9/", webhook_secret_file=secret), counted)
    for _ in range(MOST_WAITING + 3):
        sending.put(told())
    assert counted.counts == {("notice not sent", "too many wait"): 3}
    sending.stop()


def test_without_a_way_nothing_is_sent() -> None:
    assert sender(NoticeSettings(), Counted()).try_all(told()) == {}


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"webhook_url": "http://hooks.example.org/x", "webhook_secret_file": "s"}, "https address"),
        ({"webhook_url": "ftp://127.0.0.1/x", "webhook_secret_file": "s"}, "https address"),
        ({"webhook_url": "https://me:secret@hooks.example.org", "webhook_secret_file": "s"}, "https address"),
        ({"webhook_url": "https://hooks.example.org"}, "webhook_secret_file is missing"),
        ({"link": "javascript:x"}, "https address"),
        ({**MAIL, "mail_host": "mail.clinic.org"}, "loopback alone"),
        ({**MAIL, "mail_to": ()}, "1 to 20 addresses"),
        ({**MAIL, "mail_to": ("a@b.org\nBcc: c@d.org",)}, "addresses such as"),
        ({**MAIL, "mail_from": "nobody"}, "addresses such as"),
        ({**MAIL, "mail_user": "north"}, "mail_password_file is missing"),
        ({"mail_security": "ssl"}, "mail_security"),
        ({"low_budget_share": 2}, "low_budget_share"),
        ({"mail_host": "a\nb"}, "mail_host"),
    ],
)
def test_settings_that_would_tell_too_much_or_the_wrong_are_refused(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        NoticeSettings(**wrong)
