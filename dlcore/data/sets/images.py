"""Sets of images with classes as splits, and transforms of them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Integer, Shaped

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import images as own
from dlcore.data.sets import embedded
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.kernels.corrupt import blur_matrix
from dlcore.options import DataSource

SPLITS = ("train", "validation", "test")
# of the images of a set: those of one's own are resized to it where the experiment needs the size
SHAPES = {
    "mnist": (28, 28, 1),
    "fashion_mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "cifar10_jpeg": (32, 32, 3),
}


def splits(
    name: str, training: int, offline: bool, features: Sequence[str] | None = None
) -> tuple[dict[str, Arrays], tuple[str, ...]]:
    """Loads a prepared set of images in three splits.

    Args:
        name: of the set, with the splits train and test.
        training: the first so many of its training examples are for training, the others for
            validation.
        offline: whether to load scikit-learn's digits at 28x28 in their own splits instead; the
            other arguments are then ignored.
        features: those to load; None: all.

    Returns:
        {split: its examples} of train, validation and test; and the names of the classes, () where
        the set does not name them.

    Raises:
        UsageError: the set is not prepared.
    """
    if offline:
        return {split: embedded.digits28(split) for split in SPLITS}, tuple("0123456789")
    parts = (f"train[:{training}]", f"train[{training}:]", "test")
    found = {
        split: tfds.load(name, part, features=features)
        for split, part in zip(SPLITS, parts, strict=True)
    }
    return found, _class_names(name)


def load(
    name: str,
    source: DataSource,
    training: int | None,
    features: Sequence[str] | None = None,
    offline: Literal["digits28", "digits"] = "digits28",
    multiple: int | None = None,
    longest: int = own.Size.longest,
) -> Splits:
    """Loads a set of images as splits; `facts.classes` are the names of its classes.

    Args:
        name: of a prepared set with the splits train and test, such as fashion_mnist or mnist.
        source: "published"; "offline", scikit-learn's digits; or a path to a user's images
            (`dlcore.data.own.images`).
        training: how many training examples of a prepared set are for training, the others are for
            validation; the digits and a user's images have splits of their own. None: all of them,
            without a validation split, and no split is in `scored`. A user's images then keep their
            validation split, a UserWarning is emitted, and their `facts` have `no_classifier`,
            True: there is no trained classifier by which generated images could be compared with
            them.
        features: those to load of a prepared set; None: all.
        offline: which digits are loaded for "offline": those of 28x28 or of 8x8 pixels.
        multiple: the height and width of a user's images follow from their files, as multiples of
            it (`dlcore.data.own.images.Size`). None: they are resized to the set's `SHAPES`.
        longest: with `multiple`, the largest height and width of a user's images in pixels.

    Returns:
        Splits of `image` uint8 [height, width, channels] and `label` integers, and of a prepared
        set its other features.

    Raises:
        UsageError: the set is not prepared, faults in a user's files, or a path with a `name` that
            is not in `SHAPES`.
    """
    if isinstance(source, Path):
        loaded = own.load(source, _shape(name) if multiple is None else own.Size(multiple, longest))
        return _without_classifier(name, loaded) if training is None else loaded
    if is_offline(name, source):
        digits = embedded.load(offline, source)
        if training is not None:
            return digits
        return Splits(digits.train, test=digits.test, facts=digits.facts, scored=())
    if training is not None:
        found, classes = splits(name, training, False, features)
        return Splits.of(found, facts=_classes(found["train"], classes))
    train, test = (tfds.load(name, split, features=features) for split in ("train", "test"))
    return Splits(train, test=test, facts=_classes(train, _class_names(name)), scored=())


def _without_classifier(name: str, found: Splits) -> Splits:
    warnings.warn(
        f"images that are generated are compared with the test images by a classifier of {name}:"
        " for images of your own no such distance is measured",
        stacklevel=2,
    )
    return dataclasses.replace(found, facts=found.facts.with_facts(no_classifier=True), scored=())


def _shape(name: str) -> tuple[int, ...]:
    if name not in SHAPES:
        raise UsageError(
            f"own images take the size of a known set, and {name!r} is none: take"
            f" {', '.join(SHAPES)}"
        )
    return SHAPES[name]


def _classes(train: Arrays, names: Sequence[str]) -> Facts:
    """The classes, by their numbers where the set does not name them; none without a `label`."""
    if not names and "label" in train.arrays:
        names = [str(number) for number in range(int(train.arrays["label"].max()) + 1)]
    return Facts(classes=names)


def _class_names(name: str) -> tuple[str, ...]:
    try:
        return tfds.class_names(name)
    except UsageError:  # MNIST names no classes
        return ()


def binarised(source: Arrays, seed: int) -> Arrays:
    """Binarises `image` (uint8) by sampling: 255 with probability image / 255, else 0.

    Args:
        source: the examples.
        seed: of the samples.

    Returns:
        The examples, with the samples in place of `image`.
    """
    image = source.arrays["image"]
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    drawn = np.random.RandomState(seed).random_sample(image.shape)
    image = np.where(drawn * 255 < image, 255, 0).astype(np.uint8)
    return arrays(
        f"{source.info.name} binarised",
        source.info.version,
        source.info.split,
        {**source.arrays, "image": image},
    )


def degraded(source: Arrays, blur: float, noise: float, seed: int) -> Arrays:
    """Adds `degraded` to the examples: image / 255, blurred and with noise.

    Args:
        source: with `image` uint8 [n, height, width, c].
        blur: standard deviation of the Gaussian blur in pixels.
        noise: standard deviation of the noise, for pixels in [0, 1].
        seed: of the noise.

    Returns:
        The source with `degraded` float32 of the shape of `image`, not clipped to [0, 1].
    """
    image = source.arrays["image"]
    down, across = (blur_matrix(n, blur).astype(np.float32) for n in image.shape[1:3])
    random, worse = np.random.RandomState(seed), np.empty(image.shape, np.float32)
    # the float64 draws of a whole training set would take gigabytes
    for start in range(0, len(image), 1000):
        part = image[start : start + 1000].astype(np.float32) / 255
        part = _product(_product(part, down, 1), across, 2) if blur else part
        worse[start : start + 1000] = part + noise * random.standard_normal(part.shape)
    name = f"{source.info.name} degraded"
    return arrays(
        name, source.info.version, source.info.split, {**source.arrays, "degraded": worse}
    )


def _product(images: np.ndarray, matrix: np.ndarray, axis: int) -> np.ndarray:
    """The product of a matrix [n, n] with images along one axis, whose bits no machine changes.

    A library of linear algebra chooses the order of the sum by the processor; here it is that of
    the columns.
    """
    shape = [1] * images.ndim
    shape[axis] = -1
    total = np.zeros_like(images)
    for column in range(matrix.shape[1]):
        total += matrix[:, column].reshape(shape) * np.take(images, [column], axis)
    return total


View = Literal["rows", "patches", "pixels"]


STEPS: dict[View, int] = {"rows": 28, "patches": 196, "pixels": 784}


_SEED = 92916


def as_sequence(
    image: Shaped[Array, "batch height width c"],
    view: View,
    order: Integer[np.ndarray, " steps"] | None = None,
) -> Shaped[Array, "batch steps n"]:
    """Reshapes images to sequences of pixels.

    Args:
        image: [batch, 28, 28, 1].
        view: "rows": 28 steps of 28 pixels; "patches": 14 x 14 steps of the 4 pixels of a 2x2
            patch; "pixels": 784 steps of 1 pixel.
        order: permutation of the steps, int [steps]; None: reading order.

    Returns:
        [batch, steps, pixels of a step], dtype of `image`.
    """
    batch = image.shape[0]
    if view == "patches":
        image = jnp.reshape(image, (batch, 14, 2, 14, 2)).swapaxes(2, 3)
    sequence = jnp.reshape(image, (batch, STEPS[view], -1))
    return sequence if order is None else sequence[:, order]


def permutation(view: View) -> Integer[np.ndarray, " steps"]:
    """Returns the fixed permutation of the steps, int [steps] (Le et al. 2015, sec. 4.2).

    Args:
        view: see `as_sequence`; it determines the number of steps.
    """
    return np.random.RandomState(_SEED).permutation(STEPS[view])  # its stream is frozen for good
