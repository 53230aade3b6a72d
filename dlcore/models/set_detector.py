"""A detector that predicts a set of boxes: queries attend to an image and to each other (DETR).

After Carion et al. 2020, with queries at reference points (Meng et al. 2021, sec. 3.3), which
learn faster, on the features of `detector.Pyramid`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention
from dlcore.models.detector import Pyramid
from dlcore.models.layers import LayerNorm

_PRIOR = 0.05  # the confidence with which training starts
_SIZE = 0.2  # initial width and height of a box, as a fraction of the image's
_MARGIN = 1e-3  # centres are clipped to this distance from the border before their logit is taken


def positions(points: Array, width: int) -> Array:
    """Computes sines and cosines of x and y at `width` / 4 frequencies, spaced geometrically.

    They have 1 to 16 periods over the unit interval.

    Args:
        points: [..., 2] in [0, 1].
        width: a multiple of 4.

    Returns:
        [..., width], dtype of `points`; computed in float32 at least.

    Source: Carion et al. 2020, app. A.4, with other frequencies.
    """
    acc_dtype = jnp.promote_types(points.dtype, jnp.float32)
    frequencies = 2 * math.pi * 2.0 ** jnp.linspace(0, 4, width // 4, dtype=acc_dtype)
    frequencies = frequencies.reshape((1,) * points.ndim + (-1,))
    angle = (points.astype(acc_dtype)[..., None] * frequencies).reshape(*points.shape[:-1], -1)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1).astype(points.dtype)


class DecoderBlock(nn.Module):
    """Applies a decoder block: attention between queries, attention to the image, and an MLP.

    Each is a residual branch with normalisation first. Maps queries [batch, n, width], their
    positions, features of the image [batch, m, width] and their positions to queries [batch, n,
    width].

    Attributes:
        width: of the queries.
        heads: of attention.
    """

    width: int
    heads: int

    @nn.compact
    def __call__(self, x: Array, place: Array, image: Array, image_place: Array) -> Array:
        """Updates queries.

        Args:
            x: queries [batch, n, width].
            place: positions of the queries, the same shape.
            image, image_place: features of the image and their positions [batch, m, width].

        Returns:
            Queries [batch, n, width].
        """
        dense = functools.partial(nn.Dense, self.width)

        def split(y: Array) -> Array:
            return y.reshape(*y.shape[:2], self.heads, -1).swapaxes(1, 2)

        def joined(y: Array) -> Array:
            return y.swapaxes(1, 2).reshape(x.shape)

        y = LayerNorm(name="norm_self")(x)
        q, k = (split(dense(name=f"self_{n}")(y + place)) for n in ("query", "key"))
        attended = attention(q, k, split(dense(name="self_value")(y)))
        x = x + dense(name="self_out")(joined(attended))
        y = LayerNorm(name="norm_image")(x)
        q = split(dense(name="query")(y + place))
        k = split(dense(name="key")(image + image_place))
        attended = attention(q, k, split(dense(name="value")(image)))
        x = x + dense(name="out")(joined(attended))
        y = gelu(nn.Dense(2 * self.width, name="up")(LayerNorm(name="norm_mlp")(x)))
        return x + dense(name="down")(y)


class SetDetector(nn.Module):
    """Detects objects by a fixed number of queries, each of which finds one object or none.

    Maps images [batch, height, width, c] to the outputs of every decoder block, of which the last
    ones are the detections: [layers, batch, grid ** 2, classes + 4], logits of the classes, then
    the box (left, top, right, bottom) in pixels.

    Attributes:
        widths, blocks, patch, groups: of the `Pyramid`, to whose cells queries attend.
        classes: number of classes.
        grid: queries along each axis; their reference points begin on a regular grid.
        layers: blocks of the decoder; each refines the boxes of the one before.
        heads: of attention.
        width: of the queries, a multiple of 4 and of `heads`.
    """

    widths: Sequence[int]
    blocks: Sequence[int]
    classes: int
    patch: int = 8
    groups: int = 8
    grid: int = 4
    layers: int = 3
    heads: int = 4
    width: int = 96

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Detects in images.

        Args:
            x: images [batch, height, width, c].

        Returns:
            [layers, batch, grid ** 2, classes + 4]: logits, and boxes (left, top, right, bottom)
            in pixels; the last layer's are the detections, the others are trained too. float32
            where `x` is bfloat16, which would round a side by up to half a pixel.

        Raises:
            UsageError, ValueError: as `Pyramid`.
        """
        acc_dtype = jnp.promote_types(x.dtype, jnp.float32)  # of points, sizes, boxes and outputs
        canvas = jnp.asarray([x.shape[2], x.shape[1]] * 2, acc_dtype)
        cells = Pyramid(self.widths, self.blocks, self.patch, self.groups, name="pyramid")(x)
        batch, h, w, _ = cells.shape
        image = nn.Dense(self.width, name="features")(cells.reshape(batch, h * w, -1))
        image = LayerNorm(name="norm_features")(image)
        middles = np.stack(np.meshgrid((np.arange(w) + 0.5) / w, (np.arange(h) + 0.5) / h), -1)
        centres = jnp.asarray(middles.reshape(1, -1, 2), acc_dtype)
        image_place = positions(centres, self.width).astype(x.dtype)
        points = self.param("points", _on_a_grid, (self.grid**2, 2), jnp.float32)
        point = jnp.broadcast_to(points.astype(acc_dtype), (batch, *points.shape))
        size = jnp.full_like(point, math.log(_SIZE))
        shape = (self.grid**2, self.width)
        embedded = self.param("queries", nn.initializers.normal(1.0), shape, jnp.float32)
        query = jnp.broadcast_to(embedded.astype(x.dtype), (batch, *embedded.shape))
        outputs = []
        small, prior = nn.initializers.normal(0.01), math.log(_PRIOR / (1 - _PRIOR))
        classify = nn.Dense(
            self.classes, kernel_init=small, bias_init=nn.initializers.constant(prior), name="class"
        )
        for layer in range(self.layers):
            place = nn.Dense(self.width, name=f"place_{layer}")(
                positions(jax.nn.sigmoid(point), self.width).astype(x.dtype)
            )
            query = DecoderBlock(self.width, self.heads, name=f"layer_{layer}")(
                query, place, image, image_place
            )
            read = LayerNorm(name=f"norm_{layer}")(query)
            hidden = jax.nn.relu(nn.Dense(self.width, name=f"hidden_{layer}")(read))
            change = nn.Dense(4, kernel_init=small, name=f"box_{layer}")(hidden).astype(acc_dtype)
            point, size = point + change[..., :2], jnp.minimum(size + change[..., 2:], 0.0)
            middle, half = jax.nn.sigmoid(point), jnp.exp(size) / 2
            boxes = jnp.concatenate([middle - half, middle + half], -1) * canvas[None, None]
            outputs.append(jnp.concatenate([classify(read).astype(acc_dtype), boxes], -1))
            # a layer refines the boxes of the one before, and does not train it (Zhu et al. 2021)
            point, size = jax.lax.stop_gradient((point, size))
        return jnp.stack(outputs)


def _on_a_grid(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """The logits of points on a regular grid in the unit square, [n ** 2, 2]."""
    count = math.isqrt(shape[0])
    along = (np.arange(count) + 0.5) / count
    points = np.clip(np.stack(np.meshgrid(along, along), -1).reshape(-1, 2), _MARGIN, 1 - _MARGIN)
    return jnp.asarray(np.log(points / (1 - points)), dtype)
