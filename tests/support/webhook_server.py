"""A webhook on loopback: keeps what is posted, and answers with the status that it is told to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Webhook:
    """What came in, and the statuses to answer with, one after the other, the last one for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [204])
    posts: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)


@contextlib.contextmanager
def webhook_server() -> Iterator[Webhook]:
    """A webhook that listens as long as the block runs."""
    own = Webhook()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            own.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(own.statuses.pop(0) if len(own.statuses) > 1 else own.statuses[0])
            self.send_header("location", own.url)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        own.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield own
        finally:
            server.shutdown()
            thread.join()
