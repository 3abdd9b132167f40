"""The researcher's TLS to one datasite: shows the researcher's certificate, and takes no other hospital's for this one.

Both ways to the datasite, PySyft's calls and its own routes, share these connections and keep them open between calls.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import httpcore

from policies.errors import (
    CertificateRefused,
    ConfigError,
    DatasiteNotTrusted,
    DatasiteUnreachable,
    FederationError,
    WanwuError,
)
from policies.versions import protocol
from policies.versions.releases import Release
from researcher.hospitals.connections import broken_answer
from researcher.hospitals.connections.answer_head import watch
from researcher.hospitals.connections.no_connection import causes_of, proxy_note, why_unreachable
from researcher.hospitals.connections.read_ahead import ReadAheadBackend
from researcher.hospitals.credentials import Credentials

# httpx without its command line, which prints with rich and pygments: a quarter of what the import takes. httpx leaves
# it out by itself where what it needs is not installed; here httpx is told that it is not there.
_COMMAND_LINE = "httpx._main"
_hidden = _COMMAND_LINE not in sys.modules
if _hidden:
    sys.modules[_COMMAND_LINE] = None  # type: ignore[assignment]
try:
    import httpx
finally:
    if _hidden:
        del sys.modules[_COMMAND_LINE]

# Below the datasite's own, so that no request meets a connection that is just being closed.
_KEEP_ALIVE_SECONDS = 30.0
# Within these a line that lost everything is noticed, and one that is back is found: TCP's own signs of life, which a
# datasite's system gives however busy its process is; and a connection that is not there in time is tried anew.
_CONNECT_SECONDS = 5.0
_SIGNS_OF_LIFE = {"TCP_KEEPIDLE": 3, "TCP_KEEPALIVE": 3, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}
_NOT_NOW = {9: "is not valid yet", 10: "has expired"}  # OpenSSL's codes, of a certificate that is right otherwise
_RENEWED = "Nothing was sent. Ask it to start again, which renews it, and compare this machine's clock with its own."
MOST_BYTES = 64 << 20
"""Of one answer that is read whole: more than the longest receipt takes as JSON."""


class SecureChannel:
    """Open connections to one datasite, for one researcher.

    Guarantees:
        Nothing is sent before the other side has shown a certificate of the hospital's authority for its address.
    """

    _credentials: Credentials | None = None

    def __init__(self, credentials: Credentials, *, timeout_seconds: float = 60.0) -> None:
        """Prepares the channel; nothing is sent yet.

        Raises:
            CertificateRefused: The certificate has expired by this machine's clock.
            ConfigError: The credentials hold no usable certificate.
        """
        credentials.check_time()
        self._credentials = credentials
        self.datasite, self.url = credentials.datasite, credentials.url.rstrip("/")
        self.release: Release | None = None
        """The datasite's, as the last answer that told it did."""
        self.http = httpx.Client(
            base_url=self.url,
            transport=transport_of(client_context(credentials)),
            headers={"accept-encoding": "identity", **protocol.of_researcher()},
            timeout=_timeout(timeout_seconds),
            trust_env=False,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        json: Any = None,
        most: int = MOST_BYTES,
        timeout_seconds: float | None = None,
    ) -> httpx.Response:
        """One request and its whole answer, whatever its status.

        Args:
            method: Of HTTP.
            path: With its query.
            headers: Besides the channel's own.
            params: Of a query that is not in the path.
            content: The body, or
            json: what it is as JSON.
            most: Bytes of the answer.
            timeout_seconds: Between two pieces of bytes; the channel's if None.

        Raises:
            FederationError: The answer has more than `most` bytes, or its head more than a head may have, or its body
                comes too slowly.
            DatasiteNotTrusted: What answers there is not the hospital.
            DatasiteUnreachable: Nothing answers, its certificate is not valid now, or the connection is closed before
                the answer, which is all that someone learns whose certificate is not of this hospital's authority.
        """
        timeout = self.http.timeout if timeout_seconds is None else _timeout(timeout_seconds)
        with self.stream(
            method, path, headers=headers, params=params, content=content, json=json, timeout=timeout
        ) as answer:
            return whole(answer, most)

    @contextlib.contextmanager
    def stream(self, method: str, path: str, **sent: Any) -> Iterator[httpx.Response]:
        """As `request`, with the answer's body still to be read.

        Raises:
            FederationError: The body is packed, which nobody asked for: a few bytes of it may be many.
            VersionMismatch: The datasite tells a release or a protocol that this side does not work with.
        """
        with self.explained(), self.http.stream(method, path, **sent) as answer:
            if protocol.RELEASE in answer.headers:
                self.release = protocol.check_datasite(protocol.read(answer.headers), self.datasite)
            if "content-encoding" in answer.headers:
                raise FederationError(f"{self.url} sent a packed answer, which nobody asked for. Ask the hospital.")
            yield answer

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Raises what goes wrong in the transport as the error that a researcher can act on."""
        try:
            yield
        except (httpx.TransportError, ssl.SSLError) as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> WanwuError:
        who = f"Datasite '{self.datasite}' at {self.url}"
        for cause in causes_of(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                if (why := _NOT_NOW.get(cause.verify_code)) is not None:
                    return DatasiteUnreachable(f"{who} has a certificate that {why}. {_RENEWED}")
                return DatasiteNotTrusted(
                    f"What answers at {self.url} is not the datasite '{self.datasite}' of your credentials: "
                    f"{cause.verify_message}. Nothing was sent. Ask the hospital about its address and certificate."
                )
        if isinstance(error, httpx.RemoteProtocolError) and broken_answer.is_broken(error):
            return broken_answer.told_of(error, who)
        if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
            try:
                if self._credentials is not None:
                    self._credentials.check_time()
            except CertificateRefused as expired:  # which the handshake refuses without a word
                return expired
            return DatasiteUnreachable(
                f"{who} closed the connection. Either it is just stopping or revoking, or it does not take your "
                "certificate: then ask the hospital for a new credentials file."
            )
        why = why_unreachable(error, timed_out=isinstance(error, httpx.TimeoutException))
        return DatasiteUnreachable(f"{who} cannot be reached: {why}{proxy_note()}")


def _timeout(seconds: float) -> httpx.Timeout:
    """Between two pieces of bytes; a connection that is not there soon is tried anew."""
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def signs_of_life(system: object) -> list[tuple[int, int, int]]:
    """The options of a socket by which its system looks for the other side's, of those that this system has.

    Args:
        system: The module `socket`; on macOS the first of them has another name than on Linux and Windows.
    """
    had = [(getattr(system, name), value) for name, value in _SIGNS_OF_LIFE.items() if hasattr(system, name)]
    return [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *((socket.IPPROTO_TCP, name, value) for name, value in had)]


class _WatchedTransport(httpx.HTTPTransport):
    """Connections on which every answer's head is within its limits, and its body comes forward."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        watch(request)
        return super().handle_request(request)


