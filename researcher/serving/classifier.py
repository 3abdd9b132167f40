"""One served model: files of requests in, what it says of them out. Pictures live in memory until they are answered."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasites.picture_files.picture_refused import PictureRefused, Reason
from policies.errors import ModelRefused, RequestMalformed
from researcher.exported.session import ModelSession
from researcher.serving import saliency
from researcher.serving.answers import (
    Classified,
    ClassProbability,
    ModelFacts,
    PictureAnswer,
    SaliencyMap,
    Unlike,
    UsualLookFacts,
)
from researcher.serving.batches import MOST_IN_A_BATCH, Batches
from researcher.serving.metrics import Metrics
from researcher.serving.pictures import SentPicture, read_picture
from researcher.serving.port.room import Room
from researcher.serving.settings import ServingSettings
from researcher.serving.usual_look import CANNOT, FALSE_ALARM_RATE, UsualLook


class Classifier:
    """A model with its queue, its decoders and its counts."""

    def __init__(self, session: ModelSession, settings: ServingSettings, look: UsualLook | None) -> None:
        """Takes a model into service; `batches.start` opens its queue.

        Raises:
            ModelRefused: It takes reports beside pictures, or arrays that no picture file becomes.
        """
        if session.about.text_form is not None:
            raise ModelRefused(
                "The model takes a report beside each picture. Only models of pictures alone are served."
            )
        self.session, self.settings, self.look = session, settings, look
        self.form = session.about.picture_form
        self.room = Room(settings.max_waiting, "pictures")
        self.metrics = Metrics(lambda: float(self.room.taken))
        self._reading = 0
        self.batches = Batches(session.probabilities, expected=lambda: self._reading > 0, ran=self.metrics.ran)
        self._maps = Room(1, "saliency maps")
        self._decoders = ThreadPoolExecutor(settings.decoders, "decoder")

    def warm(self) -> None:
        """Runs batches of every size, the largest first and again: what the runtime needs of memory it has then."""
        about = self.session.about
        kind = np.uint16 if about.bits == 16 else np.uint8
        for pictures in (MOST_IN_A_BATCH, MOST_IN_A_BATCH, *range(MOST_IN_A_BATCH, 0, -1)):
            self.session.probabilities(np.zeros((pictures, *about.image_shape), dtype=kind))

    async def close(self) -> None:
        """Ends its threads."""
        await self.batches.close()
        self._decoders.shutdown(wait=False, cancel_futures=True)

    async def classify(self, files: Sequence[bytes], frame: int | None) -> Classified:
        """What the model says of each file.

        Raises:
            PictureRefused: One is no picture that is taken; its number stands in the text.
            ServingBusy: No room.
        """
        with self.room.hold(len(files)):
            read = await asyncio.gather(
                *(self._read(file, frame, place, len(files)) for place, file in enumerate(files))
            )
            found = await self.batches.classify([picture.values for picture, _ in read])
        for picture, unlike in read:
            self.metrics.classified(picture.kind, flagged=unlike is not None and unlike.flagged)
        about = self.session.about
        pictures = [
            PictureAnswer(classes=self._named(row), unlike_training=unlike)
            for (_, unlike), row in zip(read, found, strict=True)
        ]
        return Classified(
            model=about.model_sha256, label_kind=about.label_kind, pictures=pictures, use=self.settings.use
        )

    async def saliency(self, file: bytes, frame: int | None, name: str | None) -> SaliencyMap:
        """Where a picture matters to one of the classes, the most probable one if none is named.

        Raises:
            RequestMalformed: The model has no such class.
            PictureRefused: The file is no picture that is taken.
            ServingBusy: No room, or another map is being computed.
        """
        names = self.session.about.class_names
        if name is not None and name not in names:
            raise RequestMalformed(f"Expected a class of the model ({', '.join(names)}), another one came.")
        with self._maps.hold(1), self.room.hold(1):
            picture, _ = await self._read(file, frame, 0, 1)
            whole = (await self.batches.classify([picture.values]))[0]
            of = int(whole.argmax()) if name is None else names.index(name)
            parts, without = saliency.covered(picture.values), list[float]()
            while some := list(islice(parts, MOST_IN_A_BATCH)):
                without += (await self.batches.classify(some))[:, of].tolist()
        return SaliencyMap(
            model=self.session.about.model_sha256,
            name=names[of],
            probability=float(whole[of]),
            drops=saliency.drops(float(whole[of]), np.asarray(without)).tolist(),
            means=saliency.MEANS,
            seen=_png(picture.values),
        )

    def facts(self) -> ModelFacts:
        """What the model's file says of itself."""
        about, settings = self.session.about, self.settings
        look = None
        if self.look is not None:
            look = UsualLookFacts(pictures=self.look.pictures, false_alarm_rate=FALSE_ALARM_RATE, cannot=CANNOT)
        return ModelFacts(
            model=about.model_sha256,
            name=about.name,
            format=about.format,
            label_kind=about.label_kind,
            class_names=list(about.class_names),
            image_shape=about.image_shape,
            promise=about.promise,
            unlike_training=look,
            use=settings.use,
            max_pictures=settings.max_pictures,
            max_request_bytes=settings.max_request_bytes,
        )

    async def _read(self, file: bytes, frame: int | None, place: int, of: int) -> tuple[SentPicture, Unlike | None]:
        with self._being_read():
            try:
                return await asyncio.get_running_loop().run_in_executor(self._decoders, self._looked_at, file, frame)
            except PictureRefused as refused:
                if of == 1:
                    raise
                reason = refused.reason
                means = f"(Number {place + 1} of {of}.) {reason.means}"
                raise PictureRefused(Reason(reason.code, means, reason.advice)) from None

    def _looked_at(self, file: bytes, frame: int | None) -> tuple[SentPicture, Unlike | None]:
        picture = read_picture(file, self.form, frame=frame, max_pixels=self.settings.max_pixels)
        if self.look is None:
            return picture, None
        distance, threshold = self.look.distance(picture.values), self.look.threshold
        flagged = distance > threshold
        return picture, Unlike(
            flagged=flagged, distance=distance, threshold=threshold, false_alarm_rate=FALSE_ALARM_RATE
        )

    def _named(self, row: NDArray[np.float32]) -> list[ClassProbability]:
        names = self.session.about.class_names
        return [
            ClassProbability(name=names[place], probability=float(row[place]))
            for place in np.argsort(-row, kind="stable")
        ]

    @contextmanager
    def _being_read(self) -> Iterator[None]:
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1


def _png(values: NDArray[Any]) -> str:
    if values.dtype == np.uint16:
        values = values >> 8
    shown = Image.fromarray(values.astype(np.uint8)[:, :, 0] if values.shape[2] == 1 else values.astype(np.uint8))
    written = BytesIO()
    shown.save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode("ascii")
