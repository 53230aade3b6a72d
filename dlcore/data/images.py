"""Sets of images in three parts, as the pages about images take them."""

from __future__ import annotations

from collections.abc import Sequence

from dlcore.data import embedded, tfds
from dlcore.data.source import Arrays
from dlcore.errors import UsageError

SPLITS = ("train", "validation", "test")


def splits(
    name: str, training: int, offline: bool, features: Sequence[str] | None = None
) -> tuple[dict[str, Arrays], tuple[str, ...]]:
    """{"train", "validation", "test"} of a prepared set, and the names of its classes, () where it has none.

    The first `training` of its training examples are for training, the others for validation. Offline: scikit-learn's digits,
    enlarged to 28x28. UsageError: the set is not prepared.
    """
    if offline:
        return {split: embedded.digits28(split) for split in SPLITS}, tuple("0123456789")
    parts = (f"train[:{training}]", f"train[{training}:]", "test")
    found = {split: tfds.load(name, part, features=features) for split, part in zip(SPLITS, parts, strict=True)}
    try:
        return found, tfds.class_names(name)
    except UsageError:  # MNIST names no classes
        return found, ()
