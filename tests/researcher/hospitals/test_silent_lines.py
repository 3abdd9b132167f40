"""A line that loses every packet without a word, under a request whose answer takes long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import SimpleNamespace

import httpx
import pytest
from support.bad_line import BadLine

from policies.errors import DatasiteUnreachable
from researcher.hospitals.secure_channel import SecureChannel, signs_of_life, transport_of


def test_a_silent_line_ends_a_request_that_would_wait_for_ever_and_the_next_goes_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, BadLine(server.getsockname()[1]) as line:
        channel = SecureChannel.__new__(SecureChannel)
        channel.datasite, channel.url = "datasite", f"http://127.0.0.1:{line.own_port}"
        channel.http = httpx.Client(
            base_url=channel.url, transport=transport_of(ssl.create_default_context()), timeout=None
        )
        taken, silent = threading.Event(), threading.Event()

        def answer_the_second() -> None:
            first, _ = server.accept()
            with first:
                first.recv(1 << 16)
                taken.set()
                silent.wait()
                second, _ = server.accept()
            with second:
                second.recv(1 << 16)
                second.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        def fall_silent(while_silent: contextlib.ExitStack) -> None:
            taken.wait()
            while_silent.enter_context(line.silence())
            silent.set()

        with contextlib.closing(channel):
            threading.Thread(target=answer_the_second, daemon=True).start()
            with contextlib.ExitStack() as while_silent:
                threading.Thread(target=fall_silent, args=(while_silent,), daemon=True).start()
                with pytest.raises(DatasiteUnreachable):
                    channel.request("GET", "/")
            assert channel.request("GET", "/").status_code == 204


def test_a_system_is_asked_for_the_signs_of_life_that_it_has() -> None:
    on, idle = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, 16, 3)
    assert signs_of_life(SimpleNamespace(TCP_KEEPALIVE=16)) == [on, idle]  # as macOS names it
    assert signs_of_life(SimpleNamespace()) == [on]
    assert len(signs_of_life(socket)) == 4
