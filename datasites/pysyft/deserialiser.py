"""PySyft's deserialiser in the datasite, cut down to the types that a call, or the datasite's own store, may hold.

Nothing else that a researcher sends is built, whoever signed it. Install it before PySyft serves its first call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from syft.serde import recursive, recursive_primitives
from syft.server import routes
from syft.types.syft_object_registry import SyftObjectRegistry

from policies.contracts.admitted_types import Admitted, Bounded, Parser
from policies.errors import MessageRefused, WanwuError

# What the platform's own client sends: signed calls, code requests that pin an asset, a plan and a ticket.
CALLS = Admitted.of(
    built="""
        AnyActionObject DateTime Matches MixedInputPolicy PreFill ServerIdentity SignedSyftAPICall SubmitUserCode
        SyftAPICall SyftVerifyKey TwinMode UID UserOwned inspect_Parameter inspect_ParameterKind inspect_Signature
        nacl_verify_key type
    """,
    named="MixedInputPolicy OutputPolicyExecuteOnce dict inspect_empty str",
)
# What PySyft keeps in its own database and reads again while it serves a call.
STORED = Admitted.of(
    built="""
        AnyActionObject ApprovalDecision Asset Contributor DateTime HTMLObject Matches MixedInputPolicy NOTIFIERS
        OutputPolicyExecuteOnce PreFill ServerIdentity SyftVerifyKey TwinMode UID UserCodeStatus UserOwned
        inspect_Parameter inspect_ParameterKind inspect_Signature nacl_verify_key numpy_ndarray type
    """,
    named="""
        EmailNotifier MixedInputPolicy OutputPolicyExecuteOnce Request RequestEmailTemplate RequestService
        RequestUpdateEmailTemplate UserCode:2 UserCodeService UserCodeStatusCollection:2 UserCodeStatusService
        dict inspect_empty str
    """,
)
# PySyft's parser is functions of its modules, one for the process: replacing them there is the only way in.
_parser: Parser | None = None


def install() -> None:
    """Puts the lists between PySyft's parser and whatever it is given, once in a process."""
    global _parser
    if _parser is not None:
        return
    _parser = Parser(
        STORED, read=Bounded(recursive.recursive_scheme).from_bytes, build=recursive.rs_proto2object, declared=_declared
    )
    recursive.rs_bytes2object, recursive.rs_proto2object = _parser.from_bytes, _parser.from_message
    recursive_primitives.iterable_schema = Bounded(recursive_primitives.iterable_schema)
    recursive_primitives.kv_iterable_schema = Bounded(recursive_primitives.kv_iterable_schema)
    routes.deserialize = parse_call


def parse_call(blob: bytes, from_bytes: bool = True) -> Any:
    """What a researcher's call carries.

    Guarantees:
        Builds only what `CALLS` admits.

    Raises:
        MessageRefused: It holds something else, or cannot be read.
    """
    if _parser is None:
        raise MessageRefused("The datasite is not ready to read calls. Try again in a moment.")
    with _parser.only(CALLS):
        try:
            return _parser.from_bytes(blob)
        except WanwuError:
            raise
        except Exception as error:  # whatever the parser stumbled over is a message that cannot be read
            raise MessageRefused("The message cannot be read as a call.", private=repr(error)) from error


@contextmanager
def own_values() -> Iterator[None]:
    """Inside, in this thread, PySyft parses what the hospital's own process has just made, of any type."""
    if _parser is None:
        yield
        return
    with _parser.only(None):
        yield


def _declared(name: str) -> Collection[str] | None:
    nonrecursive, _, _, fields, *_ = SyftObjectRegistry.get_serde_properties(name, 1)
    return None if nonrecursive else fields or ()
