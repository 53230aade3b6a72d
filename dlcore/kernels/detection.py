"""Targets and losses of detectors without anchors: heat maps of centres, and focal losses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

# The standard deviation of an object's Gaussian is so many of its sizes (0.54 / 6), and at least so
# many cells.
_SPREAD, _LEAST = 0.09, 0.4


def centre_heat(
    boxes: Float[Array, "batch n 4"],
    labels: Integer[Array, "batch n"],
    shape: tuple[int, int],
    stride: int,
    classes: int,
) -> Float[Array, "batch h w classes"]:
    """Computes a heat map of each class: in each cell the largest Gaussian of the class's objects.

    A Gaussian is 1 in the cell that contains the centre of a box (for a centre outside the map, in
    the nearest cell); its standard deviations along x and y are 0.09 of the box's width and height,
    at least 0.4 cells.

    Args:
        boxes: left, top, right, bottom [batch, n, 4] in pixels, floating; those without area are no
            objects.
        labels: classes, int [batch, n]; boxes with a label outside 0 to classes - 1 have no heat.
        shape: rows and columns of the map.
        stride: pixels of a cell along each axis.
        classes: number of classes.

    Returns:
        [batch, h, w, classes] in [0, 1], dtype of `boxes`.

    Source: CenterNet (Zhou et al. 2019, sec. 3), with the Gaussians of TTFNet (Liu et al. 2020,
    eq. 2).
    """
    gaussian = _gaussians(boxes, shape, stride)
    heat = [
        jnp.where((labels == k)[..., None, None], gaussian, 0).max(1, initial=0)
        for k in range(classes)
    ]
    return jnp.stack(heat, -1).astype(boxes.dtype)


def centre_boxes(
    boxes: Float[Array, "batch n 4"], shape: tuple[int, int], stride: int, cutoff: float = 0.1
) -> tuple[Float[Array, "batch h w 4"], Float[Array, "batch h w"]]:
    """Computes the box that each cell has to predict, and the weight of the cell in the loss.

    A cell belongs to the object whose Gaussian (see `centre_heat`) is largest there, if it is above
    `cutoff`; of equal Gaussians that of the smaller box counts. The weights of an object's cells
    are proportional to its Gaussian and sum to 1.

    Args:
        boxes: left, top, right, bottom [batch, n, 4] in pixels, floating; those without area are no
            objects.
        shape: rows and columns of the map.
        stride: pixels of a cell along each axis.
        cutoff: of the Gaussian, in [0, 1).

    Returns:
        Boxes [batch, h, w, 4] and weights [batch, h, w], zeros where a cell belongs to no object;
        dtype of `boxes`.

    Source: TTFNet (Liu et al. 2020, eq. 6), without the factor for the area.
    """
    upcast = boxes.astype(jnp.promote_types(boxes.dtype, jnp.float32))
    gaussian = _gaussians(boxes, shape, stride)
    size = (upcast[..., 2:] - upcast[..., :2]).prod(-1)
    largest = gaussian >= gaussian.max(1, keepdims=True)
    smallest = jnp.where(largest, size[..., None, None], jnp.inf)
    # of equal boxes with equal Gaussians the first
    owner = jnp.argmin(smallest, 1)[:, None] == jnp.arange(boxes.shape[1])[None, :, None, None]
    owned = owner & (gaussian > cutoff)
    weight = jnp.where(owned, gaussian, 0)
    total = weight.sum((2, 3), keepdims=True)
    weight = (weight / jnp.where(total > 0, total, 1)).sum(1)
    target = jnp.einsum("bnhw,bnd->bhwd", owned.astype(upcast.dtype), upcast)
    return target.astype(boxes.dtype), weight.astype(boxes.dtype)


def boxes_of_distances(
    distances: Float[Array, "batch h w 4"], stride: int
) -> Float[Array, "batch h w 4"]:
    """Converts the distances of each cell's centre to the sides of a box into the box.

    Args:
        distances: to left, top, right and bottom [batch, h, w, 4] in pixels, floating.
        stride: pixels of a cell along each axis.

    Returns:
        Boxes (left, top, right, bottom) [batch, h, w, 4] in pixels, dtype of `distances`.

    Source: FCOS (Tian et al. 2019, eq. 1).
    """
    dtype = jnp.promote_types(distances.dtype, jnp.float32)
    h, w = distances.shape[1:3]
    y, x = ((jnp.arange(n, dtype=dtype) + 0.5) * stride for n in (h, w))
    middle = jnp.stack(jnp.broadcast_arrays(x[None], y[:, None]), -1)[None]
    away = distances.astype(dtype)
    return jnp.concatenate([middle - away[..., :2], middle + away[..., 2:]], -1).astype(
        distances.dtype
    )


def heat_loss(
    logits: Float[Array, "*shape"],
    heat: Float[Array, "*shape"],
    alpha: float = 2.0,
    beta: float = 4.0,
) -> Float[Array, "*shape"]:
    """Computes the focal loss of heat maps, with p = sigmoid(logits), in nats.

    -(1 - p)^alpha log p where the heat is 1, else -(1 - heat)^beta p^alpha log(1 - p).

    Args:
        logits: [...], floating.
        heat: targets in [0, 1], shape and dtype of `logits`.
        alpha: exponent that reduces the loss of well predicted cells; 0: no reduction.
        beta: exponent that reduces the loss of cells near an object's centre; 0: no reduction.

    Returns:
        Losses [...], dtype of `logits`.

    Source: CornerNet (Law & Deng 2018, eq. 1).
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    x, y = logits.astype(dtype), heat.astype(dtype)
    log_p, log_q = jax.nn.log_sigmoid(x), jax.nn.log_sigmoid(-x)
    middle = -jnp.exp(alpha * log_q) * log_p
    elsewhere = -((1 - y) ** beta) * jnp.exp(alpha * log_p) * log_q
    return jnp.where(y >= 1, middle, elsewhere).astype(logits.dtype)


