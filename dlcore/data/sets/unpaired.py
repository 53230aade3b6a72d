"""Pictures of two styles that are not pairs, for translation between the styles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.data.facts import Facts
from dlcore.data.own import images as own
from dlcore.data.sets import images
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.options import DataSource

DOMAINS = ("filled", "outlined")
_CHUNK = 2_000  # pictures that are filtered at a time


def load(source: DataSource, held_out: int = 1000) -> Splits:
    """Loads pictures of two styles.

    Args:
        source: "published": MNIST, and other digits of MNIST as black outlines on white; "offline":
            scikit-learn's digits in the same styles; a path: a folder that holds two folders of
            pictures (or train, validation and test with these), resized to 28x28.
        held_out: largest number of examples of validation and of test, of digits.

    Returns:
        Splits of `a` and `b`, uint8 [28, 28, channels]: pictures of the first and of the second
        style, which are no pairs; 1 channel of digits, 3 of a user's pictures. Of digits, train
        shows each picture in one style only. Validation and test show the same pictures in `a` and,
        in another order, in `b`; there `true_b` is `a` in the second style, `true_a` is `b` in the
        first, and `label_a` and `label_b`, int32, are the digits of `a` and `b`. Of a user's
        pictures the smaller folder is repeated up to the size of the larger. `facts` has `domains`,
        the names of the styles, and `digits`, whether the data are digits.

    Raises:
        UsageError: MNIST is not prepared, or faults in own files, such as a third folder, or a
            style without pictures in a split.
    """
    if isinstance(source, Path):
        return _own(source)
    found = images.load("mnist", source, 55_000)
    sources = {
        name: _digits(split, None if name == "train" else held_out) for name, split in found.items()
    }
    return Splits.of(sources, facts=Facts(domains=list(DOMAINS), digits=True))


def _digits(source: Any, count: int | None) -> Arrays:
    """Training: a half in each style. Otherwise all in both styles, in another order for b."""
    image, label = source.arrays["image"], source.arrays["label"]
    n = len(image) // 2 if count is None else min(count, len(image))
    info = source.info
    if count is None:
        # other pictures, so that nothing is a pair
        contents = {"a": image[:n], "b": outlined(image[n : 2 * n])}
    else:
        order = np.roll(np.arange(n), 1)
        a, b = np.asarray(image[:n]), outlined(image[:n])
        contents = {
            **{"a": a, "true_b": b, "label_a": label[:n]},
            **{"b": b[order], "true_a": a[order], "label_b": label[:n][order]},
        }
    return arrays(f"{info.name} in two styles", info.version, info.split, contents)


def outlined(image: np.ndarray) -> np.ndarray:
    """Converts bright shapes on black to black outlines on white.

    Args:
        image: uint8 [n, height, width, 1], bright on black.

    Returns:
        The same shape: 255 minus (the largest value of 3x3 pixels minus the pixel).
    """
    from scipy.ndimage import maximum_filter

    made = np.empty(image.shape, np.uint8)
    for start in range(0, len(image), _CHUNK):
        part = np.asarray(image[start : start + _CHUNK])
        edge = maximum_filter(part, size=(1, 3, 3, 1), mode="constant") - part
        made[start : start + _CHUNK] = 255 - edge
    return made


def _own(path: Path) -> Splits:
    found = own.load(path, (28, 28, 3))
    classes = found.facts.classes
    if len(classes) != 2:
        raise UsageError(
            f"{path} holds {len(classes)} folders of pictures ({', '.join(classes)}): translation"
            " needs two, one for each style"
        )
    sources = {name: _two(source, classes) for name, source in found.items()}
    return Splits.of(sources, facts=Facts(domains=classes, digits=False))


def _two(source: Any, classes: list[str]) -> Arrays:
    """Both styles side by side; the smaller one begins anew."""
    contents: Mapping[str, np.ndarray] = source.arrays
    each = [np.flatnonzero(contents["label"] == i) for i in (0, 1)]
    if empty := [name for name, index in zip(classes, each, strict=True) if not len(index)]:
        raise UsageError(
            f"{source.info.name} has no pictures of {empty[0]} for {source.info.split}: add some"
        )
    n = max(map(len, each))
    pictures = {
        name: np.asarray(contents["image"])[np.resize(index, n)]
        for name, index in zip(("a", "b"), each, strict=True)
    }
    return arrays(source.info.name, source.info.version, source.info.split, pictures)
