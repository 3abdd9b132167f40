"""One running datasite: PySyft's server, its own routes, the admin API and the run queue, in one process.

Two ports: researchers' (mutual TLS; PySyft's routes, cut down, and the datasite's own), and the console's on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from datasites.access.enrolment import Enrolment
from datasites.access.staff import Staff
from datasites.approvals.approvals import Approvals, Decision
from datasites.assets.store import open_store
from datasites.audit_log.counted_events import CountedEvents
from datasites.audit_log.traffic import counting_refusals
from datasites.code_requests.books import Books
from datasites.code_requests.calculator import Calculator
from datasites.code_requests.hospital_limits import HospitalLimits
from datasites.config import DatasiteConfig
from datasites.files.private_file import write_private
from datasites.files.state_folder import StateFolder
from datasites.pysyft.server import start_pysyft
from datasites.researchers_port.door import DoorServer, server_context
from datasites.researchers_port.long_polls import LongPolls
from datasites.researchers_port.pysyft_routes import SYFT_PREFIX, add_pysyft_routes
from datasites.runs import entry
from datasites.runs.admission import Admission
from datasites.runs.blobs import BlobLimits, BlobStore
from datasites.runs.expiry import Expiry
from datasites.runs.gpus import GpuLeases, find_gpus
from datasites.runs.processes.process import Nursery
from datasites.runs.queue import Run, RunQueue
from datasites.runs.still_approved import StillApproved
from datasites.runs.supervisor import Supervisor
from datasites.state import agreement, last_known
from datasites.state import identity as identities
from datasites.state.kept_books import open_audit, open_ledger
from datasites.web.doorway import DATA_ONLY, OWN_PAGES, BodyLimit, enclose
from datasites.web.http_errors import add_error_handlers
from datasites.web.listening import listen, plain_server, serve_until_told
from policies.errors import AuditUnavailable, BooksDisagree, LedgerBroken, RequestPending

if TYPE_CHECKING:
    from datasites.access.accounts import Accounts
    from datasites.assets.published import PublishedDataset
    from datasites.code_requests.requests import RequestBook

log = logging.getLogger(__name__)

MAX_CALL_BYTES = 1 << 20
# How long a thread of the door may compute while one of the console's waits; Python's own is five times that.
SWITCH_SECONDS = 0.001
# What the console is asked for as: it listens on loopback only.
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class RunningDatasite:
    """A datasite's parts, put together. Construct it, then `serve`."""

    def __init__(self, state: StateFolder, config: DatasiteConfig, *, nursery: Nursery | None = None) -> None:
        self.state, self.config = state, config
        self.identity = identities.load_or_create(state)
        agreement.check(state)
        self.enrolment = Enrolment(state, days=config.certificate_days)
        self.enrolment.prepare_server(config.dialled)
        self.token = secrets.token_urlsafe(32)
        self.staff = Staff(
            state.identity / "staff.json",
            state.credentials / "staff",
            owner=self.identity.admin_email,
            owner_token=self.token,
        )
        audit, calculator = open_audit(state), Calculator()
        self.books = Books(
            limits=HospitalLimits(state, config, audit),
            approvals=Approvals(state.approvals),
            ledger=open_ledger(state, calculator.epsilon_spent, calculator.filter_epsilon),
            calculator=calculator,
            audit=audit,
            counted=CountedEvents(audit),
        )
        self.queue = RunQueue(state.runs)
        self.polls = LongPolls(self.queue)
        self.blobs = BlobStore(state.blobs, limits=_blob_limits(config))
        self.supervisor = Supervisor(
            queue=self.queue,
            blobs=self.blobs,
            ledger=self.books.ledger,
            audit=audit,
            approved=lambda run: self._still_approved(run),
            foresee=self._foresee_epsilon,
            state=state,
            nursery=nursery or _nursery(state, config),
            limits=config.run_limits,
            gpus=GpuLeases(find_gpus(), share=config.runs_per_gpu, per_run=config.gpus_per_run),
            require_sandbox=config.require_sandbox,
            max_update_bytes=config.max_update_bytes,
            concurrent_runs=config.concurrent_runs,
        )
        self.expiry = Expiry(self.blobs, self.queue, self.books.approvals)
        server = start_pysyft(state, self.identity, name=config.name)
        accounts, datasets, book = self._open(server)
        self._admit_rounds(book)
        self._still_approved = StillApproved(book.approved_now, datasets)
        self.app = self._researcher_app(server, accounts, datasets, book)
        self.console_app = self._console_app(accounts, datasets, book)

    def serve(self, *, ready: Callable[[], None]) -> None:
        """Listens on both ports until SIGTERM or SIGINT, then stops cleanly. Calls `ready` once both are open.

        Raises:
            ConfigError: A port is taken.
        """
        researchers = listen(self.config.host, self.config.port)
        console = listen("127.0.0.1", self.config.console_port)
        host, port = console.getsockname()[:2]
        write_private(self.state.console, json.dumps({"url": f"http://{host}:{port}", "token": self.token}))
        sys.setswitchinterval(SWITCH_SECONDS)
        self.supervisor.start()
        self.polls.start()
        self.expiry.start()
        self.books.audit.write("datasite started", name=self.config.name, port=self.config.port, **self.books.witness())
        self._remember_books()
        try:
            asyncio.run(self._serve(researchers, console, ready))
        finally:
            self.stop()

    async def _serve(self, researchers: socket.socket, console: socket.socket, ready: Callable[[], None]) -> None:
        context = server_context(self.enrolment.authority_pem, *self.enrolment.server_files)
        limits = self.config.door_limits
        door = DoorServer(
            self.app, researchers, self.enrolment, context, limits=limits, refused=self._count_refused_connections
        )
        await serve_until_told((door, researchers), (plain_server(self.console_app, limits), console), ready)

    def _count_refused_connections(self, reason: str, account: str, count: int) -> None:
        self.books.counted.add("connection refused", account=account, code=reason, count=count)

    def stop(self) -> None:
        """Ends runs and closes files. What was running is queued again at the next start."""
        self.state.console.unlink(missing_ok=True)
        self.expiry.stop()
        self.polls.stop()
        self.supervisor.stop()
        self.books.calculator.stop()
        self.books.counted.flush()
        # A full disk must not keep a datasite from stopping.
        with contextlib.suppress(AuditUnavailable, LedgerBroken, BooksDisagree, OSError):
            self.books.audit.write("datasite stopped", name=self.config.name, **self.books.witness())
            self._remember_books()
        self.queue.close()
        self.books.approvals.close()

    def _remember_books(self) -> None:
        last_known.write(self.state, self.identity.seal, self.books.ledger, self.books.audit)

    # --- putting it together -----------------------------------------------------------------------------

    def _open(self, server: Any) -> tuple[Accounts, dict[str, PublishedDataset], RequestBook]:
        """Accounts made, dataset published, and the book of requests in front of every submission and call."""
        from datasites.access.accounts import Accounts
        from datasites.audit_log.traffic import Traffic
        from datasites.code_requests.requests import RequestBook
        from datasites.pysyft.publish import publish

        accounts = Accounts(server, self.state, url=self.config.url, enrolment=self.enrolment, audit=self.books.audit)
        accounts.close_sign_up()
        accounts.enrol_first(self.config.researchers)
        store = self.state.store / self.config.dataset
        manifest = open_store(store).manifest
        datasets = {manifest.name: publish(server, manifest, store)}
        book = RequestBook(server, datasets, self.books, max_pending=self.config.max_pending_per_researcher)
        server.check_submission, server.check_call = book.check_submission, book.check_call
        traffic = Traffic(self.books.counted, accounts)
        server.refused = traffic.refused_call
        server.check_account = accounts.own_email
        return accounts, datasets, book

    def _admit_rounds(self, book: RequestBook) -> None:
        """Lets the stub reach the run queue, on behalf of whoever's call PySyft is serving."""
        from datasites.pysyft.guard import current_call

        def approval() -> Decision:
            call = current_call.get()
            if call is None:
                raise RequestPending("A round can only be asked for through an approved code request.")
            return book.approved(call)

        admission = Admission(
            approval=approval,
            queue=self.queue,
            blobs=self.blobs,
            ledger=self.books.ledger,
            audit=self.books.audit,
            max_update_bytes=self.config.max_update_bytes,
        )
        entry.install(counting_refusals(self.books.counted, admission))

    def _researcher_app(
        self, server: Any, accounts: Accounts, datasets: dict[str, PublishedDataset], book: RequestBook
    ) -> FastAPI:
        from datasites.code_requests.receipts import Receipts
        from datasites.researchers_port import sign_in, wire

        app = FastAPI(title="wanwu datasite", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        refused = lambda error: self.books.counted.add("call refused", code=error.code)  # noqa: E731
        add_error_handlers(app, refused)
        add_pysyft_routes(app, server, accounts)
        signing_in = sign_in.SignIn(server, self.books.counted)
        app.include_router(
            sign_in.make_routes(signing_in, SYFT_PREFIX, peer_of=sign_in.network_peer, check_account=accounts.check_own)
        )
        wired = wire.Wire(
            name=self.config.name,
            email_of=accounts.own_email,
            datasets=datasets,
            books=self.books,
            book=book,
            queue=self.queue,
            blobs=self.blobs,
            supervisor=self.supervisor,
            receipts=Receipts(self.config.name, bytes.fromhex(self.identity.signing_seed), self.books),
            polls=self.polls,
        )
        app.include_router(wire.make_routes(wired))
        limits = (
            BodyLimit(f"{SYFT_PREFIX}/api_call", MAX_CALL_BYTES, ("POST",)),
            BodyLimit(f"{wire.PREFIX}/blobs/", self.config.max_update_bytes, ("PUT",)),
        )
        enclose(app, hosts=self.config.dialled, limits=limits, content_policy=DATA_ONLY, refused=refused)
        return app

    def _console_app(self, accounts: Accounts, datasets: dict[str, PublishedDataset], book: RequestBook) -> FastAPI:
        from datasites.console.app import make_app
        from datasites.console.console import Console

        app = make_app(
            Console(
                name=self.config.name,
                staff=self.staff,
                fingerprints={name: published.manifest.fingerprint for name, published in datasets.items()},
                books=self.books,
                book=book,
                accounts=accounts,
                queue=self.queue,
                supervisor=self.supervisor,
                url=lambda: str(json.loads(self.state.console.read_text())["url"]),
            )
        )
        enclose(app, hosts=LOOPBACK, limits=(), content_policy=OWN_PAGES)
        return app

    def _foresee_epsilon(self, run: Run) -> None:
        """Computes what the request will have spent after this round, so that nobody waits for it then."""
        decision = self.books.approvals.of_request(run.request_id)
        if decision is None or decision.approved_plan.privacy is None:
            return
        try:
            self.books.calculator.epsilon_spent(
                self.books.ledger.spent(run.request_id), decision.approved_plan.privacy.delta
            )
        except Exception:  # it is computed again, and told, when somebody asks
            log.exception("epsilon after run %s could not be computed ahead", run.id)


def _nursery(state: StateFolder, config: DatasiteConfig) -> Nursery:
    return Nursery(log=state.logs / "runs.log", threads=config.threads_per_run, max_log_bytes=config.max_log_bytes)


def _blob_limits(config: DatasiteConfig) -> BlobLimits:
    return BlobLimits(
        max_bytes=config.max_update_bytes,
        account_bytes=config.max_blob_bytes_per_researcher,
        account_blobs=config.max_blobs_per_researcher,
        total_bytes=config.max_blob_bytes,
        free_disk_bytes=config.min_free_disk_bytes,
        expiry_seconds=config.blob_expiry_hours * 3600.0,
    )
