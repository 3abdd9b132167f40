"""The researcher's side of a datasite's own routes: weights out, updates and progress in, each request signed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from policies.answers.hospital import BudgetAnswer, HospitalAnswer
from policies.answers.rehearsals import RehearsalAnswer
from policies.answers.requests import BlobAnswer, ReceiptAnswer, RequestAnswer, ThreadAnswer
from policies.answers.runs import CANARY, ChargedRunAnswer, RunAnswer
from policies.contracts.inputs import MOST_TOGETHER_BYTES, TOGETHER_SINCE, Ticket
from policies.contracts.signatures import EMPTY_BODY, sign
from policies.errors import BlobError, DatasiteUnreachable, FederationError, RequestUnknown, WanwuError
from policies.ledger.receipt import MAX_RECEIPT_BYTES
from policies.untrusted_text import is_plain
from researcher.hospitals.connections.answered_errors import answered_error, raise_answer
from researcher.hospitals.connections.answers import answer_of, read_answer
from researcher.hospitals.connections.hashed_file import HashedFile
from researcher.hospitals.connections.round_receipts import RoundReceipts
from researcher.hospitals.secure_channel import SecureChannel, httpx, whole

PREFIX = "/wanwu/v1"
"""What the datasite's own routes begin with."""
# Beyond the time that a question waits at the datasite: one that went out into a silent line is asked again soon.
_ANSWER_SECONDS = 10.0
# HTTP: the range begins at the end of the file, or behind it.
_NOTHING_BEHIND = 416
# A download that breaks off sooner is left to whoever waits for it: it is not asked for again at once.
_PROGRESS_BYTES = 1 << 16
STUBS_SINCE = (0, 3)
_MOST_DIGITS = 15  # of a size


