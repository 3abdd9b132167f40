"""PySyft's client over the researcher's own TLS: the calls are PySyft's, every byte goes through the secure channel.

PySyft's connection forgets the port of an https address when it copies it, and posts calls without its session, so
without certificate and trust. This one hands every request to the channel and knows no other way out.
"""

from __future__ import annotations

import urllib.parse
from typing import Any, NoReturn

from syft.client.api import SyftAPICall, debox_signed_syftapicall_response
from syft.client.client import HTTPConnection, SyftClientSessionCache
from syft.client.datasite_client import DatasiteClient
from syft.protocol.data_protocol import get_data_protocol
from syft.serde.deserialize import _deserialize
from syft.serde.serialize import _serialize
from syft.server.credentials import SyftSigningKey, SyftVerifyKey
from syft.service.policy.policy import ServerIdentity
from syft.service.response import SyftError
from syft.types.errors import SyftException
from syft.types.server_url import ServerURL
from syft.types.uid import UID

from policies.errors import FederationError
from researcher.hospitals import deserialiser
from researcher.hospitals.connections.answered_errors import answered_error
from researcher.hospitals.secure_channel import SecureChannel

_MOST_BYTES = 2 << 30  # of one answer: a dataset's mock is the largest


class SecureConnection(HTTPConnection):
    """PySyft's connection to one datasite."""

    channel: Any = None

    @classmethod
    def over(cls, channel: SecureChannel) -> SecureConnection:
        """The connection over a channel."""
        split = urllib.parse.urlsplit(channel.url)
        url = ServerURL("https", port=split.port)
        url.host_or_ip = split.netloc.rpartition(":")[0]  # given with the rest, PySyft takes IPv6's colons for a port's
        return cls(url=url, channel=channel)

    def get_cache_key(self) -> str:
        """The datasite's address, with its port."""
        return str(self.channel.url)

    def make_call(self, signed_call: Any) -> Any:
        """Sends one signed call and returns its answer."""
        path = self.routes.ROUTE_API_CALL.value
        return _deserialize(self._ask("POST", path, content=_serialize(signed_call, to_bytes=True)), from_bytes=True)

    def _make_get(self, path: str, params: dict[str, Any] | None = None, stream: bool = False) -> bytes:
        return self._ask("GET", path, params=params)

    def _make_post(self, path: str, json: dict[str, Any] | None = None, data: bytes | None = None) -> bytes:
        return self._ask("POST", path, json=json, content=data)

    def _make_put(self, path: str, data: Any, stream: bool = False) -> NoReturn:
        raise FederationError("PySyft carries no bytes here; weights go through the datasite's own routes.")

    def stream_data(self, credentials: Any) -> NoReturn:
        """Refused."""
        raise FederationError("PySyft carries no bytes here; weights go through the datasite's own routes.")

    def _ask(self, method: str, path: str, **sent: Any) -> bytes:
        answer = self.channel.request(method, path, most=_MOST_BYTES, **sent)
        if answer.status_code != 200:
            raise answered_error(answer)
        return answer.content


class SignedCalls:
    """PySyft's calls by one account, each signed and sent for itself.

    PySyft's own client fetches a description of every service before its first call and after each request; that is
    half a second of processor time on either side. The calls that the platform makes are known, and need none of it.
    """

    def __init__(self, connection: Any, key: SyftSigningKey) -> None:
        """Asks the datasite which protocol it speaks.

        Args:
            connection: PySyft's to the datasite.
            key: The account's.

        Raises:
            FederationError: It speaks none that the installed PySyft does.
            WanwuError: What the connection or the datasite refuses it with.
        """
        self._connection, self._key = connection, key
        self._server = connection.get_server_metadata(key)
        common = {*get_data_protocol().supported_protocols} & {*self._server.supported_protocols}
        if not common:
            raise FederationError("The datasite's PySyft and the one here have no protocol in common.")
        self._protocol = "dev" if "dev" in common else max(common)

    @property
    def identity(self) -> ServerIdentity:
        """The datasite, as PySyft's policies name it."""
        key = SyftVerifyKey.from_string(self._server.verify_key)
        return ServerIdentity(server_name=self._server.name, server_id=UID(self._server.id), verify_key=key)

    def make(self, path: str, **arguments: Any) -> Any:
        """What the datasite answers.

        Args:
            path: Of the service and its method, such as `code.call`.
            arguments: By name.

        Raises:
            SyftException: What PySyft refuses the call with.
            WanwuError: What the channel or the datasite refuses it with.
        """
        message = SyftAPICall(
            server_uid=UID(self._server.id),
            path=path,
            args=[],
            kwargs={**arguments, "communication_protocol": self._protocol},
            blocking=True,
        )
        result = debox_signed_syftapicall_response(self._connection.make_call(message.sign(self._key))).unwrap()
        if isinstance(result, SyftError):
            raise SyftException(public_message=result.message)
        return result


def open_calls(channel: SecureChannel, seed: bytes) -> SignedCalls:
    """The calls of the account with this ed25519 seed.

    Raises:
        FederationError, WanwuError: As `SignedCalls`.
    """
    deserialiser.install()
    return SignedCalls(SecureConnection.over(channel), SyftSigningKey.from_string(seed.hex()))


def open_client(channel: SecureChannel, seed: bytes) -> Any:
    """A PySyft client of the account with this ed25519 seed.

    Raises:
        WanwuError: What the channel or the datasite refuses it with.
    """
    deserialiser.install()
    connection = SecureConnection.over(channel)
    key = SyftSigningKey.from_string(seed.hex())
    client = DatasiteClient(connection=connection, metadata=connection.get_server_metadata(None), credentials=key)
    SyftClientSessionCache.add_client_by_uid_and_verify_key(
        verify_key=key.verify_key, server_uid=client.id, syft_client=client
    )
    client._fetch_api(key)
    return client
