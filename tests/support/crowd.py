"""Many connections to one datasite at once, most of them of researchers who wait, some of peers who only cost.

Peers of the second kind are slow, malformed, too large, revoked or asking for nothing that exists: each is bounded in
number and time, and none does more than waste what it is given. Run by under_load.py, in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.contracts.signatures import sign
from policies.versions import protocol
from researcher.hospitals.credentials import Credentials
from researcher.hospitals.secure_channel import client_context

POLL_SECONDS = 10
# Most tries of one hostile peer, and its pause between two.
MAX_TRIES, PAUSE_SECONDS = 2000, 0.1
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Member:
    """Who holds connections: credentials, the key that signs requests, and the request to wait for."""

    credentials: Credentials
    seed: bytes
    request_id: str
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = client_context(self.credentials)

    async def connect(self, source: str) -> Streams:
        host, port = self.credentials.url.removeprefix("https://").split(":")
        return await asyncio.open_connection(
            host, int(port), ssl=self.context, server_hostname=host, local_addr=(source, 0)
        )

    def head(self, method: str, path: str, **more: str) -> bytes:
        fields = {**sign(self.seed, method, path), **protocol.of_researcher(), "host": "127.0.0.1", **more}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


@dataclass
class Crowd:
    """All of them, and what became of them."""

    honest: list[Member]
    rude: list[Member]
    revoked: Member
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    held: set[int] = field(default_factory=set)

    # --- researchers ---------------------------------------------------------------------------------------

    async def wait(self, number: int, member: Member) -> None:
        """One connection of a researcher: asks what is new, and waits for it, over and over."""
        reader, writer = await member.connect(f"127.0.1.{1 + number % len(self.honest)}")
        round_path = f"/wanwu/v1/requests/{member.request_id}/rounds/0?seen=0&wait={POLL_SECONDS}"
        with contextlib.closing(writer):
            while True:
                for path, expected in (("/wanwu/v1/info", 200), (round_path, 404)):
                    writer.write(member.head("GET", path))
                    status = await _answered(reader)
                    self.held.add(number)
                    self.counts["researchers' requests answered"] += 1
                    if status != expected:
                        raise RuntimeError(f"a researcher was answered {status} for {path}")

    # --- peers who only cost -------------------------------------------------------------------------------

    async def drip(self, member: Member, begun: bytes) -> None:
        """Begins a request and sends a byte of it a second."""
        reader, writer = await member.connect("127.0.0.2")
        with contextlib.closing(writer):
            writer.write(begun)
            cut = asyncio.ensure_future(reader.read())
            while not cut.done():
                writer.write(b"x")
                await asyncio.wait((cut,), timeout=1)

    async def slow_head(self, member: Member) -> None:
        await self.drip(member, b"GET / HTTP/1.1\r\nx: ")

    async def slow_body(self, member: Member) -> None:
        path = f"/wanwu/v1/blobs/{'ab' * 32}"
        await self.drip(member, member.head("PUT", path, **{"content-length": "1000000"}))

    async def no_tls(self, member: Member) -> None:
        host, port = member.credentials.url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.0.3", 0))
        with contextlib.closing(writer):
            writer.write(random.randbytes(500))
            await reader.read()

    async def turned_away(self, member: Member) -> None:
        reader, writer = await self.revoked.connect("127.0.0.4")
        with contextlib.closing(writer):
            await reader.read()

    async def oversize(self, member: Member) -> None:
        reader, writer = await member.connect("127.0.0.5")
        with contextlib.closing(writer):
            writer.write(member.head("POST", "/api/v2/api_call", **{"content-length": str(1 << 22)}))
            writer.write(bytes(1 << 20))
            await reader.read()

    async def nowhere(self, member: Member) -> None:
        reader, writer = await member.connect("127.0.0.6")
        with contextlib.closing(writer):
            for _ in range(1000):
                writer.write(member.head("GET", "/nothing"))
                self.counts[f"nowhere: {await _answered(reader)}"] += 1

    async def again(self, number: int, peer: Callable[[Member], Awaitable[None]]) -> None:
        """One hostile peer, again and again."""
        for _ in range(MAX_TRIES):
            try:
                await peer(self.rude[number % len(self.rude)])
                self.counts[f"{peer.__name__}: closed"] += 1
            except (OSError, EOFError) as error:
                self.counts[f"{peer.__name__}: {type(error).__name__}"] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def gather(self, connections: int, hostile: int, seconds: float) -> None:
        """Holds all of them for so long; says `holding` once the researchers' are there."""
        kinds = (self.slow_head, self.slow_body, self.no_tls, self.turned_away, self.oversize, self.nowhere)
        tasks = [asyncio.create_task(self.again(n, kinds[n % len(kinds)])) for n in range(hostile)]
        for number in range(connections):
            tasks.append(asyncio.create_task(self.wait(number, self.honest[number % len(self.honest)])))
            await asyncio.sleep(0.05)
        while len(self.held) < connections:
            await asyncio.sleep(0.1)
            _raise_of(tasks)
        print("holding", flush=True)
        await asyncio.sleep(seconds)
        _raise_of(tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _raise_of(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and (error := task.exception()):
            raise error


async def _answered(reader: asyncio.StreamReader) -> int:
    """Reads one answer; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0]))
    return int(head[9:12])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("members", type=Path, help="JSON: who there is, as under_load.py writes it")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--hostile", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    given = json.loads(options.members.read_text())

    def member(values: dict[str, Any]) -> Member:
        return Member(Credentials(**values["credentials"]), bytes.fromhex(values["seed"]), values["request_id"])

    crowd = Crowd(
        [member(one) for one in given["honest"]], [member(one) for one in given["rude"]], member(given["revoked"])
    )
    asyncio.run(crowd.gather(options.connections, options.hostile, options.seconds))
    print(json.dumps(crowd.counts), flush=True)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
