"""One exported model, opened: public or a clinic's own pictures in, probabilities out, nothing kept.

onnxruntime alone computes; neither torch nor PySyft is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as states

from policies.errors import ModelRefused, WanwuError
from researcher.exported.about import ExportedModel
from researcher.exported.seal import check_said, check_seal

PICTURES, TOKENS, PROBABILITIES = "pictures", "tokens", "probabilities"
MAX_BYTES = 2 << 30
_AT_ONCE = 32
_ERRORS_ALONE = 3  # onnxruntime's severities: what it says of kernels is nothing to whoever runs a model
_FAILED = (
    states.EPFail,
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoModel,
    states.NotImplemented,
    states.RuntimeException,
)


class ModelSession:
    """A model of an ONNX file, float or int8, ready to run. Several threads may ask it at once.

    Attributes:
        about: What the file says of itself.
        bytes: Size of the file.
    """

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        """Opens a model.

        Args:
            content: The ONNX file's bytes.
            threads: Most threads that compute one call.

        Raises:
            ModelRefused: It is no ONNX file, says nothing of itself, was changed, or takes and gives something else
                than it says.
        """
        is_sealed = check_seal(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would take others' cores
        options.log_severity_level = _ERRORS_ALONE
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            said = self._session.get_modelmeta()
            description, properties = said.description, said.custom_metadata_map
        except (*_FAILED, UnicodeDecodeError) as error:
            raise ModelRefused("The file is no whole ONNX model that onnxruntime can run.") from error
        check_said(description, is_sealed=is_sealed)
        self.about = ExportedModel.from_properties(properties)
        self.bytes = len(content)
        self._check_edges()

    @classmethod
    def open(cls, path: Path | str, *, threads: int = 1) -> Self:
        """Opens a model's file, as `__init__` its bytes.

        Raises:
            ModelRefused: Likewise, or the file cannot be read.
        """
        path = Path(path)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ModelRefused(f"{path} has more than {MAX_BYTES >> 30} GiB.")
            return cls(path.read_bytes(), threads=threads)
        except OSError as error:
            raise ModelRefused(f"{path} cannot be read ({error.strerror}).") from error
        except WanwuError as error:
            raise ModelRefused(f"{path}: {error.public}") from error

    def probabilities(
        self, images: NDArray[np.generic], tokens: NDArray[np.generic] | None = None
    ) -> NDArray[np.float32]:
        """Returns the probability of each class, or of each finding, for each picture.

        Args:
            images: uint8, or uint16 where `about.bits` is 16, (N, H, W, C) with the H, W, C of `about.image_shape`; may
                be a memory map.
            tokens: Whole numbers, (N, length), what `policies.plans.tokeniser.tokens` makes of the reports, where
                `about.text_form` says that the model takes them.

        Returns:
            float32, (N, K).

        Raises:
            ModelRefused: The pictures or tokens are not what the model takes, or it gives no finite numbers.
        """
        self._check_inputs(images, tokens)
        found = np.empty((len(images), len(self.about.class_names)), dtype=np.float32)
        for start in range(0, len(images), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            given = {PICTURES: np.ascontiguousarray(images[part])}
            if tokens is not None:
                given[TOKENS] = np.ascontiguousarray(tokens[part], dtype=np.int64)
            try:
                found[part] = self._session.run([PROBABILITIES], given)[0]
            except _FAILED as error:
                raise ModelRefused("The model fails on these pictures. Export it again.") from error
        if not np.isfinite(found).all():
            raise ModelRefused("The model gives values that are no numbers. Export it again.")
        return found

    def _check_inputs(self, images: NDArray[np.generic], tokens: NDArray[np.generic] | None) -> None:
        kind = np.uint16 if self.about.bits == 16 else np.uint8
        if images.dtype != kind or images.ndim != 4 or images.shape[1:] != self.about.image_shape:
            raise ModelRefused(
                f"The model takes {kind.__name__} pictures of shape {self.about.image_shape}, got {images.dtype} of "
                f"{images.shape[1:]}."
            )
        form = self.about.text_form
        if (form is None) != (tokens is None):
            takes = "a report beside each picture" if form else "pictures alone"
            raise ModelRefused(f"The model takes {takes}. Give it that.")
        if form is None or tokens is None:
            return
        if tokens.dtype.kind not in "iu" or tokens.shape != (len(images), form.length):
            raise ModelRefused(
                f"The model takes {form.length} whole numbers for each report, got {tokens.dtype} of {tokens.shape}."
            )
        if tokens.size and (int(tokens.min()) < 0 or int(tokens.max()) >= form.vocabulary):
            raise ModelRefused(f"The model takes tokens from 0 to {form.vocabulary - 1}; others came.")

    def _check_edges(self) -> None:
        """Refuses a graph whose inputs and outputs are not those that its file speaks of."""
        about = self.about
        wanted = {PICTURES: ("uint16" if about.bits == 16 else "uint8", list(about.image_shape))}
        if (form := about.text_form) is not None:
            wanted[TOKENS] = ("int64", [form.length])
        found = {one.name: (one.type, one.shape) for one in self._session.get_inputs()}
        given = {one.name: (one.type, one.shape[1:]) for one in self._session.get_outputs()}
        fits = set(found) == set(wanted) and all(
            found[name][0] == f"tensor({kind})" and found[name][1][1:] == shape
            for name, (kind, shape) in wanted.items()
        )
        dynamic = all(isinstance(shape[0], str) for _, shape in found.values() if shape)
        if not fits or not dynamic or given != {PROBABILITIES: ("tensor(float)", [len(about.class_names)])}:
            raise ModelRefused("The file's model takes or gives something else than the file says. Export it again.")
