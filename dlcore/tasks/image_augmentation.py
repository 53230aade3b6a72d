"""Augmentation of image batches in training, for `Experiment(augment=...)`."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.errors import UsageError
from dlcore.kernels import augment
from dlcore.train.step import Batch

Augment = Callable[[Batch, Array], Batch]


def shift_and_flip(max_shift: int, flip: bool) -> Augment:
    """Returns an augmentation by random shifts, then random reflections.

    Args:
        max_shift: largest shift in pixels, in both dimensions; 0: none. What a shift uncovers is 0.
        flip: whether images are reflected left to right with probability 1/2.

    Returns:
        (batch, key) -> batch, with its `image` [batch, height, width, channels] augmented, of the
        same dtype. Both draws use the same key: that of the batch, folded with an example's `row`.
    """

    def augmented(batch: Batch, key: Array) -> Batch:
        image = batch["image"]
        if max_shift:
            image = augment.random_shift(key, batch["row"], image, max_shift)
        if flip:
            image = augment.random_flip(key, batch["row"], image)
        return {**batch, "image": image}

    return augmented


def shift_on_white(max_shift: int) -> Augment:
    """Returns an augmentation by random shifts of images on a white background.

    Args:
        max_shift: largest shift in pixels, in both dimensions.

    Returns:
        (batch, key) -> batch, with its `image` uint8 [batch, height, width, channels] shifted by
        the key folded with an example's `row`; what a shift uncovers is white.
    """

    def augmented(batch: Batch, key: Array) -> Batch:
        inverse = augment.random_shift(key, batch["row"], 255 - batch["image"], max_shift)
        return {**batch, "image": (255 - inverse).astype(jnp.uint8)}

    return augmented


def mixed(
    *,
    flip: bool = False,
    max_shift: int = 0,
    erase: int = 0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> Augment:
    """Returns an augmentation by reflections, shifts, erased squares, and mixed pairs of images.

    They follow each other in this order; both images of a pair are augmented, each by its own
    draws, before they are mixed.

    Args:
        flip, max_shift: as of `shift_and_flip`, with separate keys.
        erase: side in pixels of a square that is set to 0 (DeVries & Taylor 2017); 0: none.
        mixup: alpha of mixup (Zhang et al. 2018); 0: none.
        cutmix: alpha of CutMix (Yun et al. 2019); 0: none.

    Returns:
        (batch, key) -> batch, with its `image` [batch, height, width, channels] augmented: of the
        same dtype, or float32 where images are mixed. Mixing needs `partner_image` in the batch
        (`data.source.Partnered`), and adds `label_fraction`, float32 [batch]: the fraction of the
        target that is `label` and not `partner_label`, see `classification.loss`.

    Raises:
        UsageError: both mixup and cutmix.
    """
    if mixup and cutmix:
        raise UsageError(f"--mixup {mixup} and --cutmix {cutmix} exclude each other: give one as 0")

    def augmented(image: Array, key: Array, row: Array) -> Array:
        if flip:
            image = augment.random_flip(jax.random.fold_in(key, 0), row, image)
        if max_shift:
            image = augment.random_shift(jax.random.fold_in(key, 1), row, image, max_shift)
        if erase:
            image = augment.random_erase(jax.random.fold_in(key, 2), row, image, erase)
        return image

    def mix(batch: Batch, key: Array) -> Batch:
        row = batch["row"]
        image = augmented(batch["image"], jax.random.fold_in(key, 0), row)
        if not (mixup or cutmix):
            return {**batch, "image": image}
        partner = augmented(batch["partner_image"], jax.random.fold_in(key, 1), row)
        images = image.astype(jnp.float32), partner.astype(jnp.float32)
        key = jax.random.fold_in(key, 2)
        if mixup:
            image, fraction = augment.mixup(key, row, *images, mixup)
        else:
            image, fraction = augment.cutmix(key, row, *images, cutmix)
        return {**batch, "image": image, "label_fraction": fraction}

    return mix
