"""Images with and without a condition, with examples on which probabilities are calibrated."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from scipy import stats

from dlcore.data import tfds
from dlcore.data.facts import Facts
from dlcore.data.own import images as own
from dlcore.data.source import Source, arrays
from dlcore.data.splits import Splits, is_offline
from dlcore.errors import UsageError
from dlcore.options import DataSource

SHAPE = (28, 28, 1)
SPLITS = ("train", "validation", "test")
NOTICE = (
    "Not for medical use. The images come from children of one hospital and were reduced to 28x28"
    " pixels; a sixth of the published training images is missing; nobody has examined on whom the"
    " network fails. It must not be used to diagnose, to rule out a disease, to choose whom to"
    " examine first, or to assess other scanners, ages or diseases. Bright pixels of a saliency map"
    " are no evidence of a finding."
)
"""What a model of the published images may not be used for."""
OWN_NOTICE = (
    "Not for decisions about people. The network learned from a folder of one's own images, and"
    " nobody has examined on whom it fails. Before anyone relies on it, it needs to be validated on"
    " independent cases from where it is to be used. Bright pixels of a saliency map are no"
    " evidence of a finding."
)
"""The same of a model of images of one's own."""
GENERATED_NOTICE = "The images are generated: the network can tell them apart and nothing else."
_OFFLINE = {"train": 800, "validation": 200, "test": 400}
_SEPARATION = 3.5  # distance of the two classes of the generated images in standard deviations


def load(name: str, source: DataSource, condition: str = "") -> Splits:
    """Loads grey images of two classes as splits.

    Emits a UserWarning that names the condition if it is not given for a user's images.

    Args:
        name: of a prepared set with the splits train, validation and test.
        source: "published"; "offline", generated images (`synthetic`); or a user's images by class
            (`dlcore.data.own.images`).
        condition: name of the class that is the condition; "": the second one, of a user's images
            the second by name.

    Returns:
        Splits of `image` uint8 [28, 28, 1], `label` int32, 1 for the condition, and `calibrates`
        float32. Train has the examples of validation too, with `calibrates` 1: only the temperature
        is fitted to them. `calibrates` is 0 for all other examples and in the other splits. `facts`
        has `classes`, the condition second, `class_counts` of train without the added examples, and
        `notice`, what a model of these images may not be used for.

    Raises:
        UsageError: the set is not prepared, there are not two classes or `condition` is none of
            them, a split has one of them only, or faults in a user's files.
    """
    if isinstance(source, Path):
        found, notice = own.load(source, SHAPE), OWN_NOTICE
    elif is_offline(name, source):
        found, notice = synthetic(), GENERATED_NOTICE
    else:
        found = Splits.of(
            {split: tfds.load(name, split) for split in SPLITS},
            facts=Facts(classes=tfds.class_names(name)),
        )
        notice = NOTICE
    if len(found.facts.classes) != 2:
        raise UsageError(
            f"a diagnosis has two classes, and these data have {len(found.facts.classes)}:"
            f" {', '.join(found.facts.classes)}"
        )
    if isinstance(source, Path) and not condition:
        other, taken = found.facts.classes
        warnings.warn(
            f"{source}: the class {taken!r}, the second by name, is taken for the condition, whose"
            f" sensitivity is measured; --condition {other} takes the other one",
            stacklevel=2,
        )
    found = _with_condition(found, condition)
    for _, held in found.items():
        counts = np.bincount(held.arrays["label"], minlength=2)  # type: ignore[attr-defined]
        if not counts.all():
            raise UsageError(
                f"{held.info.name}: no image of {held.info.split} is of the class"
                f" {found.facts.classes[int(counts.argmin())]!r}, and a diagnosis is scored on both"
                " classes: add images, or give the splits train, validation and test yourself"
            )
    return with_calibration(found.with_facts(notice=notice))


def _with_condition(splits: Splits, condition: str) -> Splits:
    """The splits with the class `condition`, if it is not "", as the second one."""
    classes = splits.facts.classes
    if condition and condition not in classes:
        raise UsageError(
            f"--condition {condition}: these data have no such class: choose {' or '.join(classes)}"
        )
    if not condition or condition == classes[1]:
        return splits
    swapped = splits.map({"label": lambda batch: 1 - batch["label"]})
    return swapped.with_facts(classes=classes[::-1])


def with_calibration(splits: Splits) -> Splits:
    """Adds the examples of validation to train, and `calibrates` to all; see `load`.

    Args:
        splits: of `image` and `label` in memory, validation among them.

    Returns:
        New splits; the fact `class_counts` counts the labels of train before that.
    """
    train, validation = splits.train, splits.validation
    counts = np.bincount(train.arrays["label"], minlength=2)
    flags = np.repeat(np.array([0, 1], np.float32), [len(train), len(validation)])
    both = {
        field: np.concatenate([train.arrays[field], validation.arrays[field]])
        for field in ("image", "label")
    }
    info = train.info
    joined = arrays(
        info.name, info.version, f"{info.split} and validation", {**both, "calibrates": flags}
    )
    held = splits.map({"calibrates": lambda batch: np.zeros(len(batch["label"]), np.float32)})
    sources: dict[str, Source] = {**dict(held.items()), "train": joined}
    facts = splits.facts.with_facts(class_counts=counts.tolist())
    return Splits.of(sources, facts=facts)


def synthetic() -> Splits:
    """Generates images of noise, half of them with a faint bright spot at a fixed position.

    No classifier has a larger area under the ROC curve than the projection on the spot:
    `facts.best_auc` = Phi(s / sqrt(2)), with the standard normal distribution Phi and the
    separation s of the classes in standard deviations.

    Returns:
        Splits of `image` and `label`, see `load`; `facts` has `classes` and `best_auc`.
    """
    y, x = np.mgrid[:28, :28]
    spot = np.exp(-((y - 12) ** 2 + (x - 17) ** 2) / (2 * 2.0**2))
    spot *= _SEPARATION / np.sqrt((spot**2).sum())
    sources: dict[str, Source] = {}
    for seed, (split, count) in enumerate(_OFFLINE.items()):
        # RandomState: NumPy froze its stream for good, which it does not promise for default_rng.
        random = np.random.RandomState(seed)
        label = np.arange(count, dtype=np.int32) % 2
        noisy = random.normal(0, 1, (count, 28, 28)) + label[:, None, None] * spot
        image = np.clip(128 + 30 * noisy, 0, 255).astype(np.uint8)[..., None]
        sources[split] = arrays("spots", "1", split, {"image": image, "label": label})
    best = float(stats.norm.cdf(_SEPARATION / np.sqrt(2)))
    return Splits.of(sources, facts=Facts(classes=["without", "with"], best_auc=best))
