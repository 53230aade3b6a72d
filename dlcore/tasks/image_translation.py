"""Translation between two styles of pictures, measured on pairs that training never saw."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from PIL import Image

from dlcore.data.facts import Facts
from dlcore.data.own import images as image_files
from dlcore.data.splits import Splits
from dlcore.metrics.known import Metric
from dlcore.samples import Images, Sample
from dlcore.tasks.image_generation import feature_extractor
from dlcore.tasks.image_inputs import to_signed
from dlcore.train.batched import over
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, State

ERRORS = ("error_to_b", "error_to_a")
METRICS = {
    "cycle_error": Metric("lower"),
    **dict.fromkeys(ERRORS, Metric("lower")),
    **{f"{name}_{of}": Metric(None) for name in ERRORS for of in ("unchanged", "of_mean")},
    "class_kept": Metric("higher"),
    "class_kept_unchanged": Metric(None),
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

    def run(x: Array) -> Array:
        made = model.on(state.params, state.extra, to_signed(x))
        return jnp.rint((made + 1) * 127.5).astype(jnp.uint8)

    return over(run, np.asarray(images), batch=200)


def evaluator(to_b: Model, to_a: Model, splits: Splits, classifier: Path) -> Evaluator:
    """Evaluates translations of the test pictures at the end, under the split "test".

    `cycle_error` is the mean absolute difference, for pixels in [0, 1], between a picture and its
    translation to the other style and back. If `facts.digits`, also: `error_to_b` and `error_to_a`,
    mean squared errors of translations against the true pictures, and as baselines those of the
    untranslated picture (`_unchanged`) and of the style's mean picture (`_of_mean`); `class_kept`,
    the accuracy of a classifier of the first style ("a") on digits that were translated to it, with
    `class_kept_unchanged` on the untranslated digits and `class_of_true` on the true pictures.

    Args:
        to_b, to_a: the translators to the second and to the first style.
        splits: of which test has `a` and `b`; if `facts.digits`, also `true_a`, `true_b` and
            `label_b`, and train has `a` and `b` in memory.
        classifier: an exported classifier of digits (`image_generation.feature_extractor`).
    """

    def score(state: State) -> dict[str, float]:
        test = splits.test.arrays
        b, a = translated(to_b, state, test["a"]), translated(to_a, state, test["b"])
        cycles = [
            np.abs(_unit(translated(back, state, made)) - _unit(test[name])).mean()
            for back, made, name in ((to_a, b, "a"), (to_b, a, "b"))
        ]
        metrics = {"cycle_error": float(np.mean(cycles))}
        if not splits.facts.digits:
            return metrics
        sides = (("b", b, "a"), ("a", a, "b"))
        for target, made, given in sides:
            true = _unit(test[f"true_{target}"])
            mean = _unit(splits.train.arrays[target][:2000]).mean(0, keepdims=True)
            metrics[f"error_to_{target}"] = _squared(_unit(made), true)
            metrics[f"error_to_{target}_unchanged"] = _squared(_unit(test[given]), true)
            metrics[f"error_to_{target}_of_mean"] = _squared(mean, true)
        extract = feature_extractor(classifier)
        for name, pictures in (
            ("class_kept", a),
            ("class_kept_unchanged", test["b"]),
            ("class_of_true", test["true_a"]),
        ):
            found = extract(np.asarray(pictures)).probabilities.argmax(-1)
            metrics[name] = float((found == test["label_b"]).mean())
        return metrics

    known = METRICS if splits.facts.digits else {"cycle_error": METRICS["cycle_error"]}
    return OfState("test", score, known)


def _unit(image: np.ndarray) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def _squared(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).mean())


def samples(
    to_b: Model, to_a: Model, splits: Splits, count: int = 10
) -> Callable[[State, Array], list[Sample]]:
    """Shows test pictures, their translations, and the translations translated back.

    Args:
        to_b, to_a: the translators to the second and to the first style.
        splits: whose test split is shown; if `facts.digits`, with the true pictures.
        count: number of pictures of each style.

    Returns:
        (state, key) -> a sample per style; the key is not used.
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
        return shown

    return draw


@dataclasses.dataclass(frozen=True)
class TranslationOptions:
    """Flags of `dlcore predict` for a translator of pictures."""

    direction: Literal["to_b", "to_a"] = "to_b"
    """which style is made: to_b the second one, to_a the first one"""


@dataclasses.dataclass(frozen=True)
class TranslationPredictor:
    """Translates a user's pictures into the style that `options.direction` names.

    Attributes:
        to_b: maps pictures [batch, height, width, c] in [-1, 1] from the first style to the second.
        to_a: maps them from the second style to the first.
        facts: of the training data: `domains`, the names of both styles, and the shape of the field
            `a`.
        options: flags of `dlcore predict`.
    """

    to_b: Model
    to_a: Model
    facts: Facts
    options: TranslationOptions = dataclasses.field(default_factory=TranslationOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Reads picture files, resized to the shape of the training pictures.

        Raises:
            UsageError: a file is no picture.
        """
        return [image_files.read(file, self._shape) for file in files]

    def item(self, value: np.ndarray | Image.Image) -> np.ndarray:
        """Converts an image of Pillow, or an array uint8 of the shape of the training pictures.

        Raises:
            UsageError: an array of another shape or dtype.
        """
        return image_files.of_value(value, self._shape)

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """Answers a batch of pictures.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"from", "to"}, the names of both styles; the translated picture) of each.
        """
        names = list(self.facts.domains)
        if self.options.direction == "to_a":
            names.reverse()
        made = np.asarray(self._compiled(state.params, state.extra, np.stack(items)))
        return [
            (dict(zip(("from", "to"), names, strict=True)), Images(f"As {names[1]}", each[None]))
            for each in made
        ]

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.facts.fields["a"]["shape"])

    @functools.cached_property
    def _compiled(self) -> Callable[..., Array]:
        model = self.to_b if self.options.direction == "to_b" else self.to_a

        def run(params: Any, extra: Any, images: Array) -> Array:
            return (model.on(params, extra, to_signed(images)) + 1) / 2

        return jax.jit(run)


def predictor(to_b: Model, to_a: Model, facts: Facts) -> TranslationPredictor:
    """Returns the predictor that translates picture files; `dlcore predict --out` writes them.

    Args:
        to_b, to_a, facts: see `TranslationPredictor`.
    """
    return TranslationPredictor(to_b, to_a, facts)
