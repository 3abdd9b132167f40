"""One running datasite: PySyft's server, its own routes, the admin API and the run queue, in one process.

Two ports: researchers' (PySyft's routes, cut down, and the datasite's own), and the console's on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from datasites import identity as identities
from datasites.approvals import Approvals, Decision
from datasites.assets.store import open_store
from datasites.audit import AuditLog
from datasites.calculator import Calculator
from datasites.config import DatasiteConfig
from datasites.hospital_limits import HospitalLimits
from datasites.http_errors import add_error_handlers
from datasites.identity import StateFolder, write_private
from datasites.runs import entry
from datasites.runs.admission import Admission
from datasites.runs.blobs import BlobStore
from datasites.runs.queue import Run, RunQueue
from datasites.runs.supervisor import ApprovedRun, Supervisor
from policies.errors import ConfigError, RequestDenied, RequestPending
from policies.ledger import Ledger

log = logging.getLogger(__name__)

SYFT_PREFIX = "/api/v2"
# Of PySyft's routes, those that a researcher's client needs. The others do not exist here.
SYFT_ROUTES = frozenset({"/metadata", "/api", "/api_call", "/login"})
MAX_CALL_BYTES = 1 << 20


class RunningDatasite:
    """A datasite's parts, put together. Construct it, then `serve`."""

    def __init__(self, state: StateFolder, config: DatasiteConfig) -> None:
        self.state, self.config = state, config
        self.identity = identities.load_or_create(state)
        self.audit = AuditLog(state.audit)
        self.limits = HospitalLimits(state, config, self.audit)
        self.calculator = Calculator()
        self.ledger = Ledger(state.ledger, epsilon=self.calculator.epsilon_spent)
        self.approvals = Approvals(state.approvals)
        self.queue = RunQueue(state.runs)
        self.blobs = BlobStore(state.blobs, max_bytes=config.max_update_bytes)
        self.supervisor = Supervisor(
            queue=self.queue,
            blobs=self.blobs,
            ledger=self.ledger,
            audit=self.audit,
            approved=self._approved_run,
            scratch=state.scratch,
            logs=state.logs,
            max_update_bytes=config.max_update_bytes,
            concurrent_runs=config.concurrent_runs,
            threads_per_run=config.threads_per_run,
        )
        self.app, self.console_app = self._build()

    def _build(self) -> tuple[FastAPI, FastAPI]:
        """Starts PySyft and builds both apps. PySyft reads its environment when imported."""
        os.environ.update(identities.environment(self.state, self.identity))
        with _without_torch():
            from datasites.guard import GuardedDatasite, current_call
        from datasites import wire
        from datasites.accounts import Accounts
        from datasites.assets.publish import publish
        from datasites.console.app import Console, make_app
        from datasites.receipts import Receipts
        from datasites.requests import RequestBook

        lock = threading.RLock()
        GuardedDatasite.lock = lock
        server = GuardedDatasite(
            name=self.config.name, n_consumers=0, create_producer=False, dev_mode=False, log_level="ERROR"
        )
        _make_private(self.state.syft)
        self.accounts = Accounts(server, self.state, url=f"http://{self.config.host}:{self.config.port}")
        self.accounts.close_sign_up()
        for email in self.config.researchers:
            self.accounts.add_researcher(email)
        store = self.state.store / self.config.dataset
        manifest = open_store(store).manifest
        datasets = {manifest.name: publish(server, manifest, store)}
        book = RequestBook(
            server,
            datasets=datasets,
            limits=self.limits,
            approvals=self.approvals,
            ledger=self.ledger,
            calculator=self.calculator,
            audit=self.audit,
        )
        server.check_submission = book.check_submission
        server.check_call = book.check_call

        def approval() -> Decision:
            call = current_call.get()
            if call is None:
                raise RequestPending("A round can only be asked for through an approved code request.")
            return book.approved(call)

        entry.install(
            Admission(
                approval=approval,
                queue=self.queue,
                blobs=self.blobs,
                ledger=self.ledger,
                audit=self.audit,
                max_update_bytes=self.config.max_update_bytes,
            )
        )
        wired = wire.Wire(
            name=self.config.name,
            email_of=self.accounts.email,
            datasets=datasets,
            limits=self.limits,
            book=book,
            approvals=self.approvals,
            queue=self.queue,
            blobs=self.blobs,
            ledger=self.ledger,
            calculator=self.calculator,
            supervisor=self.supervisor,
            receipts=Receipts(
                datasite=self.config.name,
                seed=bytes.fromhex(self.identity.signing_seed),
                approvals=self.approvals,
                ledger=self.ledger,
                calculator=self.calculator,
                audit=self.audit,
            ),
        )
        self.token = secrets.token_urlsafe(32)
        console = Console(
            name=self.config.name,
            token=self.token,
            admin=self.identity.admin_email,
            fingerprints={name: published.manifest.fingerprint for name, published in datasets.items()},
            limits=self.limits,
            book=book,
            accounts=self.accounts,
            queue=self.queue,
            supervisor=self.supervisor,
            ledger=self.ledger,
            calculator=self.calculator,
        )
        return _researcher_app(server, wired), make_app(console)

    def _approved_run(self, run: Run) -> ApprovedRun:
        decision = self.approvals.of_request(run.request_id)
        if decision is None or decision.decision != "approved":
            raise RequestDenied("The request is not approved any more.")
        return ApprovedRun(
            plan=decision.approved_plan,
            store=self.state.store / decision.dataset,
            outputs=decision.outputs,
        )

    def serve(self, *, ready: Callable[[], None]) -> None:
        """Listens on both ports until SIGTERM or SIGINT, then stops cleanly. Calls `ready` once both are open.

        Raises:
            ConfigError: A port is taken.
        """
        researchers = listen(self.config.host, self.config.port)
        console = listen("127.0.0.1", self.config.console_port)
        host, port = console.getsockname()[:2]
        write_private(self.state.console, json.dumps({"url": f"http://{host}:{port}", "token": self.token}))
        self.supervisor.start()
        self.audit.write("datasite started", name=self.config.name, port=self.config.port)
        try:
            asyncio.run(_serve(((self.app, researchers), (self.console_app, console)), ready))
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends runs and closes files. What was running is queued again at the next start."""
        self.state.console.unlink(missing_ok=True)
        self.supervisor.stop()
        self.calculator.stop()
        self.audit.write("datasite stopped", name=self.config.name)
        self.queue.close()
        self.approvals.close()


def listen(host: str, port: int) -> socket.socket:
    """An open socket.

    Raises:
        ConfigError: The port is taken, or may not be opened.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"Port {port} on {host} cannot be opened: {error.strerror}. Stop what listens there, "
            "or choose another port."
        ) from error
    return sock


