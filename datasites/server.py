"""One running datasite: its rooms, opened one after the other, in one process.

Two ports: researchers' (mutual TLS; PySyft's routes, cut down, and the datasite's own), and the console's.
PySyft reads who the server is when it is imported: what imports it is imported here after it was started.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from datasites.access.access import Access
from datasites.code_requests.books import open_books
from datasites.config import DatasiteConfig
from datasites.files.state_folder import StateFolder
from datasites.notices.notices import open_notices
from datasites.pysyft.server import start_pysyft
from datasites.runs.runs import Runs, fork_server_of
from datasites.state.served import ServedState
from datasites.web.listening import listen, serve_until_told

if TYPE_CHECKING:
    from datasites.access.accounts import Accounts
    from datasites.code_requests.requests import RequestBook

# How long a thread of the researchers' port may compute while one of the console's waits; Python's own is 5 times that.
SWITCH_SECONDS = 0.001


class RunningDatasite:
    """A datasite's rooms, put together. Construct it, then `serve`."""

    def __init__(self, state: StateFolder, config: DatasiteConfig, *, program: str | None = None) -> None:
        """Opens the rooms; nothing listens and nothing runs yet.

        Args:
            state: The datasite's folder.
            config: The datasite's settings.
            program: Python of the fork server's process, where it is to run something else than training.

        Raises:
            WanwuError: The state folder or the settings do not allow the datasite to serve.
        """
        self._config, self._state = config, ServedState(state, config)
        identity = self._state.identity
        self._access = Access(state, config, owner=identity.admin_email)
        fork_server = fork_server_of(state, config, program=program)
        self._books = books = open_books(state, config, fork_server.compute_sums)
        self._preparing = threading.Thread(target=books.calculator.prepare, name="first sums", daemon=True)
        self._preparing.start()  # imports torch in another process, while PySyft is imported here
        server = start_pysyft(state, identity, name=config.name)
        from datasites.access.accounts import open_accounts
        from datasites.code_requests.requests import open_requests
        from datasites.pages.opening import open_console
        from datasites.pysyft.publish import publish_store
        from datasites.researchers_port.port import ResearchersPort

        enrolment = self._access.enrolment
        accounts = open_accounts(server, state, config, enrolment, books.audit)
        datasets = publish_store(server, state.store, config.dataset.name)
        book = open_requests(server, datasets, books, max_pending=config.max_pending_per_researcher)
        self._runs = runs = Runs(state, config, books, book.approved_now, book.open.read, fork_server)
        self._port = ResearchersPort(
            config,
            server=server,
            enrolment=enrolment,
            accounts=accounts,
            datasets=datasets,
            books=books,
            book=book,
            runs=runs,
            signing_seed=identity.signing_seed,
        )
        self._notices = notices = open_notices(state, config, books, datasets, enrolment.people)
        self._console = open_console(
            state,
            config,
            access=self._access,
            accounts=accounts,
            datasets=datasets,
            books=books,
            book=book,
            runs=runs,
            told=notices,
            signing_seed=bytes.fromhex(identity.signing_seed),
            study_reports=state.study_reports,
        )
        self._open_gate(server, accounts, book)

    def _open_gate(self, server: Any, accounts: Accounts, book: RequestBook) -> None:
        """Lets researchers' calls into PySyft, under the datasite's rules."""
        from datasites.pysyft.guard import Rules

        books, runs = self._books, self._runs

        def arrived(request_id: str) -> None:
            book.arrived(request_id)
            books.rehearsals.arrived(request_id)
            self._notices.arrived(request_id)

        server.open_gate(
            Rules(
                check_account=accounts.own_email,
                check_submission=book.check_submission,
                arrived=arrived,
                admission=lambda call: runs.admission(book.approved(call)),
                refused=lambda error, account: books.counted.add(
                    "call refused", account=accounts.known(account), code=error.code
                ),
            )
        )

    def serve(self, *, ready: Callable[[], None]) -> None:
        """Listens on both ports until SIGTERM or SIGINT, then stops cleanly.

        Calls `ready` once both are open and sums can be asked for: who asks first waits no longer than who asks later.

        Raises:
            ConfigError: A port is taken.
        """
        config, books = self._config, self._books
        researchers = listen(config.host, config.port, chosen_by="port in the datasite's config.toml")
        console = self._console.listen()
        self._access.open_console(self._console.access(console))
        self._preparing.join()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._runs.start()
        self._port.start()
        self._notices.start()
        self._console.rules.desk.start()
        self._state.started(books.ledger, books.audit, name=config.name, port=config.port)
        try:
            asyncio.run(self._serve(researchers, console, ready))
        finally:
            self.stop()

    async def _serve(self, researchers: socket.socket, console: socket.socket, ready: Callable[[], None]) -> None:
        tls_server = self._port.tls_server(researchers)
        await serve_until_told((tls_server, researchers), self._console.serving_on(console), ready)

    def stop(self) -> None:
        """Ends runs and closes files. What was running is queued again at the next start."""
        books = self._books
        self._access.close_console()
        self._port.stop()
        self._runs.stop()
        self._console.rules.desk.stop()
        self._notices.stop()
        books.calculator.stop()
        books.counted.flush()
        self._state.stopped(books.ledger, books.audit, name=self._config.name)
        self._runs.close()
        books.close()
