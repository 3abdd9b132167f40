"""Secrets of the ways out, each in a file that the datasite's own account alone may read; and whom TLS trusts there."""

from __future__ import annotations

import ssl
from pathlib import Path

from datasites.files.secret_text import secret_text
from datasites.notices.settings import NoticeSettings
from policies.errors import NoticeNotSent

MOST_BYTES = 4096


def read_secret(file: str) -> str:
    """The secret in a file, without the space around it and a byte order mark.

    Raises:
        NoticeNotSent: It cannot be read, is empty or too large, or others than its owner may read it.
    """
    path = Path(file)
    try:
        status = path.stat()
        secret = secret_text(path).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoticeNotSent("A secret of [notices] cannot be read.", private=f"{file}: {error}") from error
    if status.st_mode & 0o077 or not secret or status.st_size > MOST_BYTES:
        raise NoticeNotSent(
            "A secret of [notices] must be 1 to 4096 bytes in a file with mode 0600.", private=f"{file} is not"
        )
    return secret


def tls_context(settings: NoticeSettings) -> ssl.SSLContext:
    """Checks certificates and names, by the hospital's authority where one is named.

    Raises:
        NoticeNotSent: The authority's file is none.
    """
    try:
        context = ssl.create_default_context(cafile=settings.authority_file or None)
    except (OSError, ssl.SSLError) as error:
        raise NoticeNotSent("authority_file of [notices] cannot be used.", private=repr(error)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
