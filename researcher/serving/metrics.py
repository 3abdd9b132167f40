"""Counts of a served model for Prometheus. Labels are words of this program: no name, class or value of a picture."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from datasites.picture_files.picture_refused import PictureRefused
from policies.errors import WanwuError
from researcher.serving.pictures import KINDS

ROUTES = ("/v1/classify", "/v1/saliency", "/v1/model", "/metrics", "/health", "/health/live", "/health/ready", "/")
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self, under_way: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests, by route and status.", "route", "status")
        self._seconds = Histogram(
            "wanwu_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=self._registry
        )
        self._pictures = self._counter("pictures", "Pictures that were classified, by format.", "kind")
        self._refused = self._counter("refused", "Requests that were refused, by reason.", "reason")
        self._unlike = self._counter("unlike_training", "Pictures that were flagged as unlike the public ones.")
        self._batches = Histogram(
            "wanwu_batch_pictures", "Pictures in a batch.", buckets=(1, 2, 4, 8), registry=self._registry
        )
        gauge = Gauge("wanwu_pictures_under_way", "Pictures being read or classified.", registry=self._registry)
        gauge.set_function(under_way)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        route = path if path in ROUTES else "other"
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def refused(self, error: WanwuError) -> None:
        """A request was refused."""
        self._refused.labels(error.reason.code if isinstance(error, PictureRefused) else error.code).inc()

    def classified(self, kind: str, *, flagged: bool) -> None:
        """A picture was classified."""
        self._pictures.labels(kind if kind in KINDS else "other").inc()
        if flagged:
            self._unlike.inc()

    def ran(self, pictures: int) -> None:
        """A batch went through the model."""
        self._batches.observe(pictures)

    def text(self) -> bytes:
        """All of them, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"wanwu_{name}", text, list(labels), registry=self._registry)