def focal_loss(
    logits: Float[Array, "*shape"],
    target: Float[Array, "*shape"],
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Float[Array, "*shape"]:
    """Focal loss of binary targets: -alpha_t (1 - p_t)^gamma log p_t, in nats.

    p_t is the probability of the true answer, sigmoid(logits) for a target of 1.

    Args:
        logits: [...], floating.
        target: 0 or 1, shape and dtype of `logits`.
        gamma: exponent that reduces the loss of well predicted entries; 0: weighted cross-entropy.
        alpha: weight of a target of 1; the weight of a target of 0 is 1 - alpha.

    Returns:
        Losses [...], dtype of `logits`.

    Source: Lin et al. 2017, eq. 5.
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    x, positive = logits.astype(dtype), target.astype(dtype) > 0.5
    signed = jnp.where(positive, x, -x)
    log_p, log_q = jax.nn.log_sigmoid(signed), jax.nn.log_sigmoid(-signed)
    weight = jnp.where(positive, alpha, 1 - alpha).astype(dtype)
    return (-weight * jnp.exp(gamma * log_q) * log_p).astype(logits.dtype)


def _gaussians(boxes: Array, shape: tuple[int, int], stride: int) -> Array:
    """A Gaussian for each box [batch, n, h, w], 0 for those without area; float32 at least."""
    dtype = jnp.promote_types(boxes.dtype, jnp.float32)
    boxes = boxes.astype(dtype) / stride
    size, middle = boxes[..., 2:] - boxes[..., :2], (boxes[..., :2] + boxes[..., 2:]) / 2
    limit = jnp.asarray([[[shape[1] - 1, shape[0] - 1]]], dtype)
    cell = jnp.clip(jnp.floor(middle), 0, limit)
    spread = jnp.maximum(_SPREAD * size, _LEAST)
    along = [
        jnp.exp(-((jnp.arange(n, dtype=dtype)[None, None] - cell[..., i, None]) ** 2) / (2 * s * s))
        for i, n, s in ((0, shape[1], spread[..., :1]), (1, shape[0], spread[..., 1:]))
    ]
    there = (size > 0).all(-1)[..., None, None]
    return jnp.where(there, along[1][..., :, None] * along[0][..., None, :], 0)
