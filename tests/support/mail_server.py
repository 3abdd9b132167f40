"""A mail server on loopback that speaks enough SMTP for one mail after the other, with STARTTLS where it has a key."""

from __future__ import annotations

import base64
import contextlib
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any


@dataclass
class MailServer:
    """What came in, and how the server behaves."""

    port: int = 0
    context: ssl.SSLContext | None = None
    refuses: bool = False
    mails: list[Message] = field(default_factory=list)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    connections: int = 0


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        own: MailServer = self.server.own  # type: ignore[attr-defined]
        own.connections += 1
        self._say("220 mail")
        encrypted = False
        while line := self.rfile.readline():
            word, _, rest = line.decode().strip().partition(" ")
            match word.upper():
                case "EHLO" | "HELO":
                    self._say(
                        "250-mail", *(["250-STARTTLS"] if own.context and not encrypted else []), "250 AUTH PLAIN"
                    )
                case "STARTTLS":
                    self._say("220 go")
                    assert own.context is not None
                    self.rfile.close()
                    try:
                        self.connection: Any = own.context.wrap_socket(self.connection, server_side=True)
                    except ssl.SSLError:
                        return  # the client does not know us
                    self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                    encrypted = True
                case "AUTH":
                    _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
                    own.signed_in.append((user, password))
                    self._say("235 ok")
                case "DATA":
                    self._say("354 go")
                    lines = []
                    while (line := self.rfile.readline()) != b".\r\n":
                        lines.append(line)
                    own.mails.append(message_from_bytes(b"".join(lines)))
                    own.encrypted.append(encrypted)
                    self._say("250 ok")
                case "QUIT":
                    self._say("221 bye")
                    return
                case "RCPT" if own.refuses:
                    self._say("550 no")
                case _:
                    self._say("250 ok")

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextlib.contextmanager
def mail_server(context: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """A mail server that listens as long as the block runs."""
    own = MailServer(context=context)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Talk) as server:
        server.daemon_threads = True
        server.own = own  # type: ignore[attr-defined]
        own.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield own
        finally:
            server.shutdown()
            thread.join()