def _researcher_app(server: Any, wired: Any) -> FastAPI:
    """PySyft's few routes and the datasite's own, with a limit on what a call may send."""
    import warnings

    from syft.server.routes import make_routes as syft_routes

    from datasites import wire

    app = FastAPI(title="wanwu datasite", docs_url=None, redoc_url=None, openapi_url=None)
    add_error_handlers(app)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        routes = syft_routes(worker=server)
        routes.routes = [route for route in routes.routes if getattr(route, "path", "") in SYFT_ROUTES]
        app.include_router(routes, prefix=SYFT_PREFIX)
    app.include_router(wire.make_routes(wired))

    @app.middleware("http")
    async def limit_body(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path.startswith(SYFT_PREFIX) and request.method != "GET":
            length = request.headers.get("content-length", "")
            if not length.isdigit() or int(length) > MAX_CALL_BYTES:
                text = f"A call must say its length and have at most {MAX_CALL_BYTES} bytes."
                return JSONResponse({"code": "WW600", "error": text}, status_code=413)
        return await call_next(request)

    return app


async def _serve(apps: tuple[tuple[FastAPI, socket.socket], ...], ready: Callable[[], None]) -> None:
    """Runs one uvicorn for each app in this event loop until a signal arrives."""
    servers = [
        uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,
            )
        )
        for app, _ in apps
    ]
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    with contextlib.ExitStack() as stack:
        tasks = []
        for server, (_, sock) in zip(servers, apps, strict=True):
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
            stack.callback(sock.close)
            tasks.append(asyncio.create_task(server.serve(sockets=[sock])))
        while not all(server.started for server in servers):
            await asyncio.sleep(0.01)
        ready()
        await stopping.wait()
        for server in servers:
            server.should_exit = True
            server.force_exit = True
        await asyncio.gather(*tasks)


@contextlib.contextmanager
def _without_torch() -> Any:
    """Imports inside find no torch. PySyft takes it when it is there, at half a gigabyte and three seconds a server,
    to read and write tensors, which no call on a datasite may carry anyway."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


def _make_private(folder: Path) -> None:
    """PySyft writes its database, with the accounts' keys in it, readable by everyone on the machine."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
