"""Convolutional networks whose output is an embedding: a vector to compare with others."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.contrast import unit_length
from dlcore.kernels.pool import max_pool
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.layers import Dropout, LayerNorm

PIXEL_RATE = 5.0  # factor on the learning rate of `LocalEmbedder`'s log-weights of pixels


class ConvEmbedder(nn.Module):
    """Maps images to embeddings of unit length by 3x3 convolutions and a dense layer.

    Called with images [batch, height, width, c] and each example's index [batch] (None: no
    dropout), it returns embeddings [batch, size]; the dense layer is applied to the features of all
    positions, flattened to one vector per image. Layer normalisation and ReLU follow each
    convolution, and max pooling halves height and width between them. There is no batch
    normalisation, so that an embedding depends on its own image alone.

    Attributes:
        widths: channels of the convolutions.
        size: length of an embedding.
        patch: each block of patch x patch pixels becomes one position of the first convolution
            (space to depth).
        dropout: rate of dropout before the dense layer.
    """

    widths: Sequence[int]
    size: int
    patch: int = 2
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width c"], row: Integer[Array, " batch"] | None
    ) -> Float[Array, "batch n"]:
        """Computes embeddings.

        Args:
            x: images [batch, height, width, c]; zeros are added around those whose sides
                patch 2^(n - 1) does not divide, for n widths.
            row: each example's index [batch] in training, else None.

        Returns:
            Embeddings of unit length [batch, size].
        """
        unit = self.patch * 2 ** (len(self.widths) - 1)
        lacking = [-side % unit for side in x.shape[1:3]]
        x = jnp.pad(x, ((0, 0), *((n // 2, n - n // 2) for n in lacking), (0, 0)))
        x = space_to_depth(x, self.patch)
        kernel = nn.initializers.he_normal()
        for layer, width in enumerate(self.widths):
            x = max_pool(x) if layer else x
            x = nn.Conv(width, (3, 3), use_bias=False, kernel_init=kernel, name=f"conv_{layer}")(x)
            x = jax.nn.relu(LayerNorm(name=f"norm_{layer}")(x))
        x = Dropout(self.dropout)(x.reshape(x.shape[0], -1), row)
        return unit_length(nn.Dense(self.size, use_bias=False, name="embedding")(x))


class LocalEmbedder(nn.Module):
    """Maps images to embeddings of unit length that describe each pixel by its surroundings.

    3x3 convolutions keep height and width; layer normalisation and ReLU follow each. A 1x1
    convolution makes `size` channels of the last one's, to the first of which the image's first
    channel is added. The channels of all pixels, each pixel's times a learned weight, are the
    embedding. As there is neither pooling nor a dense layer, few parameters belong to a position,
    and what is learned from few people holds for others. The images must be aligned: the same part
    of an object at the same pixel.

    Attributes:
        widths: channels of the 3x3 convolutions.
        size: channels of the embedding.
    """

    widths: Sequence[int]
    size: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width c"], row: Integer[Array, " batch"] | None
    ) -> Float[Array, "batch n"]:
        """Computes embeddings.

        Args:
            x: images [batch, height, width, c].
            row: not used.

        Returns:
            Embeddings of unit length [batch, height width size].
        """
        image = x[..., :1]
        for layer, width in enumerate(self.widths):
            x = nn.Conv(width, (3, 3), use_bias=False, name=f"conv_{layer}")(x)
            x = jax.nn.relu(LayerNorm(name=f"norm_{layer}")(x))
        small = nn.initializers.normal(0.02)  # so that the embedding begins as the image
        x = nn.Conv(self.size, (1, 1), kernel_init=small, name="channels")(x)
        x = x + jnp.pad(image, ((0, 0), (0, 0), (0, 0), (0, self.size - 1)))
        pixels = self.param("pixels", nn.initializers.zeros, (*x.shape[1:3], 1), jnp.float32)
        x = x * jnp.exp(PIXEL_RATE * pixels).astype(x.dtype)[None]
        return unit_length(x.reshape(x.shape[0], -1))


def moved(
    x: Float[Array, "batch height width c"], pixels: int
) -> Float[Array, "views height width c"]:
    """Returns images and copies shifted up, down, left and right; border pixels are repeated.

    Args:
        x: images [batch, height, width, c].
        pixels: by which they are shifted.

    Returns:
        [5 batch, height, width, c]: all images, then all shifted up, down, left, and right.
    """
    height, width = x.shape[1:3]
    around = jnp.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="edge")
    corners = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))  # of the window, in units of `pixels`
    windows = [
        around[:, top * pixels : top * pixels + height, left * pixels : left * pixels + width]
        for top, left in corners
    ]
    return jnp.concatenate(windows)


class Verifiers(nn.Module):
    """Applies one network per fold, each with a learned vector for each class.

    Maps images [batch, height, width, c] to embeddings of unit length [batch, folds, size] and
    their cosines with the vectors of the network's classes [batch, folds, classes]. Every network
    is applied to every image; the loss (`tasks.verification.loss`) leaves out the images that a
    network does not train on.

    Attributes:
        folds: number of networks, which share no parameters.
        classes: number of classes.
        embedder: `ConvEmbedder` or `LocalEmbedder`, of which each fold has a copy.
        mirror: whether in evaluation the embeddings of the image and of its mirror image are
            summed and scaled to unit length.
        shifts: pixels by which an image is shifted up, down, left and right in evaluation; its
            embedding and those of the four shifted images (each with its mirror image where
            `mirror`) are summed and scaled to unit length. 0: no shifts.
        deviation: of the first entries of the classes' vectors, whose length does not matter: the
            smaller it is, the faster Adam turns them, and the more so the longer they are.
    """

    folds: int
    classes: int
    embedder: ConvEmbedder | LocalEmbedder
    mirror: bool = False
    shifts: int = 0
    deviation: float = 1.0

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width c"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch folds n"], Float[Array, "batch folds classes"]]:
        """Computes the embeddings of all networks, and their cosines with the classes.

        Args:
            x: images [batch, height, width, c].
            train: whether dropout is active.
            row: each example's index [batch].

        Returns:
            Embeddings of unit length [batch, folds, size], and cosines [batch, folds, classes],
            float32 or wider.
        """
        row = row if train else None
        batch, moves = len(x), bool(self.shifts) and not train
        x = moved(x, self.shifts) if moves else x
        embeddings, cosines = [], []
        for fold in range(self.folds):
            embed = self.embedder.copy(name=f"fold_{fold}")
            embedding = embed(x, row)
            if self.mirror and not train:
                embedding = unit_length(embedding + embed(x[:, :, ::-1], row))
            if moves:
                embedding = unit_length(embedding.reshape(-1, batch, embedding.shape[-1]).sum(0))
            shape = (self.classes, embedding.shape[-1])
            normal = nn.initializers.normal(self.deviation)
            vectors = self.param(f"classes_{fold}", normal, shape, jnp.float32)
            embeddings.append(embedding)
            upcast = embedding.astype(jnp.promote_types(embedding.dtype, jnp.float32))
            # margins and scales need angles more finely than bfloat16 has them
            cosines.append(upcast @ unit_length(vectors.astype(upcast.dtype)).T)
        return jnp.stack(embeddings, 1), jnp.stack(cosines, 1)
