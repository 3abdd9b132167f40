"""Settings of a served model, each declared once: where it listens, who may ask, and how much a request may take."""

from __future__ import annotations

from dataclasses import dataclass

from policies.errors import ConfigError
from policies.settings import setting
from policies.validate import Checks

_checks = Checks(ConfigError)


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """What whoever serves a model chooses; what each setting is stands in its declaration."""

    host: str = setting("address to listen on; any but loopback takes a token or a certificate", default="127.0.0.1")
    port: int = setting("TCP port; 0 takes any free one", default=8000)
    token_file: str = setting("file with a token that every request must bring as 'Authorization: Bearer'", default="")
    certificate: str = setting("file with a certificate for TLS and those that issued it, PEM", default="")
    key: str = setting("file with the private key of that certificate, PEM, without a password", default="")
    max_request_bytes: int = setting("most bytes of a request", default=1 << 25)
    max_pictures: int = setting("most pictures of a request", default=16)
    max_pixels: int = setting("most pixels of a picture, looked at before it is decoded", default=40_000_000)
    max_waiting: int = setting("most pictures of all requests under way; further requests get 503", default=64)
    decoders: int = setting("pictures that are decoded at once", default=2)
    threads: int = setting("threads that the model computes with", default=1)
    use: str = setting(
        "what the model may be used for, in a sentence, as its model card says",
        default="For research use. Not a medical device: no decision on a patient may rest on it.",
    )
    timeout_seconds: int = setting("most seconds from the first byte of a request to its answer", default=30)

    def __post_init__(self) -> None:
        """Checks each value.

        Raises:
            ConfigError: One is out of range, or the server would answer anybody on a network in clear.
        """
        _checks.integer("port", self.port, low=0, high=65_535)
        _checks.integer("max_request_bytes", self.max_request_bytes, low=1 << 10, high=1 << 28)
        _checks.integer("max_pictures", self.max_pictures, low=1, high=256)
        _checks.integer("max_pixels", self.max_pixels, low=1, high=64_000_000)
        _checks.integer("max_waiting", self.max_waiting, low=self.max_pictures, high=4096)
        _checks.integer("timeout_seconds", self.timeout_seconds, low=1, high=600)
        _checks.integer("decoders", self.decoders, low=1, high=64)
        _checks.integer("threads", self.threads, low=1, high=64)
        _checks.text("use", self.use, most=300)
        if bool(self.certificate) != bool(self.key):
            raise ConfigError("--certificate and --key belong together. Give both, or none.")
        if not (self.is_loopback or self.token_file or self.certificate):
            raise ConfigError(
                f"The model would be served on {self.host!r} to everybody, in clear. Give --token_file, or "
                "--certificate and --key, or leave --host at 127.0.0.1."
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        import ipaddress  # late: no help waits for it

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
