"""The base of every error: two texts, of which only the public one may cross the hospital's boundary."""

from __future__ import annotations

from policies.untrusted_text import shown

MOST_CHARACTERS = 4000


class WanwuError(Exception):
    """An error with two texts.

    Attributes:
        code: Stable identifier, `WWnnn`.
        status: HTTP status that the datasite's own routes answer with.
        public: What was expected, what came (where public), what to do. Holds no value of private data. It may quote
            what somebody else wrote, so it is kept as `policies.untrusted_text` shows it.
        private: For the hospital's log only; empty when there is nothing to add.
    """

    code = "WW000"
    status = 500

    def __init__(self, public: str, *, private: str = "") -> None:
        self.public = shown(public, most=MOST_CHARACTERS)
        super().__init__(self.public)
        self.private = private

    def to_json(self) -> dict[str, str]:
        """The one error shape of every JSON answer: code and public text."""
        return {"code": self.code, "error": self.public}

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it, in place of a traceback through the platform's own lines (IPython's hook)."""
        return [f"{self.code}: {self.public}"]
