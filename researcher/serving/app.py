"""The routes of a served model. A request's body is read here and is gone with its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response

from policies import __version__
from policies.errors import AnswerLate, TooSlow, WanwuError
from policies.web.palette import in_colours
from researcher.serving.answers import Classified, ErrorAnswer, Health, ModelFacts, SaliencyMap
from researcher.serving.classifier import Classifier
from researcher.serving.metrics import CONTENT_TYPE
from researcher.serving.port.bodies import announced_bytes, files_of
from researcher.serving.port.failures import add_failures
from researcher.serving.port.guard import App, Guard
from researcher.serving.port.room import Room

PAGE = Path(__file__).parent / "page"
_PAGE_FILES = (
    ("/", "index.html", "text/html"),
    ("/page.css", "page.css", "text/css"),
    ("/page.js", "page.js", "text/javascript"),
)
_REQUESTS_HELD = 8  # times the most bytes of one request
_FILE = {"type": "string", "format": "binary"}
_SENDING: dict[str, object] = {
    "requestBody": {
        "required": True,
        "description": "One file as the body, or one or several as parts of a form. Its content tells its format.",
        "content": {
            **{kind: {"schema": _FILE} for kind in ("image/png", "image/jpeg", "image/tiff", "application/dicom")},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"pictures": {"type": "array", "items": _FILE}}}
            },
        },
    }
}
_ERRORS: dict[int | str, dict[str, object]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        400: "No picture, no whole form, or an argument that is none.",
        401: "No token, or another one.",
        408: "The request came too slowly.",
        413: "Too many bytes or pictures.",
        422: "A file is no picture that is taken.",
        503: "As much is under way as is held at once; Retry-After says when to ask again.",
        504: "It took longer than a request may.",
    }.items()
}
_FRAME = Query(ge=0, lt=1 << 20, description="which picture of a file that holds several, from 0")
_CLASS = Query(alias="class", max_length=200, description="the most probable class where none is named")


def make_app(classifier: Classifier, *, token: bytes | None) -> App:
    """The app with all that is around it.

    Args:
        classifier: The model; its queue is open while the app runs.
        token: That requests must bring; None for none.
    """
    ready = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        classifier.batches.start()
        ready.set()
        try:
            yield
        finally:
            ready.clear()
            await classifier.close()

    app = FastAPI(
        title="A served model",
        version=__version__,
        description="One model answers what it says of pictures. No picture is kept, written or logged.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    add_failures(app, classifier.metrics.refused)
    _add_asking(app, classifier)
    _add_watching(app, classifier, ready)
    _add_page(app)
    settings = classifier.settings
    hosts = {"127.0.0.1", "::1", "localhost", settings.host} if settings.is_loopback else None
    return Guard(app, token=token, hosts=hosts, answered=classifier.metrics.answered)


def _add_asking(app: FastAPI, classifier: Classifier) -> None:
    """The routes that pictures are sent to, and what the model says of itself."""
    bodies = Room(_REQUESTS_HELD * classifier.settings.max_request_bytes, "bytes of requests")
    shown: Any = {"responses": _ERRORS, "openapi_extra": _SENDING}

    @app.post("/v1/classify", summary="Classify one or several pictures", **shown)
    async def classify(request: Request, frame: Annotated[int | None, _FRAME] = None) -> Classified:
        async with _sent(request, classifier, bodies, classifier.settings.max_pictures) as files:
            return await classifier.classify(files, frame)

    @app.post("/v1/saliency", summary="Where one picture matters to a class", **shown)
    async def saliency(
        request: Request, frame: Annotated[int | None, _FRAME] = None, name: Annotated[str | None, _CLASS] = None
    ) -> SaliencyMap:
        async with _sent(request, classifier, bodies, 1) as files:
            return await classifier.saliency(files[0], frame, name)

    @app.get("/v1/model", summary="What the model says of itself")
    async def model() -> ModelFacts:
        return classifier.facts()


def _add_watching(app: FastAPI, classifier: Classifier, ready: asyncio.Event) -> None:
    """Health for whoever starts and stops the process, and counts for Prometheus."""

    @app.get("/health", summary="Whether the process lives, and whether it takes requests")
    async def health() -> Health:
        return Health(ready=ready.is_set())

    @app.get("/health/live", summary="Answers while the process lives")
    async def live() -> Health:
        return Health(ready=ready.is_set())

    @app.get("/health/ready", summary="503 until the model answers requests", responses={503: {"model": Health}})
    async def is_ready(response: Response) -> Health:
        response.status_code = 200 if ready.is_set() else 503
        return Health(ready=ready.is_set())

    @app.get("/metrics", summary="Counts, as Prometheus reads them", response_class=Response)
    async def metrics() -> Response:
        return Response(classifier.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _add_page(app: FastAPI) -> None:
    """The page to drop a picture on."""
    for path, name, kind in _PAGE_FILES:
        content = in_colours(PAGE / name) if kind == "text/css" else (PAGE / name).read_bytes()
        app.add_route(path, _always(content, kind), include_in_schema=False)


def _always(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


@asynccontextmanager
async def _sent(request: Request, classifier: Classifier, bodies: Room, most: int) -> AsyncIterator[list[bytes]]:
    """The files of a request, while it is answered in time.

    Raises:
        BodyTooLarge, RequestMalformed, ServingBusy: It is refused.
        TooSlow, AnswerLate: It took too long, by whose fault.
    """
    settings = classifier.settings
    late: WanwuError = TooSlow(f"A request must arrive within {settings.timeout_seconds} s. Send it again.")
    try:
        async with asyncio.timeout(settings.timeout_seconds):
            announced = announced_bytes(request.headers.getlist("content-length"), settings.max_request_bytes)
            with bodies.hold(announced):
                files = await files_of(
                    request.headers.get("content-type", ""),
                    request.stream(),
                    most_bytes=settings.max_request_bytes,
                    most_files=most,
                )
                late = AnswerLate(f"It took longer than {settings.timeout_seconds} s. Send fewer or smaller pictures.")
                yield files
    except TimeoutError:
        raise late from None
