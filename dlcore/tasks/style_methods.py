"""Two methods of style transfer: a network for one style, and a network for any style."""

from __future__ import annotations

import dataclasses

from dlcore.data.splits import Splits
from dlcore.tasks import any_style as any_styles
from dlcore.tasks import style_transfer
from dlcore.tasks.style_predictor import AnyStylePredictor, StylePredictor
from dlcore.tasks.style_transfer import Paint, Perceptual
from dlcore.train.model import Model
from dlcore.train.step import Loss


@dataclasses.dataclass(frozen=True)
class Method:
    """The functions of a method of style transfer.

    Attributes:
        paint: (params, extra, photographs) -> pictures, in the style in which the method is
            evaluated; both float [batch, h, w, 3] in [0, 1].
        loss: of training.
        predictor: paints a user's photographs.
    """

    paint: Paint
    loss: Loss
    predictor: StylePredictor | AnyStylePredictor


def one_style(painter: Model, perceptual: Perceptual, splits: Splits) -> Method:
    """Returns the method of a network that paints in the one style it is trained on.

    Args:
        painter: maps photographs to pictures, both [batch, h, w, 3] in [0, 1].
        perceptual: the losses.
        splits: their fact `style` is the name of the style.
    """
    loss = style_transfer.loss(painter, perceptual)
    return Method(painter.on, loss, StylePredictor(painter, splits.facts.style))


def any_style(decoder: Model, perceptual: Perceptual, splits: Splits, size: int) -> Method:
    """Returns the method of a network that paints in any style; it is evaluated in an unseen one.

    Args:
        decoder: maps activations of VGG to pictures, see `AnyStyle`.
        perceptual: the losses.
        splits: of `data.sets.styles.with_styles`.
        size: pixels to which the longer side of a style's picture is reduced.
    """
    network = any_styles.AnyStyle(decoder, perceptual.vgg)
    paint = any_styles.paint_unseen(network, splits, size)
    loss = any_styles.loss(network, perceptual)
    return Method(paint, loss, AnyStylePredictor(network, size))
