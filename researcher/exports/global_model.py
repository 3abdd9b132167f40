"""A global model as an export takes it: weights, facts of its study, receipts beside it. All of it was released."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from datasites.training.models.public.public_weights import read_public_weights
from policies import __version__
from policies.plans.features import FeatureSpec
from researcher import atomic_file
from researcher.exported.about import ExportedModel, PrivacyCost
from researcher.exports.whole_model import Backbone
from researcher.papers.kept_receipts import receipt_files
from researcher.planning.initial_weights import Source
from researcher.studies.checkpoints import Checkpoint, load_model
from researcher.studies.kept_plan import GRAM_RECEIPTS


@dataclass(frozen=True, eq=False)
class GlobalModel:
    """A global model to be exported.

    Attributes:
        checkpoint: Weights and what is known of them.
        sha256: Of the safetensors file.
        receipts: SHA-256 of each signed receipt in the study's folder, in the order of the files' names.
        backbone: Public weights that a features model's pictures go through; None of every other model.
        gram_unnamed: Whether the weights are from before Wanwu 0.3, which named no Gram matrix, and receipts of one lie
            beside them.
    """

    checkpoint: Checkpoint
    sha256: str
    receipts: tuple[str, ...]
    backbone: Backbone | None = None
    gram_unnamed: bool = False

    @classmethod
    def load(cls, file: Path, *, backbone_weights: str | None = None) -> GlobalModel:
        """Reads a saved global model, and the receipts of its study where they lie beside it.

        Args:
            file: `.safetensors`, with its sidecar.
            backbone_weights: Where a features model's public weights are, as `Source` of
                `researcher.planning.initial_weights` reads it.

        Raises:
            ConfigError: A file is missing, malformed or has another digest.
        """
        checkpoint = load_model(file)
        found = receipt_files(file.parent)
        receipts = tuple(hashlib.sha256(atomic_file.read(one)).hexdigest() for one in found)
        digest = hashlib.sha256(atomic_file.read(file)).hexdigest()
        old = not checkpoint.written_by and checkpoint.gram is None
        unnamed = old and any(one.parent.name == GRAM_RECEIPTS for one in found)
        return cls(checkpoint, digest, receipts, _backbone(checkpoint, backbone_weights), unnamed)

    @property
    def bits(self) -> int:
        """Bits of each value of the pictures that it takes."""
        form = self.checkpoint.form
        return 8 if form is None else form.store_bits

    def about(self, file_format: str) -> ExportedModel:
        """What an exported file says of it, before that was held against it."""
        one = self.checkpoint
        costs = [spent for spent in one.privacy.values() if spent is not None]
        return ExportedModel(
            format=file_format,
            name=one.model.name,
            options=dict(one.model.options),
            image_shape=one.model.image_shape,
            label_kind=one.model.label_kind,
            class_names=one.class_names,
            form=one.form,
            round=one.round,
            model_sha256=self.sha256,
            plan_digest=one.plan_digest,
            receipts=self.receipts,
            privacy=tuple(PrivacyCost(spent.epsilon, spent.delta, spent.unit) for spent in costs),
            without_privacy=len(one.privacy) - len(costs),
            written_by=f"wanwu {__version__}",
            graph=one.model.graph,
            gram=tuple(sorted((one.gram or {}).values())),
            gram_unnamed=self.gram_unnamed,
        )


def _backbone(checkpoint: Checkpoint, source: str | None) -> Backbone | None:
    reads = FeatureSpec.of(checkpoint.model)
    if reads is None or source is None:
        return None
    return read_public_weights(Source.parse(source).get(), sha256=reads.weights_sha256)
