"""The researchers' port, put together: PySyft's routes, cut down, and the datasite's own, behind mutual TLS.

Import it once PySyft runs: its routes and sign-in are PySyft's.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from datasites.access.accounts import Accounts
from datasites.access.enrolment import Enrolment
from datasites.assets.published import PublishedDataset
from datasites.code_requests.books import Books
from datasites.code_requests.receipts import Receipts
from datasites.code_requests.requests import RequestBook
from datasites.config import DatasiteConfig
from datasites.researchers_port import routes, sign_in
from datasites.researchers_port.long_polls import LongPolls
from datasites.researchers_port.mutual_tls import MutualTlsServer, server_context
from datasites.researchers_port.pysyft_routes import SYFT_PREFIX, add_pysyft_routes
from datasites.researchers_port.shown_receipts import ShownReceipts
from datasites.researchers_port.told_release import tell_release
from datasites.runs.runs import Runs
from datasites.web.http_errors import add_error_handlers
from datasites.web.request_bounds import DATA_ONLY, BodyLimit, enclose
from policies.contracts.inputs import MOST_TOGETHER_BYTES
from policies.errors import WanwuError

MAX_CALL_BYTES = 1 << 20


class ResearchersPort:
    """What researchers reach of a datasite, and the door in front of it."""

    def __init__(
        self,
        config: DatasiteConfig,
        *,
        server: Any,
        enrolment: Enrolment,
        accounts: Accounts,
        datasets: Mapping[str, PublishedDataset],
        books: Books,
        book: RequestBook,
        runs: Runs,
        signing_seed: str,
    ) -> None:
        """Makes the routes; nothing listens yet.

        Args:
            config: The datasite's settings.
            server: PySyft's server, behind its gate.
            enrolment: Whose certificates count.
            accounts: The researchers' accounts.
            datasets: The published datasets, by name.
            books: The datasite's books.
            book: The code requests.
            runs: The runs.
            signing_seed: Of the key that receipts are signed with, hexadecimal.
        """
        self._config, self._enrolment, self._books = config, enrolment, books
        self._polls = LongPolls(runs.queue)
        wired = routes.ResearcherRoutes(
            name=config.name,
            terms_of_use=config.dataset.terms_of_use,
            email_of=accounts.own_email,
            datasets=datasets,
            books=books,
            book=book,
            queue=runs.queue,
            blobs=runs.blobs,
            supervisor=runs.supervisor,
            receipts=Receipts(config.name, bytes.fromhex(signing_seed), books),
            shown=ShownReceipts(bytes.fromhex(signing_seed), books),
            polls=self._polls,
            canaries=runs.canary,
            rounds=server.serve_round,
        )
        self._app = self._make_app(server, accounts, wired)

    def start(self) -> None:
        """Begins to look for those who wait for a run."""
        self._polls.start()

    def stop(self) -> None:
        """Lets those who wait go."""
        self._polls.stop()

    def tls_server(self, sock: socket.socket) -> MutualTlsServer:
        """The server that lets enrolled peers of this socket in."""
        context = server_context(self._enrolment.authority_pem, *self._enrolment.server_files)
        limits = self._config.port_limits
        return MutualTlsServer(
            self._app, sock, self._enrolment, context, limits=limits, refused=self._count_connections
        )

    def _make_app(self, server: Any, accounts: Accounts, wired: routes.ResearcherRoutes) -> FastAPI:
        app = FastAPI(title="wanwu datasite", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        add_error_handlers(app, self._count_call)
        add_pysyft_routes(app, server, accounts)
        signing_in = sign_in.SignIn(server, self._books.counted)
        app.include_router(
            sign_in.make_routes(signing_in, peer_of=sign_in.network_peer, check_account=accounts.check_own)
        )
        app.include_router(routes.make_routes(wired))
        limits = (
            BodyLimit(f"{SYFT_PREFIX}/api_call", MAX_CALL_BYTES, ("POST",)),
            BodyLimit(f"{routes.PREFIX}/blobs/", self._config.max_update_bytes, ("PUT",)),
            BodyLimit(f"{routes.PREFIX}/requests/", min(MOST_TOGETHER_BYTES, self._config.max_update_bytes), ("PUT",)),
        )
        tell_release(app, self._count_call)
        hosts = self._config.dialled
        enclose(app, hosts=hosts, limits=limits, content_policy=DATA_ONLY, refused=self._count_call)
        return app

    def _count_call(self, error: WanwuError) -> None:
        self._books.counted.add("call refused", code=error.code)

    def _count_connections(self, reason: str, account: str, count: int) -> None:
        self._books.counted.add("connection refused", account=account, code=reason, count=count)
