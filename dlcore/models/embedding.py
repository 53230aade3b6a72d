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
    """Applies one `ConvEmbedder` per fold, each with a learned vector for each class.

    Maps images [batch, height, width, c] to embeddings of unit length [batch, folds, size] and
    their cosines with the vectors of the network's classes [batch, folds, classes]. Every network
    is applied to every image; the loss (`tasks.verification.loss`) leaves out the images that a
    network does not train on.

    Attributes:
        folds: number of networks, which share no parameters.
        classes: number of classes.
        widths, size, patch, dropout: as of `ConvEmbedder`.
        mirror: whether in evaluation the embeddings of the image and of its mirror image are
            summed and scaled to unit length.
        shifts: pixels by which an image is shifted up, down, left and right in evaluation; its
            embedding and those of the four shifted images (each with its mirror image where
            `mirror`) are summed and scaled to unit length. 0: no shifts.
    """

    folds: int
    classes: int
    widths: Sequence[int]
    size: int
    patch: int = 2
    dropout: float = 0.0
    mirror: bool = False
    shifts: int = 0

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
            Embeddings of unit length [batch, folds, size], and cosines [batch, folds, classes].
        """
        row = row if train else None
        batch, moves = len(x), bool(self.shifts) and not train
        x = moved(x, self.shifts) if moves else x
        embeddings, cosines = [], []
        for fold in range(self.folds):
            shape = (self.widths, self.size, self.patch, self.dropout)
            embed = ConvEmbedder(*shape, name=f"fold_{fold}")
            embedding = embed(x, row)
            if self.mirror and not train:
                embedding = unit_length(embedding + embed(x[:, :, ::-1], row))
            if moves:
                embedding = unit_length(embedding.reshape(-1, batch, self.size).sum(0))
            normal = nn.initializers.normal(1.0)
            vectors = self.param(f"classes_{fold}", normal, (self.classes, self.size), jnp.float32)
            embeddings.append(embedding)
            cosines.append(embedding @ unit_length(vectors).astype(embedding.dtype).T)
        return jnp.stack(embeddings, 1), jnp.stack(cosines, 1)
