"""The least that moving a round's bytes can take: to as many processes and back over mutual TLS, and nothing else."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PIECE_BYTES = 1 << 20
_MB = 1_000_000


def measure(megabytes: int, *, datasites: int, rounds: int) -> dict[str, Any]:
    """A row for the result: so many megabytes to each of `datasites` processes and back, all at once."""
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "both.pem"
        _write_certificate(pem)
        started = [_start(pem, megabytes) for _ in range(datasites)]
        try:
            ports = [int(one.stdout.readline()) for one in started if one.stdout]
            payload = os.urandom(megabytes * _MB)
            _one_round(pem, ports, payload)
            begun = time.process_time()
            seconds = [_one_round(pem, ports, payload) for _ in range(rounds)]
            own_seconds = (time.process_time() - begun) / rounds
        finally:
            for one in started:
                one.kill()
                one.communicate()
    return {
        "system": "bare mTLS",
        "payload_mb": megabytes,
        "encoding": "none",
        "datasites": datasites,
        "seconds_per_round": round(statistics.median(seconds), 3),
        "spread": [round(min(seconds), 3), round(max(seconds), 3)],
        "rounds": rounds,
        "researcher_processor_seconds": round(own_seconds, 3),
        "bytes_per_round": 2 * len(payload) * datasites,
    }


def serve(pem: Path, size: int) -> None:
    """Takes so many bytes and gives them back, one connection after the other; prints its port first."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, pem)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        content = bytearray(size)
        while True:
            with context.wrap_socket(listening.accept()[0], server_side=True) as connection:
                _read(connection, memoryview(content))
                connection.sendall(content)


def _one_round(pem: Path, ports: list[int], payload: bytes) -> float:
    begun = time.monotonic()
    with ThreadPoolExecutor(len(ports)) as pool:
        list(pool.map(lambda port: _exchange(pem, port, payload), ports))
    return time.monotonic() - begun


def _exchange(pem: Path, port: int, payload: bytes) -> None:
    came = bytearray(len(payload))
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        _context(ssl.PROTOCOL_TLS_CLIENT, pem).wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(payload)
        _read(connection, memoryview(came))
    if came != payload:
        raise ValueError("Other bytes came back.")


def _read(connection: ssl.SSLSocket, room: memoryview) -> None:
    done = 0
    while done < len(room):
        count = connection.recv_into(room[done : done + _PIECE_BYTES])
        if not count:
            raise ConnectionError("The other side has ended the connection.")
        done += count


def _context(kind: int, pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(pem)
    context.load_verify_locations(pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _write_certificate(pem: Path) -> None:
    """One certificate, its own authority, for both sides."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(encoding))


def _start(pem: Path, megabytes: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, str(pem), str(megabytes * _MB)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
