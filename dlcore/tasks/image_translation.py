"""Translation between two styles of pictures, measured on pairs that training never saw."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.facts import Facts
from dlcore.data.splits import Splits
from dlcore.metrics.known import Metric
from dlcore.samples import Images, Sample, Table
from dlcore.tasks.classifier_features import Extractor, feature_extractor
from dlcore.tasks.image_inputs import to_signed
from dlcore.tasks.image_translation_predictor import TranslationPredictor
from dlcore.train.batched import over
from dlcore.train.evaluators import Collected, Evaluator, OfState, Scored
from dlcore.train.model import Model
from dlcore.train.step import Batch, State

ERRORS = ("error_to_b", "error_to_a")
_CYCLES = {
    "cycle_error": Metric("lower"),
    "cycle_error_of_mean": Metric(None, baseline_of="cycle_error"),
}
METRICS = {
    **_CYCLES,
    **dict.fromkeys(ERRORS, Metric("lower")),
    **{
        f"{name}_{of}": Metric(None, baseline_of=name)
        for name in ERRORS
        for of in ("unchanged", "of_mean")
    },
    "class_kept": Metric("higher"),
    "class_kept_unchanged": Metric(None, baseline_of="class_kept"),
    "class_of_true": Metric(None),
}


def inputs(field: str) -> Callable[[Batch, Array | None, bool], Array]:
    """Returns the `inputs` of a `Model` of one style.

    Args:
        field: "a" or "b", uint8 [batch, height, width, c].

    Returns:
        (batch, key, train) -> the field as float32 in [-1, 1].
    """
    return lambda batch, key, train: to_signed(batch[field])


def translated(model: Model, state: State, images: np.ndarray) -> np.ndarray:
    """Translates pictures to the other style.

    Args:
        model: a translator, of pictures in [-1, 1].
        state: trained parameters.
        images: uint8 [n, h, w, channels].

    Returns:
        uint8 of the same shape.
    """

    return over(lambda x: _written(model, state, x), np.asarray(images), batch=200)


def _written(model: Model, state: State, images: Array) -> Array:
    """Translations as uint8."""
    made = model.on(state.params, state.extra, to_signed(images))
    return jnp.rint((made + 1) * 127.5).astype(jnp.uint8)


def evaluators(to_b: Model, to_a: Model, splits: Splits, classifier: Path) -> list[Evaluator]:
    """Evaluates translations of the test pictures at the end, under the split "test".

    `cycle_error` is the mean absolute difference, for pixels in [0, 1], between a picture and its
    translation to the other style and back, and `cycle_error_of_mean` that between a picture and
    its style's mean picture, of the first 2,000 in training; both are means of the two styles. If
    `facts.digits`, also: `error_to_b` and `error_to_a`, mean squared errors of translations against
    the true pictures, and as baselines those of the untranslated picture (`_unchanged`) and of the
    style's mean picture (`_of_mean`); `class_kept`, the accuracy of a classifier of the first style
    ("a") on digits that were translated to it, with `class_kept_unchanged` on the untranslated
    digits and `class_of_true` on the true pictures; and at each evaluation `error_to_b` and
    `error_to_a` of validation.

    Args:
        to_b, to_a: the translators to the second and to the first style.
        splits: train and test have `a` and `b`, in memory. If `facts.digits`, test also has
            `true_a`, `true_b` and `label_b`, and there is a validation split.
        classifier: file of an exported classifier of digits, which is read when it is needed
            (`classifier_features.feature_extractor`).
    """

    def score(state: State) -> dict[str, float]:
        test = splits.test.arrays
        b, a = translated(to_b, state, test["a"]), translated(to_a, state, test["b"])
        mean = {
            name: _unit(splits.train.arrays[name][:2000]).mean(0, keepdims=True) for name in "ab"
        }
        cycles = [
            [np.abs(shown - _unit(test[name])).mean() for shown in (again, mean[name])]
            for back, made, name in ((to_a, b, "a"), (to_b, a, "b"))
            for again in [_unit(translated(back, state, made))]
        ]
        metrics = dict(zip(_CYCLES, np.mean(cycles, 0).tolist(), strict=True))
        if not splits.facts.digits:
            return metrics
        sides = (("b", b, "a"), ("a", a, "b"))
        for target, made, given in sides:
            true = _unit(test[f"true_{target}"])
            metrics[f"error_to_{target}"] = _squared(_unit(made), true)
            metrics[f"error_to_{target}_unchanged"] = _squared(_unit(test[given]), true)
            metrics[f"error_to_{target}_of_mean"] = _squared(mean[target], true)
        for name, pictures in (
            ("class_kept", a),
            ("class_kept_unchanged", test["b"]),
            ("class_of_true", test["true_a"]),
        ):
            metrics[name] = float((_digits(classifier, pictures) == test["label_b"]).mean())
        return metrics

    if not splits.facts.digits:
        return [OfState("test", score, _CYCLES)]
    return [_on_validation(to_b, to_a, splits), OfState("test", score, METRICS)]


def _on_validation(to_b: Model, to_a: Model, splits: Splits) -> Evaluator:
    """The squared errors of translations, as the pictures are written."""

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        errors = {}
        for name, model, given, target in zip(ERRORS, (to_b, to_a), "ab", "ba", strict=True):
            made = _written(model, state, batch[given]).astype(jnp.float32)
            difference = made / 255 - batch[f"true_{target}"].astype(jnp.float32) / 255
            errors[name] = (difference**2).mean((1, 2, 3))
        return errors

    def score(collected: Collected, split: str) -> dict[str, float]:
        return {name: float(collected[name].mean()) for name in ERRORS}

    metrics = {name: METRICS[name] for name in ERRORS}
    return Scored({"validation": splits.validation}, collect, score, metrics)


@functools.lru_cache(maxsize=1)
def _classifier(path: Path) -> Extractor:
    return feature_extractor(path)


def _digits(classifier: Path, pictures: np.ndarray) -> np.ndarray:
    """The digits that a classifier of the first style recognises, int [n]."""
    return _classifier(classifier)(np.asarray(pictures)).probabilities.argmax(-1)


def _unit(image: np.ndarray) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def _squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).mean())


def samples(
    to_b: Model, to_a: Model, splits: Splits, classifier: Path, count: int = 10
) -> Callable[[State, Array], list[Sample]]:
    """Shows test pictures, their translations, these translated back, and which are recognised.

    Args:
        to_b, to_a: the translators to the second and to the first style.
        splits: whose test split is shown; if `facts.digits`, with the true pictures.
        classifier: as of `evaluators`.
        count: number of pictures of each style.

    Returns:
        (state, key) -> a sample per style, and if `facts.digits` those of what the classifier
        recognises; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        shown: list[Sample] = []
        for given, forth, back in (("a", to_b, to_a), ("b", to_a, to_b)):
            images = np.asarray(splits.test.arrays[given][:count])
            made = translated(forth, state, images)
            rows = [images, made, translated(back, state, made)]
            names = splits.facts.domains if given == "a" else splits.facts.domains[::-1]
            title = f"{names[0]}: test pictures, as {names[1]}, and back"
            if splits.facts.digits:
                rows.insert(2, splits.test.arrays["true_b" if given == "a" else "true_a"][:count])
                title = f"{names[0]}: test pictures, as {names[1]}, the true ones, and back"
            shown.append(Images(title, np.concatenate(rows), columns=len(images)))
        return shown + (_recognised(to_a, state, splits, classifier) if splits.facts.digits else [])

    return draw


