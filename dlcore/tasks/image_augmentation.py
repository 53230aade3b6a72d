"""Augmentation of images in training, as functions of a batch: `Experiment(augment=...)`."""

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
    """Random shifts, then random reflections.

    Args:
        max_shift: the largest shift in pixels, in both directions; 0: none.
        flip: whether images are reflected left to right with probability 1/2.

    Returns:
        (batch, key) -> the batch with another `image`, [batch, height, width, channels], of the
        same dtype. Both draws of an example use its `row` and the same key.
    """

    def change(batch: Batch, key: Array) -> Batch:
        image = batch["image"]
        if max_shift:
            image = augment.random_shift(key, batch["row"], image, max_shift)
        if flip:
            image = augment.random_flip(key, batch["row"], image)
        return {**batch, "image": image}

    return change


def mixed(
    *,
    flip: bool = False,
    max_shift: int = 0,
    erase: int = 0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> Augment:
    """Random reflections, shifts and erased squares, and images mixed in pairs.

    Args:
        flip, max_shift: as of `shift_and_flip`, with a key for each.
        erase: the side in pixels of a square that becomes zeros (DeVries & Taylor 2017); 0: none.
        mixup: alpha of mixup (Zhang et al. 2018); 0: none.
        cutmix: alpha of CutMix (Yun et al. 2019); 0: none.

    Returns:
        (batch, key) -> the batch with another `image`, [batch, height, width, channels]. Mixed
        images are float32, of a batch with `partner_image` (`data.source.Partnered`), and come
        with `share`, float32 [batch]: the fraction of the target that is `label`, which
        `classification.loss` uses.

    Raises:
        UsageError: both mixup and cutmix.
    """
    if mixup and cutmix:
        raise UsageError(f"--mixup {mixup} and --cutmix {cutmix} exclude each other: give one as 0")

    def view(image: Array, key: Array, row: Array) -> Array:
        if flip:
            image = augment.random_flip(jax.random.fold_in(key, 0), row, image)
        if max_shift:
            image = augment.random_shift(jax.random.fold_in(key, 1), row, image, max_shift)
        if erase:
            image = augment.random_erase(jax.random.fold_in(key, 2), row, image, erase)
        return image

    def change(batch: Batch, key: Array) -> Batch:
        row = batch["row"]
        image = view(batch["image"], jax.random.fold_in(key, 0), row)
        if not (mixup or cutmix):
            return {**batch, "image": image}
        partner = view(batch["partner_image"], jax.random.fold_in(key, 1), row)
        pair = image.astype(jnp.float32), partner.astype(jnp.float32)
        key = jax.random.fold_in(key, 2)
        if mixup:
            image, share = augment.mixup(key, row, *pair, mixup)
        else:
            image, share = augment.cutmix(key, row, *pair, cutmix)
        return {**batch, "image": image, "share": share}

    return change
