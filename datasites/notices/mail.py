"""Notices by e-mail, through the hospital's own mail server. A mail says what `ToldOutside` holds and no more."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import fields
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from datasites.notices.notice import ToldOutside
from datasites.notices.secret_file import read_secret, tls_context
from datasites.notices.settings import NoticeSettings
from policies.errors import NoticeNotSent

TIMEOUT_SECONDS = 15.0


def send(settings: NoticeSettings, told: ToldOutside) -> None:
    """Sends one mail to all addresses.

    Raises:
        NoticeNotSent: The mail server cannot be reached, is not known by its certificate, or refuses.
    """
    message = _message(settings, told)
    try:
        with _connected(settings) as server:
            if settings.mail_user:
                server.login(settings.mail_user, read_secret(settings.mail_password_file))
            server.send_message(message)
    except (smtplib.SMTPException, OSError, UnicodeError) as error:
        raise NoticeNotSent(
            "The notice was not sent by mail. Look at the mail server and at mail_ in [notices].", private=repr(error)
        ) from error


def _connected(settings: NoticeSettings) -> smtplib.SMTP:
    host, port = settings.mail_host, settings.mail_port
    if settings.mail_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=tls_context(settings))
    server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    if settings.mail_security == "starttls":
        try:
            server.starttls(context=tls_context(settings))
        except (smtplib.SMTPException, ssl.SSLError, OSError):
            server.close()
            raise
    return server


def _message(settings: NoticeSettings, told: ToldOutside) -> EmailMessage:
    message = EmailMessage()
    about = f" {told.request}" if told.request else ""
    message["Subject"] = f"[{told.datasite}] {told.kind}{about}"
    message["From"], message["To"] = settings.mail_from, ", ".join(settings.mail_to)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=settings.mail_from.partition("@")[2])
    message.set_content("\n".join(f"{one.name}: {value}" for one in fields(told) if (value := getattr(told, one.name))))
    return message
