"""Finds requests that may still run: those that are neither denied nor ended."""

from __future__ import annotations

from datasites.code_requests.books import Books
from datasites.code_requests.canonical import CanonicalRequest, RequestReader
from datasites.code_requests.request_index import RequestIndex
from policies.errors import RequestDenied


class OpenRequests:
    """Reads requests that may still run, whoever submitted them; for the hospital's own work."""

    def __init__(self, reader: RequestReader, index: RequestIndex, books: Books) -> None:
        self._reader, self._index, self._books = reader, index, books

    def read(self, request_id: str) -> CanonicalRequest:
        """A request, taken apart, on the version that was reserved for; before that, on the newest one.

        Args:
            request_id: The request, or the only beginning of it.

        Raises:
            RequestUnknown, RequestNotCanonical, PlanError: It cannot be read.
            RequestDenied: It was denied, or has ended.
        """
        request = self._reader.find(self._index.named(request_id))
        decision = self._books.approvals.of_request(str(request.id))
        if decision is not None and decision.decision != "approved":
            raise RequestDenied(f"The request was {decision.decision}, so it does not run any more.")
        return self._reader.read(request, version=self._books.approved_version(str(request.id)))
