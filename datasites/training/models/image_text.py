"""A model of a picture and the report beside it. Its code is public; its weights leave only as a run's update.

Late fusion: an encoder of the picture and one of the report, each blind to the other, and one linear head on both
feature vectors. The report's encoder is a mean of word vectors, as in Iyyer et al. ("Deep Unordered Composition Rivals
Syntactic Methods for Text Classification", ACL 2015), which trains well under clipped and noised gradients since it is
shallow and each report touches few rows.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from datasites.training.models.catalog import build_model
from policies.errors import PlanError
from policies.plans.model_options import picture_encoder, text_options
from policies.plans.tokeniser import PADDING, TextForm, text_form
from policies.plans.training import ModelSpec


class ImageText(nn.Module):
    """Logits from a picture and its report.

    Args:
        picture: (B, C, H, W) → features, (B, P).
        picture_features: P.
        form: What a report looks like.
        text_features: Length of a word's vector, T.
        window: Neighbouring words that are looked at together; 1 is words alone, in any order.
        num_classes: K.
    """

    def __init__(
        self,
        picture: nn.Module,
        picture_features: int,
        form: TextForm,
        *,
        text_features: int,
        window: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.picture = picture
        self.text = TextEncoder(form, features=text_features, window=window)
        self.head = nn.Linear(picture_features + text_features, num_classes)

    def forward(self, inputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Returns logits, float32, (B, K).

        Args:
            inputs: Pictures, float32, (B, C, H, W), and tokens, whole numbers, (B, length), as
                `policies.plans.tokeniser.tokens` makes them.
        """
        images, tokens = inputs
        return self.head(torch.cat((self.picture(images), self.text(tokens)), dim=1))


class TextEncoder(nn.Module):
    """The mean over a report's words of each one's vector, or of each window's.

    What stands at `PADDING` adds nothing and gets no gradient, whatever the weights there: only words are counted, and
    an empty report gives what the norm's bias says.

    Args:
        form: What a report looks like.
        features: Length of the result.
        window: Words whose vectors are mixed before the mean, in their order.
    """

    def __init__(self, form: TextForm, *, features: int, window: int) -> None:
        super().__init__()
        self.words = nn.Embedding(form.vocabulary, features, padding_idx=PADDING)
        self.mix = nn.Linear(window * features, features) if window > 1 else None
        self.norm = nn.LayerNorm(features)
        self._window = window

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Returns float32, (B, features), for whole numbers, (B, length)."""
        tokens = tokens.long()
        present = (tokens != PADDING).unsqueeze(2)
        vectors = self.words(tokens).masked_fill(~present, 0.0)
        if self.mix is not None:
            length = tokens.shape[1]
            after = F.pad(vectors, (0, 0, 0, self._window - 1))
            together = torch.cat([after[:, shift : shift + length] for shift in range(self._window)], dim=2)
            vectors = torch.tanh(self.mix(together)).masked_fill(~present, 0.0)
        mean = vectors.sum(dim=1) / present.sum(dim=1).clamp(min=1)
        return torch.tanh(self.norm(mean))


def image_text(spec: ModelSpec) -> nn.Module:
    """Builds the model `image_text`, whose forward takes a tuple of pictures and tokens.

    Options: text_length, tokeniser, vocabulary (the form of the reports, from the dataset's schema), picture_encoder
    (`small_cnn`; any model for pictures, whose last linear layer is left out), text_features (32), window (1). All
    other options are the picture encoder's.

    Raises:
        PlanError: An unknown or missing option, or one out of range.
    """
    form, encoder = text_form(spec), picture_encoder(spec)
    if form is None or encoder is None:
        raise PlanError(f"Model {spec.name!r} does not take reports.")
    options = text_options(spec)
    picture = build_model(encoder)
    width = _without_head(picture, spec)
    return ImageText(
        picture,
        width,
        form,
        text_features=options["text_features"],
        window=options["window"],
        num_classes=spec.num_classes,
    )


def _without_head(picture: nn.Module, spec: ModelSpec) -> int:
    """Takes the last linear layer out of a picture model, in place; returns how many features it read."""
    layers = [(name, module) for name, module in picture.named_modules() if isinstance(module, nn.Linear)]
    name, head = layers[-1] if layers else ("", None)
    if head is None or not name or head.out_features != spec.num_classes:
        raise PlanError(
            f"Model {text_options(spec)['picture_encoder']!r} does not end in a linear layer and cannot "
            "encode pictures beside reports. Use small_cnn."
        )
    picture.set_submodule(name, nn.Identity())
    return head.in_features
