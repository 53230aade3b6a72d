"""Style transfer to styles that training never saw, by adaptive instance normalisation."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.splits import Splits
from dlcore.kernels.style import adain
from dlcore.models.adain import LAYER
from dlcore.tasks import image_inputs
from dlcore.tasks.style_transfer import Paint, Perceptual, padded, shrunk
from dlcore.train.model import Inputs, Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean


@dataclasses.dataclass(frozen=True)
class AnyStyle:
    """Paints photographs in the style of any picture, in a single pass, by its method `paint`.

    Attributes:
        decoder: maps activations of the VGG layer `LAYER`, [batch, h / 8, w / 8, channels], to
            pictures [batch, h, w, 3] in [0, 1].
        vgg: frozen network, whose activations of photograph and style are used.
    """

    decoder: Model
    vgg: Model

    def paint(
        self,
        params: Params,
        extra: Extra,
        photograph: Array,
        style: Array,
        strength: Array | float = 1.0,
    ) -> Array:
        """Paints photographs (Huang & Belongie 2017, eq. 14).

        Args:
            params, extra: of all models.
            photograph: [batch, h, w, 3] in [0, 1]; h and w are multiples of 8.
            style: picture of the style of each photograph, or one for all: [batch or 1, height,
                width, 3] in [0, 1]; height and width are multiples of 8, and need not be h and w.
            strength: weight a in [0, 1], a number or an array that broadcasts to the activations
                [batch, h / 8, w / 8, channels]: decoded are a * (activations with the style's
                moments) + (1 - a) * (the photograph's own).

        Returns:
            Pictures [batch, h, w, 3] in [0, 1].
        """
        content = self.vgg.on(params, extra, photograph)[LAYER]
        styled = adain(content, self.vgg.on(params, extra, style)[LAYER])
        return self.decoder.on(params, extra, strength * styled + (1 - strength) * content)


def inputs(channels: int) -> Inputs:
    """Returns the `inputs` of the decoder's `Model`, which serve its initialisation only.

    Args:
        channels: number of channels of the activations.

    Returns:
        (batch, key, train) -> zeros float32 [1, 1, 1, channels].
    """
    return lambda batch, key, train: jnp.zeros((1, 1, 1, channels))


def loss(network: AnyStyle, perceptual: Perceptual) -> Loss:
    """Returns the perceptual loss of photographs, each painted in the style of its own picture.

    The loss is the mean of the total of `Perceptual` over the examples whose `mask` is 1; the
    targets of the style loss are the Gram matrices of each example's `style`. Values are comparable
    with those of `style_transfer.loss`, which has one style for all examples. Metrics: `content`,
    `style`.

    Args:
        network: paints the field `image` of a batch in the style of its field `style`, both uint8
            [batch, size, size, 3] with a size that is a multiple of 8.
        perceptual: the losses.
    """

    def painted(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        photograph, style = (
            image_inputs.unit({"image": batch[name]}, None, False) for name in ("image", "style")
        )
        made = network.paint(params, extra, photograph, style)
        each = perceptual(params, extra, made, photograph, style)
        metrics = {name: mean(each[name], batch["mask"]) for name in ("content", "style")}
        return Out(mean(each["total"], batch["mask"]), metrics, extra)

    return painted


def paint_unseen(network: AnyStyle, splits: Splits, size: int) -> Paint:
    """Returns a function that paints photographs in the test split's style, unseen in training.

    Args:
        network: paints.
        splits: whose test split has `unseen`, the style's picture, uint8 [height, width, 3]; it is
            read when something is painted.
        size: pixels to which the longer side of the style's picture is reduced; a smaller picture
            keeps its size.

    Returns:
        (params, extra, photographs [batch, h, w, 3] in [0, 1], h and w multiples of 8) -> pictures
        of the same shape, in [0, 1].
    """

    def paint(params: Params, extra: Extra, photograph: Array) -> Array:
        style = padded(shrunk(splits.test.unseen, size))[None].astype(np.float32) / 255
        return network.paint(params, extra, photograph, jnp.asarray(style))

    return paint
