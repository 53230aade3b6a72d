"""Restoration of images: degraded inputs, and the loss of the restored images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import Array

from dlcore.kernels.corrupt import gaussian_blur, gaussian_noise
from dlcore.tasks.autoencoding import grey
from dlcore.train.model import Inputs, Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean


def inputs(blur: float, noise: float) -> Inputs:
    """Returns the `inputs` of a `Model`: images with a Gaussian blur and Gaussian noise.

    Args:
        blur: standard deviation of the blur in pixels; 0: none.
        noise: standard deviation of the noise, for pixels in [0, 1].

    Returns:
        (batch, key, train) -> float32 [batch, height, width, channels], not clipped to [0, 1]. A
        batch with `degraded`, as in evaluation, gives this field unchanged. Without a key, at
        initialisation, images are not degraded.
    """

    def degraded(batch: Batch, key: Array | None, train: bool) -> Array:
        if "degraded" in batch:
            return batch["degraded"]
        x = grey(batch)
        if key is None:
            return x
        return gaussian_noise(key, batch["row"], gaussian_blur(x, blur) if blur else x, noise)

    return degraded


def loss(model: Model) -> Loss:
    """Returns the binary cross-entropy, in nats, as a mean over pixels; metric: `psnr` in dB.

    Cross-entropy has the same minimum as the squared error, and larger gradients near black. PSNR
    is the mean over images of -10 log10 of an image's mean squared error, at most 100 dB.

    Args:
        model: computes (logits of the pixels, code) from a batch with `image`, uint8 [batch,
            height, width, channels], and `mask`, float [batch].
    """

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        x = grey(batch)
        (y, _), extra = model(params, extra, batch, key, train)
        y = y.astype(x.dtype)
        squared = ((jax.nn.sigmoid(y) - x) ** 2).mean((1, 2, 3))
        xent = optax.sigmoid_binary_cross_entropy(y, x).mean((1, 2, 3))
        psnr = -10 * jnp.log10(jnp.maximum(squared, 1e-10))
        return Out(mean(xent, batch["mask"]), {"psnr": mean(psnr, batch["mask"])}, extra)

    return cross_entropy
