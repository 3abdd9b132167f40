"""The protocol of release 0.2 as its researcher's side spoke it, written down apart from the platform.

What is made anew when recorded traffic is replayed is made here: signatures, and PySyft's call of a submission. Today's
code has to take both. Of the platform nothing is imported.
"""

from __future__ import annotations

import hashlib
import inspect
import secrets
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def signed(seed: bytes, method: str, path: str, body_sha256: str) -> dict[str, str]:
    """The headers that signed a request.

    Args:
        seed: Of the account's key, 32 bytes.
        method: Of HTTP, in capitals.
        path: With its query.
        body_sha256: SHA-256 of the body, or of the blob that the body is the rest of; hexadecimal.
    """
    key = Ed25519PrivateKey.from_private_bytes(seed)
    stamp, nonce = f"{time.time():.3f}", secrets.token_hex(16)
    message = "\n".join(("wanwu-v1", method, path, stamp, nonce, body_sha256)).encode()
    return {
        "x-wanwu-key": key.public_key().public_bytes_raw().hex(),
        "x-wanwu-time": stamp,
        "x-wanwu-nonce": nonce,
        "x-wanwu-body-sha256": body_sha256,
        "x-wanwu-signature": key.sign(message).hex(),
    }


def submission(call: dict[str, Any], seed: bytes, metadata: dict[str, Any]) -> bytes:
    """The bytes of PySyft's call that submitted code.

    Args:
        call: What it held, as it was recorded, with the asset of the datasite that is asked now.
        seed: Of the account's key.
        metadata: What the datasite answers at PySyft's own route for it.
    """
    import syft as sy
    from syft.client.api import SyftAPICall
    from syft.serde.serialize import _serialize
    from syft.server.credentials import SyftSigningKey, SyftVerifyKey
    from syft.service.code.user_code import SubmitUserCode
    from syft.service.policy.policy import (
        Matches,
        MixedInputPolicy,
        ServerIdentity,
        SingleExecutionExactOutput,
        UserOwned,
    )
    from syft.types.uid import UID

    server = ServerIdentity(
        server_name=metadata["name"],
        server_id=UID(metadata["id"]),
        verify_key=SyftVerifyKey.from_string(metadata["verify_key"]),
    )
    rules = {
        "asset": Matches(kw="asset", val=UID(call["asset"])),
        "plan": sy.Constant(val=call["plan"]).to_policy_rule("plan"),
        "ticket": UserOwned(kw="ticket", type=str),
    }
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    code = SubmitUserCode(
        code=call["code"],
        func_name=call["function"],
        signature=inspect.Signature([inspect.Parameter(name, kind) for name in call["arguments"]]),
        input_policy_type=MixedInputPolicy,
        input_policy_init_kwargs={server: rules},
        output_policy_type=SingleExecutionExactOutput,
        output_policy_init_kwargs={},
        input_kwargs=call["arguments"],
    )
    message = SyftAPICall(
        server_uid=UID(metadata["id"]),
        path=call["path"],
        args=[],
        kwargs={"code": code, "communication_protocol": max(metadata["supported_protocols"], key=_newest)},
        blocking=True,
    )
    made = message.sign(SyftSigningKey.from_string(seed.hex()))
    return bytes(_serialize(made, to_bytes=True))


def submitted(content: bytes) -> tuple[str, str]:
    """The identifiers of the request and of its code in what a datasite answered to a submission."""
    from syft.client.api import debox_signed_syftapicall_response
    from syft.serde.deserialize import _deserialize

    answer = debox_signed_syftapicall_response(_deserialize(content, from_bytes=True)).unwrap()
    request = getattr(answer, "value", answer)
    return str(request.id), str(request.changes[0].linked_user_code.object_uid)


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _newest(protocol: str | int) -> float:
    return float("inf") if protocol == "dev" else float(protocol)
