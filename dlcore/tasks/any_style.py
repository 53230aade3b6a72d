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
    """Paints a photograph in the style of any picture, in a single pass.

    Attributes:
        decoder: activations of `LAYER` -> pictures.
        vgg: frozen features of both.
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
            style: pictures [batch, height, width, 3] in [0, 1], likewise.
            strength: 0: the photograph's own activations are decoded, 1: those in the style.

        Returns:
            Pictures [batch, h, w, 3] in [0, 1].
        """
        content = self.vgg.on(params, extra, photograph)[LAYER]
        styled = adain(content, self.vgg.on(params, extra, style)[LAYER])
        return self.decoder.on(params, extra, strength * styled + (1 - strength) * content)


def inputs(channels: int) -> Inputs:
    """The inputs of a decoder at its initialisation: activations of one position.

    Args:
        channels: of the activations.
    """
    return lambda batch, key, train: jnp.zeros((1, 1, 1, channels))


def loss(network: AnyStyle, perceptual: Perceptual) -> Loss:
    """The total perceptual loss of crops painted in the styles beside them.

    Content and style losses are those of `Perceptual`, with the Gram matrices of each example's own
    `style`, so that they compare with those of one style's network. Metrics `content` and `style`.

    Args:
        network: of batches with `image` and `style`, uint8 [batch, size, size, 3].
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
    """Returns (params, extra, photographs) -> pictures in the style that training never saw.

    Args:
        network: paints.
        splits: whose test split has `unseen`, the style; it is read when something is painted.
        size: pixels of the style's longer side.
    """

    def paint(params: Params, extra: Extra, photograph: Array) -> Array:
        style = padded(shrunk(splits.test.unseen, size))[None].astype(np.float32) / 255
        return network.paint(params, extra, photograph, jnp.asarray(style))

    return paint