class DatasiteClient:
    """One datasite's routes, for one account."""

    def __init__(self, channel: SecureChannel, seed: bytes) -> None:
        self.url = channel.url
        self.bytes_moved = 0  # through uploads and downloads so far: who waits by progress looks here
        self._broken_uploads: dict[str, int] = {}  # digest → its bytes that `bytes_moved` holds
        # Code request → where the receipts of its rounds are: several studies may ask over one connection at a time.
        self.round_receipts: dict[str, RoundReceipts] = {}
        self._seed = seed
        self._channel = channel

    def info(self) -> HospitalAnswer:
        """Versions, datasets and limits of the datasite."""
        return read_answer(HospitalAnswer, self._json("GET", "/info"), self.url)

    def budget(self, dataset: str) -> BudgetAnswer:
        """What is left of a dataset's privacy budget."""
        return read_answer(BudgetAnswer, self._json("GET", f"/datasets/{dataset}/budget"), self.url)

    def request(self, request_id: str) -> RequestAnswer:
        """State of a code request and the hospital's reason."""
        return read_answer(RequestAnswer, self._json("GET", f"/requests/{request_id}"), self.url)

    def tells_stubs(self) -> bool:
        """Whether the datasite tells which request has a stub of some name."""
        release = self._channel.release
        return release is not None and release.minor_version >= STUBS_SINCE

    def request_of_stub(self, name: str) -> RequestAnswer | None:
        """The account's request whose stub has that name, where the datasite `tells_stubs`; None if there is none."""
        try:
            content = self._json("GET", f"/stubs/{name}")
        except RequestUnknown:
            return None
        return read_answer(RequestAnswer, content, self.url)

    def rehearsal(self, request_id: str) -> RehearsalAnswer | None:
        """What a request's rehearsal on the mock came to; None where the hospital made none."""
        try:
            content = self._json("GET", f"/requests/{request_id}/rehearsal")
        except RequestUnknown:
            return None
        return read_answer(RehearsalAnswer, content, self.url)

    def receipt(self, request_id: str) -> str:
        """The signed privacy receipt of a request, a text that can be printed as it is.

        Raises:
            FederationError: It is too large for one, or holds what a terminal would obey.
        """
        text = read_answer(ReceiptAnswer, self._json("GET", f"/requests/{request_id}/receipt"), self.url).receipt
        if len(text) > MAX_RECEIPT_BYTES or not all(map(is_plain, text.split("\n"))):
            raise FederationError(f"{self.url} gave a receipt that cannot be one. Ask the hospital.")
        return text

    def end(self, request_id: str) -> RequestAnswer:
        """Ends an approved request."""
        return read_answer(RequestAnswer, self._json("POST", f"/requests/{request_id}/end"), self.url)

    def messages(self, request_id: str) -> ThreadAnswer:
        """What was asked and answered about a code request."""
        return read_answer(ThreadAnswer, self._json("GET", f"/requests/{request_id}/messages"), self.url)

    def answer(self, request_id: str, text: str) -> ThreadAnswer:
        """Answers what the hospital asked."""
        content = text.encode(errors="surrogatepass")
        digest = hashlib.sha256(content).hexdigest()
        path = f"/requests/{request_id}/messages"
        return read_answer(ThreadAnswer, self._json("POST", path, body_sha256=digest, content=content), self.url)

    def withdraw(self, request_id: str) -> RequestAnswer:
        """Withdraws a pending request."""
        return read_answer(RequestAnswer, self._json("POST", f"/requests/{request_id}/withdraw"), self.url)

    def ask(self, request_id: str, ticket: str) -> RunAnswer:
        """Asks for one round of an approved request; returns the run's public fields.

        Raises:
            WanwuError: What the datasite refused the round with.
        """
        content = ticket.encode()
        digest = hashlib.sha256(content).hexdigest()
        answer = self._json("POST", f"/requests/{request_id}/rounds", body_sha256=digest, content=content)
        return self._asked(answer, Ticket.parse(ticket).round, request_id)

    def ask_with(self, request_id: str, ticket: Ticket, content: bytes) -> RunAnswer:
        """As `ask`, with the ticket's weights: uploaded and asked for in one go; see `takes_together`."""
        path = f"/requests/{request_id}/rounds/{ticket.round}/weights/{ticket.weights}"
        answer = self._json("PUT", path, body_sha256=ticket.weights, content=content)
        self.bytes_moved += len(content)
        return self._asked(answer, ticket.round, request_id)

    def takes_together(self, size: int) -> bool:
        """Whether the datasite takes weights of so many bytes with their ticket; more go on where a line broke."""
        release = self._channel.release
        return release is not None and release.minor_version >= TOGETHER_SINCE and size <= MOST_TOGETHER_BYTES

    def _asked(self, answer: object, round_index: int, request_id: str) -> RunAnswer:
        if isinstance(answer, dict) and "error" in answer:
            raise_answer(str(answer.get("code")), str(answer["error"]))
        return self._run(answer, round_index, request_id)

    def ask_for_canary(self, request_id: str) -> RunAnswer:
        """Has two steps of an approved request run on the mock; returns the run's public fields."""
        return self._run(self._json("POST", f"/requests/{request_id}/canary"), CANARY, request_id)

    def canary(self, request_id: str, *, seen: int = -1, wait_seconds: float = 0.0) -> RunAnswer:
        """Public fields of a request's canary, once it changed since version `seen` or the time is up."""
        return self._poll(f"/requests/{request_id}/canary", CANARY, seen, wait_seconds)

    def run(self, request_id: str, round_index: int, *, seen: int = -1, wait_seconds: float = 0.0) -> RunAnswer:
        """Public fields of a round's run, once it changed since version `seen` or the time is up."""
        return self._poll(f"/requests/{request_id}/rounds/{round_index}", round_index, seen, wait_seconds)

    def cancel(self, request_id: str, round_index: int) -> RunAnswer:
        """Cancels a round."""
        answer = self._json("POST", f"/requests/{request_id}/rounds/{round_index}/cancel")
        return self._run(answer, round_index, request_id)

    def put_blob(self, content: bytes, *, digest: str = "") -> str:
        """Uploads bytes and returns their digest, which may be given where it is known.

        An upload that breaks off goes on where it was, here or at the next call with the same bytes.

        Raises:
            DatasiteUnreachable: The connection broke and does not come back; the datasite keeps what came.
        """
        digest = digest or hashlib.sha256(content).hexdigest()
        begin = self._received(digest, len(content)) if digest in self._broken_uploads else 0
        refused = False  # a beginning that the datasite itself told of: it is asked for none again
        while True:
            path = f"/blobs/{digest}" + (f"?begin={begin}" if begin else "")
            try:
                self._send("PUT", path, body_sha256=digest, content=content[begin:])
                break
            except DatasiteUnreachable:
                self._broken_uploads.setdefault(digest, 0)
                begun, begin = begin, 0 if refused else self._received(digest, len(content))
                if begin <= begun:
                    raise
            except BlobError:  # what came before is not there any more, or is not its beginning
                if not begin:
                    raise
                begin, refused = 0, True
        self._count(digest, len(content))
        self._broken_uploads.pop(digest, None)
        return digest

    def _count(self, digest: str, received: int) -> None:
        """Counts what came of an upload as moved; of one that broke off, what is not counted yet."""
        counted = self._broken_uploads.get(digest, 0)
        self.bytes_moved += max(received - counted, 0)
        self._broken_uploads[digest] = max(received, counted)

    def _received(self, digest: str, size: int) -> int:
        """How many of an upload's bytes the datasite has; 0 where it does not say, or tells of too many."""
        try:
            content = self._json("GET", f"/blobs/{digest}/received")
        except WanwuError as error:
            if isinstance(error, DatasiteUnreachable):
                raise
            return 0
        told = read_answer(BlobAnswer, content, self.url).bytes
        begin = told if 0 <= told <= size else 0
        self._count(digest, begin)
        return begin

    def get_blob(self, digest: str, file: Path, *, max_bytes: int) -> int:
        """Downloads a blob into `file`, checks its digest, and returns its size in bytes.

        A download that breaks off goes on where it was, here or at the next call with the same file.

        Raises:
            FederationError: It is larger than `max_bytes`, or its digest is another; the file is removed then.
            DatasiteUnreachable: The connection broke and does not come back; the file holds what came.
        """
        with HashedFile(file) as coming:
            while True:
                begun = coming.size
                broken = DatasiteUnreachable(
                    f"{self.url} sends its update in parts that are too small. Ask for it again."
                )
                try:
                    if self._download(digest, coming, max_bytes):
                        break
                except DatasiteUnreachable as error:
                    broken = error
                if coming.size < begun + _PROGRESS_BYTES:
                    raise broken
        if coming.digest != digest:
            file.unlink()
            raise FederationError(f"{self.url} sent an update that does not have its digest. Ask for it again.")
        return coming.size

    def _download(self, digest: str, coming: HashedFile, max_bytes: int) -> bool:
        """Appends the bytes that are not there yet; writes the file anew if the datasite sends it whole.

        Returns:
            Whether that was all: something on the way may hand out ranges in parts.
        """
        path = f"{PREFIX}/blobs/{digest}"
        headers = {**sign(self._seed, "GET", path), "accept-encoding": "identity"}
        if coming.size:
            headers["range"] = f"bytes={coming.size}-"
        with self._channel.stream("GET", path, headers=headers) as answer:
            if answer.status_code == _NOTHING_BEHIND:
                return True
            if answer.status_code >= 400:
                raise answered_error(whole(answer), datasite=self._channel.datasite)
            told = answer.headers.get("content-range", "")
            if not told.startswith(f"bytes {coming.size}-"):
                coming.begin_again()
            for chunk in answer.iter_bytes():
                if coming.size + len(chunk) > max_bytes:
                    coming.path.unlink(missing_ok=True)
                    raise FederationError(f"{self.url} sent more than {max_bytes} bytes for an update.")
                coming.write(chunk)
                self.bytes_moved += len(chunk)
        whole_size = told.rpartition("/")[2][:_MOST_DIGITS]
        return not whole_size.isdecimal() or coming.size >= int(whole_size)

    def _poll(self, path: str, round_index: int, seen: int, wait_seconds: float) -> RunAnswer:
        asked = f"{path}?seen={seen}&wait={wait_seconds:g}"
        answer = self._send("GET", asked, timeout_seconds=wait_seconds + _ANSWER_SECONDS)
        return self._run(answer_of(answer), round_index, _request_of(path))

    def _run(self, content: object, round_index: int, request_id: str) -> RunAnswer:
        """Public fields of this round's run: another round's update is in the mean already."""
        charged = isinstance(content, dict) and "epsilon_spent" in content
        run = read_answer(ChargedRunAnswer if charged else RunAnswer, content, self.url)
        if run.round != round_index:
            raise FederationError(f"{self.url} answered with the run of another round. Ask the hospital.")
        if isinstance(run, ChargedRunAnswer) and (receipts := self.round_receipts.get(request_id)) is not None:
            receipts.take(request_id, run.round, run.receipt)
        return run

    def _json(self, method: str, path: str, *, body_sha256: str = EMPTY_BODY, content: bytes | None = None) -> object:
        """Plain values."""
        return answer_of(self._send(method, path, body_sha256=body_sha256, content=content))

    def _send(
        self,
        method: str,
        path: str,
        *,
        body_sha256: str = EMPTY_BODY,
        content: bytes | None = None,
        timeout_seconds: float | None = None,
    ) -> httpx.Response:
        request_id = _request_of(path)
        receipts = self.round_receipts.get(request_id)
        shown = {} if receipts is None else receipts.shown(request_id, self._channel.release)
        path = f"{PREFIX}{path}"
        headers = {**sign(self._seed, method, path, body_sha256), **shown}
        answer = self._channel.request(method, path, headers=headers, content=content, timeout_seconds=timeout_seconds)
        if answer.status_code >= 400:
            raise answered_error(answer, datasite=self._channel.datasite)
        return answer


def _request_of(path: str) -> str:
    """Which code request a question is about; empty where about none."""
    of, _, rest = path.removeprefix("/").partition("/")
    return rest.partition("/")[0].partition("?")[0] if of == "requests" else ""
