"""Style transfer: a network that stylises a photograph, and the frozen features of its loss."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels.pool import max_pool
from dlcore.kernels.shuffle import depth_to_space, space_to_depth
from dlcore.kernels.style import instance_norm

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3", "conv4_1")
STYLE = ("conv1_2", "conv2_2", "conv3_3", "conv4_1")  # whose Gram matrices are compared
CONTENT = "conv3_3"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels
SMALLEST = 16  # pixels; a picture is padded to a multiple of 8


class VGG(nn.Module):
    """Computes activations of VGG-16's first layers (Simonyan & Zisserman 2015, configuration D).

    Maps RGB images [batch, height, width, 3] in [0, 1], which it standardises, to {layer: [batch,
    h, w, channels]} after ReLU, for the layers `STYLE`; 8 divides height and width.

    Attributes:
        width: channels of the first block; the others have 2, 4 and 8 times as many. VGG-16 has 64.
    """

    width: int = 64

    @nn.compact
    def __call__(self, image: Array) -> dict[str, Array]:
        """Computes the activations after ReLU.

        Args:
            image: RGB [batch, height, width, 3] in [0, 1]; height and width are multiples of 8.

        Returns:
            {layer: [batch, h, w, channels]} of the layers `STYLE`, one of which is `CONTENT`.
        """
        mean, deviation = (np.array(c, np.float32)[None, None, None] for c in (MEAN, DEVIATION))
        x, found = (image - mean) / deviation, {}
        for layer in LAYERS:
            block = int(layer[4])
            if layer.endswith("_1") and block > 1:
                x = max_pool(x, 2)
            features = self.width * 2 ** (block - 1)
            init = nn.initializers.he_normal()
            x = jax.nn.relu(nn.Conv(features, (3, 3), kernel_init=init, name=layer)(x))
            if layer in STYLE:
                found[layer] = x
        return found


class Grams(nn.Module):
    """Returns the Gram matrices of a style, its parameters, which are loaded and never trained.

    It is called without arguments and returns {layer: [channels, channels]} for the layers `STYLE`.

    Attributes:
        width: as of `VGG`.
    """

    width: int = 64

    @nn.compact
    def __call__(self) -> dict[str, Array]:
        """Returns {layer: [channels, channels]} of `STYLE`."""
        sizes = {layer: self.width * 2 ** (int(layer[4]) - 1) for layer in STYLE}
        return {
            layer: self.param(layer, nn.initializers.zeros, (n, n), jnp.float32)
            for layer, n in sizes.items()
        }


class InstanceNorm(nn.Module):
    """Normalises each channel of each picture over its pixels (Ulyanov et al. 2016, eq. 4).

    Maps x [batch, height, width, channels] to the same shape, by a learned scale and bias of each
    channel after the normalisation.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalises x [batch, h, w, channels]; returns the same shape."""
        scale, bias = (
            self.param(name, init, (x.shape[-1],), jnp.float32)
            for name, init in (("scale", nn.initializers.ones), ("bias", nn.initializers.zeros))
        )
        return instance_norm(x, scale, bias)


class Painter(nn.Module):
    """Paints photographs in the one style that it is trained for (after Johnson et al. 2016).

    Maps RGB images [batch, height, width, 3] in [0, 1], whose height and width 4 divides, to the
    same shape and range. Pixels are moved into channels and back, where the original has strided
    and transposed convolutions. An untrained network returns the photograph, clipped to [0.02,
    0.98].

    Attributes:
        width: channels at a quarter of the size; a third of them at half size.
        depth: number of residual blocks.
    """

    width: int = 96
    depth: int = 5

    @nn.compact
    def __call__(self, image: Array) -> Array:
        """Paints a batch.

        Args:
            image: RGB [batch, height, width, 3] in [0, 1]; height and width are multiples of 4.

        Returns:
            The same shape and range.
        """
        narrow = max(4, self.width // 3)
        x = nn.Conv(narrow, (3, 3), name="in_half")(space_to_depth(image - 0.5, 2))
        half = jax.nn.relu(InstanceNorm()(x))
        x = nn.Conv(self.width, (3, 3), name="in_quarter")(space_to_depth(half, 2))
        x = jax.nn.relu(InstanceNorm()(x))
        for layer in range(self.depth):
            y = nn.Conv(self.width, (3, 3), name=f"block_{layer}_a")(x)
            y = nn.Conv(self.width, (3, 3), name=f"block_{layer}_b")(jax.nn.relu(InstanceNorm()(y)))
            x = x + InstanceNorm()(y)
        x = depth_to_space(nn.Dense(4 * narrow, name="up")(x), 2)
        x = nn.Conv(narrow, (3, 3), name="out_half")(jnp.concatenate([x, half], -1))
        x = nn.Conv(12, (3, 3), kernel_init=nn.initializers.zeros, name="out")(
            jax.nn.relu(InstanceNorm()(x))
        )
        clipped = jnp.clip(image, 0.02, 0.98)
        return jax.nn.sigmoid(depth_to_space(x, 2) + jnp.log(clipped / (1 - clipped)))
