"""A Ray cluster for a simulation: this machine's cores, or one that is running. It is given the researcher's data only.

A cluster that is started here listens on the loopback interface alone, takes no order without a token that this process
drew, tells nobody of its use, shows no dashboard, and ends with this process. What it writes goes with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from policies.errors import ConfigError
from researcher.stops import catch_stops

LOOPBACK = "127.0.0.1"
_PROJECT = Path(__file__).resolve().parents[3]
_LONGEST_FOLDER = 22  # Ray's sockets lie in it, and the name of a socket has at most 107 characters
_LEAST_STORE_BYTES = 100_000_000
# Ray reads some when it is imported, others when it starts. With clusters off, its address is the loopback one.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_metrics_collection": "0",
}
_LOCAL = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_worker_niceness": "0",
    # A busy machine starts processes slowly.
    "RAY_NUM_REDIS_GET_RETRIES": "120",
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "600000",
    "RAY_worker_register_timeout_seconds": "600",
}
# Ray asks a cluster that does not answer 20 times for 45 seconds before it says so.
_JOINED = {"RAY_NUM_REDIS_GET_RETRIES": "1"}
_MOST_STARTS = 3
_NODE_SECONDS, _NODE_LOOKS_APART = 10.0, 0.02  # how long, before Ray asks in its own way


def import_ray() -> Any:
    """Ray, if it is installed.

    Raises:
        ConfigError: It is not; with what to install.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "A simulation on several cores needs Ray, which is not installed. Install it with 'make simulation', or "
            "'pip install --no-deps -r researcher/simulation/requirements.txt'; or train one hospital after the other "
            "without it: --in_process."
        ) from error
    return ray


@contextlib.contextmanager
def ray_cluster(address: str, *, workers: int | None, store_bytes: int) -> Iterator[tuple[Any, int]]:
    """Ray, connected to a cluster for the length of a `with` block, and how many workers it has room for.

    Args:
        address: Of a running cluster, `auto`, or empty to start one here.
        workers: How many at most; None for one on each core.
        store_bytes: That a cluster's store here must hold.

    Raises:
        ConfigError: Ray is not installed, is in use in this process, or does not start or answer.
    """
    more = _JOINED if address else {**_LOCAL, "RAY_AUTH_TOKEN": _token(), **_search_path()}
    with _environment({**_QUIET, **more}):
        was_imported = "ray" in sys.modules
        ray = import_ray()
        if ray.is_initialized():
            raise ConfigError("Ray is in use in this process already. End that first: ray.shutdown().")
        with contextlib.ExitStack() as stack:
            stack.callback(ray.shutdown)
            if address:
                _connect(ray, address)
            else:
                _start(ray, workers or len(os.sched_getaffinity(0)), store_bytes, stack)
                _check_loopback(ray, was_imported=was_imported)
            catch_stops()
            cores = int(ray.cluster_resources().get("CPU", 0))
            if cores < 1:
                raise ConfigError("The Ray cluster has no core to offer. Give one that has.")
            yield ray, min(cores, workers or cores)


def _connect(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"No Ray cluster answers at {address!r} ({error}). Start one as Ray's manual says, or leave out "
            "--ray_address."
        ) from error


def _start(ray: Any, cores: int, store_bytes: int, stack: contextlib.ExitStack) -> None:
    """Starts a cluster here. Its own waits are short, so a start that a busy machine did not make is tried again."""
    own = tempfile.gettempdir()
    for left in reversed(range(_MOST_STARTS)):
        folder = tempfile.mkdtemp(prefix="wanwu-", dir=own if len(own) <= _LONGEST_FOLDER else "/tmp")  # noqa: S108 - 0700
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(ray.shutdown)  # before its folder goes
        try:
            with _without_idle_parts():
                ray.init(
                    address="local",
                    num_cpus=cores,
                    num_gpus=0,
                    include_dashboard=False,
                    object_store_memory=max(store_bytes, _LEAST_STORE_BYTES),
                    log_to_driver=False,
                    logging_level="ERROR",
                    _node_ip_address=LOOPBACK,
                    _temp_dir=f"{folder}/r",  # Ray opens its own folder to everybody, but not the one around it
                )
            return
        except Exception as error:  # Ray raises a bare one where time ran out
            ray.shutdown()
            if not left:
                raise ConfigError(
                    f"Ray does not start on this machine ({error}). It gives up where a machine is too busy: run the "
                    "command again when it is less so, or do without Ray: --in_process."
                ) from error


def _check_loopback(ray: Any, *, was_imported: bool) -> None:
    """Ends a cluster that others on the network could reach."""
    found = ray.util.get_node_ip_address()
    if found != LOOPBACK:
        why = " as it was imported before; restart this process and begin with the simulation" if was_imported else ""
        raise ConfigError(f"Ray would listen at {found}, not on the loopback interface alone{why}. It was ended.")


@contextlib.contextmanager
def _without_idle_parts() -> Iterator[None]:
    """Has a cluster start without what a simulation on one machine has no use for: a fifth of a gigabyte, and seconds.

    They scale clusters up, pass on what workers print, and serve a dashboard that is switched off. Ray takes the
    dashboard's packages for missing, and asks whether its node is there until it is, not once a second.
    """
    from ray._private import services, utils
    from ray._private.node import Node

    idle = ("start_monitor", "start_log_monitor", "start_api_server")
    with contextlib.ExitStack() as stack:
        for name in idle:
            stack.enter_context(_replaced(Node, name, lambda self, **settings: None))
        missing = ImportError("The dashboard is switched off.")
        stack.enter_context(_replaced(utils, "get_dashboard_dependency_error", lambda: missing))
        stack.enter_context(_replaced(services, "get_node", functools.partial(_node_once_there, services.get_node)))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, by: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _node_once_there(get_node: Callable[[str, str], Any], gcs_address: str, node_id: str) -> Any:
    """As Ray's `get_node`, which looks once a second."""
    from ray._private.services import _get_gcs_client_options
    from ray._private.state import GlobalState

    state = GlobalState()
    state._initialize_global_state(_get_gcs_client_options(gcs_address))
    end = time.monotonic() + _NODE_SECONDS
    while time.monotonic() < end and not any(node["NodeID"] == node_id for node in state.node_table()):
        time.sleep(_NODE_LOOKS_APART)
    return get_node(gcs_address, node_id)


@functools.cache
def _token() -> str:
    """Drawn once: Ray reads it once in a process."""
    return secrets.token_hex(32)


def _search_path() -> dict[str, str]:
    """Where the workers find this project."""
    found = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([str(_PROJECT), *filter(None, [found])])}


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