def transport_of(context: ssl.SSLContext) -> httpx.HTTPTransport:
    """Connections that are kept open, and end where nothing of the other side's system comes through any more.

    An answer whose head goes over its limits (`answer_head`), or whose body comes too slowly (`answer_body`), raises
    `FederationError`.
    """
    transport = _WatchedTransport(verify=context, trust_env=False)
    transport._pool = httpcore.ConnectionPool(  # httpx has no way to name the backend
        ssl_context=context,
        max_connections=16,
        keepalive_expiry=_KEEP_ALIVE_SECONDS,
        socket_options=signs_of_life(socket),
        network_backend=ReadAheadBackend(),
    )
    return transport


def whole(answer: httpx.Response, most: int = MOST_BYTES) -> httpx.Response:
    """An answer with its whole body.

    Raises:
        FederationError: It has more than `most` bytes.
    """
    came = bytearray()
    for chunk in answer.iter_bytes():
        came += chunk
        if len(came) > most:
            raise FederationError(f"{answer.url.host} sent more than {most} bytes for one answer. Ask the hospital.")
    return httpx.Response(answer.status_code, content=bytes(came), request=answer.request, extensions=answer.extensions)


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """TLS 1.3 that trusts the credentials' authority alone, checks the datasite's name, and shows their certificate.

    Raises:
        ConfigError: Certificate, key or authority cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=credentials.authority)
        with _in_memory(credentials.certificate + credentials.key) as file:
            context.load_cert_chain(file)
    except OSError as error:
        if not isinstance(error, ssl.SSLError):  # this machine's matter: too many files are open, or none may be made
            raise ConfigError(f"TLS to '{credentials.datasite}' cannot be prepared here: {error.strerror}.") from error
        raise _unusable(credentials) from error
    except ValueError as error:
        raise _unusable(credentials) from error
    return context


def _unusable(credentials: Credentials) -> ConfigError:
    return ConfigError(
        f"The certificate in the credentials for '{credentials.datasite}' cannot be used. Ask the hospital for the "
        "file again."
    )


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """The path of a file that is never on a disk: OpenSSL reads keys from paths only."""
    descriptor = os.memfd_create("credentials")
    try:
        with os.fdopen(os.dup(descriptor), "w") as stream:
            stream.write(text)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
