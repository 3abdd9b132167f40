"""PySyft's deserialiser on the researcher's side, cut down to the types that a datasite's answer may hold.

The list holds for the whole process from the first connection on, and for every server that it talks to.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from syft.serde import recursive, recursive_primitives
from syft.types.syft_object_registry import SyftObjectRegistry

from policies.contracts.admitted_types import Admitted, Bounded, Parser

# What a datasite answers to the platform's own client: its calls, its datasets and mocks, results, refusals.
ANSWERS = Admitted.of(
    built="""
        APIEndpoint ActionDataEmpty AnyActionObject Asset Contributor Dataset DateTime LinkedObject
        MarkdownDescription NOTIFIERS Request ServerMetadata ServerType ServiceRole SignedSyftAPICall SyftAPI
        SyftAPIData SyftError SyftSigningKey SyftSuccess SyftVerifyKey TwinMode UID UserCodeStatus
        UserCodeStatusChange UserPrivateKey UserView dicttuple inspect_Parameter inspect_ParameterKind
        inspect_Signature nacl_signing_key nacl_verify_key numpy_ndarray type
    """,
    named="""
        ActionDataEmpty AnyActionObject UserCode:2 UserCodeService UserCodeStatusCollection:2 UserCodeStatusService
        inspect_empty
    """,
)
# PySyft's parser is functions of its modules, one for the process: replacing them there is the only way in.
_parser: Parser | None = None
_installing = threading.Lock()


def install() -> None:
    """Puts the list between PySyft's parser and whatever it is given, once in a process.

    Raises from then on, where an answer holds anything else:
        MessageRefused: It is not built.
    """
    global _parser
    with _installing:
        if _parser is not None:
            return
        _parser = Parser(
            ANSWERS,
            read=Bounded(recursive.recursive_scheme).from_bytes,
            build=recursive.rs_proto2object,
            declared=_declared,
        )
        recursive.rs_bytes2object, recursive.rs_proto2object = _parser.from_bytes, _parser.from_message
        recursive_primitives.iterable_schema = Bounded(recursive_primitives.iterable_schema)
        recursive_primitives.kv_iterable_schema = Bounded(recursive_primitives.kv_iterable_schema)


def _declared(name: str) -> Collection[str] | None:
    nonrecursive, _, _, fields, *_ = SyftObjectRegistry.get_serde_properties(name, 1)
    return None if nonrecursive else fields or ()