def _recognised(
    to_a: Model, state: State, splits: Splits, classifier: Path, count: int = 40
) -> list[Sample]:
    """Translations to the first style with the classifier's prediction; accuracy by digit."""
    test, (first, second) = splits.test.arrays, splits.facts.domains
    made, label = translated(to_a, state, test["b"]), np.asarray(test["label_b"])
    found = {
        "translated": _digits(classifier, made),
        "unchanged": _digits(classifier, test["b"]),
        "true picture": _digits(classifier, test["true_a"]),
    }
    pairs = zip(found["translated"][:count], label[:count], strict=True)
    captions = tuple(str(a) if a == b else f"{a}, is {b}" for a, b in pairs)
    right = tuple((found["translated"] == label)[:count].tolist())
    title = f"{second} as {first}: which digit a classifier recognises"
    return [
        Images(title, made[:count], captions, right),
        kept_by_digit(f"{second} as {first}: fraction recognised by digit", found, label),
    ]


def kept_by_digit(title: str, found: Mapping[str, np.ndarray], label: np.ndarray) -> Table:
    """Tabulates for each digit how often it is recognised.

    Args:
        title: heading.
        found: recognised digits by what was shown to the classifier, int [n] each.
        label: true digits [n].

    Returns:
        A row per digit in `label`: number of pictures, and for each entry of `found` the fraction
        of them that are recognised as this digit.
    """
    rows: list[tuple[str | float, ...]] = []
    for digit in np.unique(label):
        here = label == digit
        fractions = (float((each[here] == digit).mean()) for each in found.values())
        rows.append((str(digit), int(here.sum()), *(round(each, 3) for each in fractions)))
    return Table(title, ("digit", "pictures", *found), tuple(rows))


def predictor(to_b: Model, to_a: Model, facts: Facts) -> TranslationPredictor:
    """Returns the predictor that translates picture files; `dlcore predict --out` writes them.

    Args:
        to_b, to_a, facts: see `TranslationPredictor`.
    """
    return TranslationPredictor(to_b, to_a, facts)
