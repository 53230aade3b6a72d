"""Real data that dlcore or a dependency contains: no network and no preparation needed."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path

import numpy as np

from dlcore.data.facts import Facts
from dlcore.data.own import images as own
from dlcore.data.source import Arrays, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

_PARTS = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
_TEXT_PARTS = {"train": (0.0, 0.9), "validation": (0.9, 1.0), "all": (0.0, 1.0)}
_SPLIT_SEED = 1797


def digits(split: str) -> Arrays:
    """Returns scikit-learn's handwritten digits: `image` uint8 [n, 8, 8, 1], `label` int32 [n].

    Args:
        split: train, validation or test: 60, 20 and 20 % of each class.

    Raises:
        UsageError: an unknown split.
    """
    version, levels, label = _digits("digits", split)
    image = (levels * 255 + 8) // 16
    return arrays(
        "digits", version, split, {"image": image.astype(np.uint8)[..., None], "label": label}
    )


def load(name: str, source: DataSource) -> Splits:
    """Returns the digits, with `facts.classes` "0" to "9", or a user's images, as splits.

    Args:
        name: "digits" (8x8) or "digits28" (28x28).
        source: published and offline are the same, since scikit-learn contains the digits; a path
            to a user's images (`dlcore.data.own.images`) loads them in grey, resized, with their
            own classes.

    Raises:
        UsageError: another name, or a fault in the files.
    """
    sets = {"digits": digits, "digits28": digits28}
    if name not in sets:
        raise UsageError(f"{name!r} is no embedded set of images: choose {' or '.join(sets)}")
    if isinstance(source, Path):
        side = 8 if name == "digits" else 28
        return own.load(source, (side, side, 1))
    is_offline(name, source)
    found = {split: sets[name](split) for split in _PARTS}
    return Splits.of(found, facts=Facts(classes=list("0123456789")))


def digits28(split: str) -> Arrays:
    """Returns the digits of `digits` enlarged to 28x28, for use in place of MNIST.

    Args:
        split: train, validation or test.

    Returns:
        `image` uint8 [n, 28, 28, 1] and `label` int32 [n].

    Raises:
        UsageError: an unknown split.
    """
    version, levels, label = _digits("digits28", split)
    ninths = _three_times(_three_times(levels, 1), 2)
    image = np.pad((ninths * 255 + 72) // 144, ((0, 0), (2, 2), (2, 2)))
    return arrays(
        "digits28", version, split, {"image": image.astype(np.uint8)[..., None], "label": label}
    )


@functools.cache
def topics() -> dict[str, str]:
    """Returns {topic: text} of Python's documentation (pydoc_data of version 3.11.7).

    The result is cached: do not change it. Licence: that of Python, assets/LICENSE-python.txt.
    """
    file = Path(__file__).with_name("assets") / "python_documentation.json.gz"
    return dict(json.loads(gzip.decompress(file.read_bytes())))


def documentation(split: str = "all") -> str:
    """Returns the text of a split of Python's documentation: `topics`, joined in order of name.

    Args:
        split: "train", the first 90 % of the characters; "validation", the rest; or "all".

    Raises:
        UsageError: an unknown split.
    """
    _check_split("documentation", split, _TEXT_PARTS)
    text = "\n\n".join(topics()[name].strip() for name in sorted(topics())) + "\n"
    start, stop = (int(part * len(text)) for part in _TEXT_PARTS[split])
    return text[start:stop]


def documentation_version() -> str:
    """Returns the version of Python from which the documentation was taken."""
    return "3.11.7"


def _digits(name: str, split: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Version, grey levels 0..16 as int [n, 8, 8], and labels of one split."""
    _check_split(name, split, _PARTS)
    import sklearn
    from sklearn.datasets import load_digits

    data, label = load_digits(return_X_y=True)
    rows = _stratified(label, *_PARTS[split])
    return (
        sklearn.__version__,
        data[rows].astype(np.int64).reshape(-1, 8, 8),
        label[rows].astype(np.int32),
    )


def _stratified(label: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Indices of the fraction [start, stop) of every class, in ascending order."""
    # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
    random = np.random.RandomState(_SPLIT_SEED)
    rows = []
    for value in np.unique(label):
        of_class = random.permutation(np.flatnonzero(label == value))
        rows.append(of_class[round(start * len(of_class)) : round(stop * len(of_class))])
    return np.sort(np.concatenate(rows))


def _three_times(levels: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation to three times the length.

    It computes in whole thirds, so that the bytes are the same on every processor.
    """
    first, last = np.take(levels, [0], axis), np.take(levels, [-1], axis)
    before = np.concatenate([first, np.delete(levels, -1, axis)], axis)
    after = np.concatenate([np.delete(levels, 0, axis), last], axis)
    thirds = np.stack([2 * levels + before, 3 * levels, 2 * levels + after], axis + 1)
    return thirds.reshape(*levels.shape[:axis], -1, *levels.shape[axis + 1 :])


def _check_split(name: str, split: str, parts: dict[str, tuple[float, float]]) -> None:
    if split not in parts:
        raise UsageError(f"{name} has no split {split!r}: it has {', '.join(parts)}")
