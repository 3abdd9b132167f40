"""Reads of a connection: all that has come, not a record at a time, and nothing is waited for that has not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

import httpcore
import httpx
import pytest

from researcher.hospitals.connections.read_ahead import MOST_BYTES, RECORD_BYTES, ReadAheadBackend
from researcher.hospitals.secure_channel import transport_of

_PIECE = 65536  # what httpcore asks for at once


@contextlib.contextmanager
def _connected() -> Iterator[tuple[httpcore.NetworkStream, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = ReadAheadBackend().connect_tcp("127.0.0.1", server.getsockname()[1])
        with contextlib.closing(stream), server.accept()[0] as other:
            yield stream, other


def _wait_until_come(stream: httpcore.NetworkStream, size: int) -> None:
    sock = stream.get_extra_info("socket")
    sock.settimeout(None)
    assert len(sock.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)) == size


def test_a_read_takes_all_that_has_come_behind_a_full_record() -> None:
    content = bytes(range(256)) * 300
    with _connected() as (stream, other):
        other.sendall(content)
        _wait_until_come(stream, len(content))
        assert stream.read(RECORD_BYTES) == content


@pytest.mark.parametrize("size", [RECORD_BYTES, RECORD_BYTES - 1, 1])
def test_a_read_waits_for_nothing_beyond_the_first_bytes(size: int) -> None:
    with _connected() as (stream, other):
        other.sendall(b"x" * size)
        _wait_until_come(stream, size)
        assert stream.read(RECORD_BYTES) == b"x" * size  # the other side is silent from here on
        other.sendall(b"later")
        assert stream.read(RECORD_BYTES) == b"later"


def test_the_bytes_of_many_reads_are_those_that_were_sent_and_no_read_holds_more_than_said() -> None:
    content = bytes(range(251)) * 40_000
    came = []
    with _connected() as (stream, other):

        def send() -> None:
            other.sendall(content)
            other.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        while piece := stream.read(RECORD_BYTES):
            came.append(piece)
        sending.join()
    assert b"".join(came) == content
    assert max(map(len, came)) <= MOST_BYTES


def test_what_came_before_a_connection_broke_is_returned_first() -> None:
    with _connected() as (stream, other):
        other.sendall(b"x" * (RECORD_BYTES + 5))
        _wait_until_come(stream, RECORD_BYTES + 5)
        assert stream.read(RECORD_BYTES) == b"x" * (RECORD_BYTES + 5)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()  # a reset
        with pytest.raises(httpcore.ReadError):
            stream.read(RECORD_BYTES)


def test_an_answer_of_a_datasite_comes_in_larger_pieces_than_httpcore_asks_for() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        httpx.Client(transport=transport_of(ssl.create_default_context())) as client,
    ):
        body = b"y" * (_PIECE + 10_000)
        sent = client.build_request("GET", f"http://127.0.0.1:{server.getsockname()[1]}/")

        def begin() -> None:
            other, _ = server.accept()
            other.recv(_PIECE)
            other.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode())
            accepted.append(other)

        accepted: list[socket.socket] = []
        serving = threading.Thread(target=begin)
        serving.start()
        answer = client.send(sent, stream=True)
        serving.join()
        with accepted[0] as other:
            other.sendall(body)
            _wait_until_come(answer.extensions["network_stream"], len(body))
            assert next(answer.iter_raw()) == body
            answer.close()


# --- what is sent ---------------------------------------------------------------------------------------------------


def _sends_nothing(other: socket.socket) -> bool:
    other.setblocking(False)
    try:
        return not other.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        other.setblocking(True)


def test_a_small_request_is_sent_whole_once_its_answer_is_read() -> None:
    with _connected() as (stream, other):
        stream.write(b"head, ")
        stream.write(b"body")
        assert _sends_nothing(other)
        other.sendall(b"answer")
        assert stream.read(RECORD_BYTES) == b"answer"
        assert other.recv(RECORD_BYTES) == b"head, body"


@pytest.mark.parametrize("size", [RECORD_BYTES - 6, RECORD_BYTES, 10 * RECORD_BYTES])
def test_what_fills_a_record_is_sent_at_once_behind_what_was_held(size: int) -> None:
    with _connected() as (stream, other):
        stream.write(b"head, ")
        came, sending = bytearray(), threading.Thread(target=stream.write, args=(b"x" * size,))
        sending.start()
        while len(came) < size + 6:
            came += other.recv(RECORD_BYTES)
        sending.join()
        assert bytes(came) == b"head, " + b"x" * size


def test_an_answer_to_a_request_that_did_not_go_out_is_read_all_the_same() -> None:
    with _connected() as (stream, other):
        other.sendall(b"no more of it")
        _wait_until_come(stream, 13)
        stream.get_extra_info("socket").shutdown(socket.SHUT_WR)
        stream.write(b"head")
        assert stream.read(RECORD_BYTES) == b"no more of it"


def test_a_request_with_a_body_reaches_the_other_side_in_one_piece() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        httpx.Client(transport=transport_of(ssl.create_default_context())) as client,
    ):
        came: list[bytes] = []

        def answer() -> None:
            other, _ = server.accept()
            with other:
                came.append(other.recv(_PIECE))
                other.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        sent = client.post(f"http://127.0.0.1:{server.getsockname()[1]}/", content=b"the body")
        answering.join()
        assert sent.status_code == 204 and came[0].endswith(b"\r\n\r\nthe body")
