"""Classification: loss, samples and predictions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.checks import index_below
from dlcore.data.facts import Facts
from dlcore.data.own import images as image_files
from dlcore.data.sets.sentences import Sentences
from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.errors import UsageError
from dlcore.samples import Images, Sample, Table
from dlcore.tasks.class_answers import ClassOptions, answer_of, line_of
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean


def loss(
    model: Logits,
    label_smoothing: float = 0.0,
    evaluation_metrics: Callable[[Array, Batch], Mapping[str, Mean]] | None = None,
) -> Loss:
    """Softmax cross-entropy of a classifier; metric: accuracy.

    Args:
        model: gives logits [batch, classes] of a batch with `label`, int [batch], and `mask`, float
        [batch]. label_smoothing: s; the target is (1 - s) one-hot + s / classes (Szegedy et al.
        2016, eq. 9), in training only. Where a
            batch has a `share` (mixup, cutmix), so much of the target is `label`, and the rest
            `partner_label`.
        evaluation_metrics: (logits, batch) -> {name: Mean}, more metrics, in evaluation only.

    Raises:
        ValueError: a label smoothing outside [0, 1).
    """
    smoothing = label_smoothing
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing {smoothing} is outside [0, 1)")

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("label", y.shape[-1])
        right = mean(jnp.argmax(y, -1) == batch["label"], batch["mask"])
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["label"])
        if "share" in batch:
            other = optax.softmax_cross_entropy_with_integer_labels(y, batch["partner_label"])
            xent = other + batch["share"] * (xent - other)
        if train and smoothing:
            logp = y - jnp.max(y, -1, keepdims=True)
            logp = logp - jnp.log(jnp.sum(jnp.exp(logp), -1, keepdims=True))
            xent = (1 - smoothing) * xent - smoothing * logp.mean(-1)
        more = evaluation_metrics(y, batch) if evaluation_metrics and not train else {}
        return Out(mean(xent, batch["mask"]), {"accuracy": right, **more}, extra)

    return cross_entropy


# classes of a confusion matrix that a person can read; of more, the pairs that are confused most
# often
MATRIX = 20


def samples(
    title: str, model: Logits, source: Source, classes: Sequence[str], count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """Samples of a classifier of images: predictions, worst mistakes, confusions.

    Args:
        title: what the examples are.
        model: gives logits [batch, classes].
        source: examples with `image` and `label`.
        classes: the names of the classes.
        count: how many images are shown.

    Returns:
        (state, key) -> the first `count` images, the worst mistakes, and the confusion matrix. Each
        image has its predicted class as a caption, and the true one where that differs; a mistake
        is the worse the smaller the probability of the true class was.
    """
    return lambda state, key: _image_samples(title, model, state, source, classes, count)


def _image_samples(
    title: str, logits: Logits, state: State, source: Source, names: Sequence[str], count: int
) -> list[Sample]:
    p, true = probabilities(logits, state, source)
    guess = p.argmax(1)
    first = np.arange(min(count, len(true)))
    captions = tuple(
        names[g] if g == t else f"{names[g]}, is {names[t]}"
        for g, t in zip(guess[first], true[first], strict=True)
    )
    right = tuple((guess == true)[first].tolist())
    shown: list[Sample] = [Images(title, source.gather(first)["image"], captions, right)]
    worst = _worst(p, true)
    if len(worst):
        captions = tuple(
            f"{names[guess[i]]} {p[i, guess[i]]:.0%}, is {names[true[i]]} {p[i, true[i]]:.0%}"
            for i in worst
        )
        shown.append(
            Images(
                f"{title}: the worst mistakes",
                source.gather(worst)["image"],
                captions,
                (False,) * len(worst),
            )
        )
    return [*shown, confusions(title, true, guess, names)]


@dataclasses.dataclass(frozen=True)
class ImagePredictor:
    """Classes of image files, with their probabilities.

    Attributes:
        model: gives logits [batch, classes] of images as the training data have them.
        facts: of the training data: `classes`, and the shape of `image`.
    """

    model: Logits
    facts: Facts
    options: ClassOptions = dataclasses.field(default_factory=ClassOptions)

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[np.ndarray]:
        """Images of the size and the channels of the training data. UsageError: a file that is no
        image, or lines of text.
        """
        if text:
            raise UsageError("this model reads images: name image files")
        return [image_files.read(file, self._shape) for file in files]

    def item(self, value: Any) -> np.ndarray:
        """An image that is an array, uint8 of the shape of the training data, or Pillow's."""
        if hasattr(value, "convert"):
            return image_files.resized(value, self._shape)
        array = np.asarray(value)
        if array.shape == self._shape[:2] and self._shape[2:] == (1,):
            array = array[..., None]
        if array.shape != self._shape or array.dtype != np.uint8:
            raise UsageError(
                f"an image here is uint8 {self._shape}, not {array.dtype} {array.shape}: resize it,"
                " or give Pillow's image or a file"
            )
        return array

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(self.facts.fields["image"]["shape"])

    def batch(self, state: State, items: Sequence[np.ndarray]) -> list[Answer]:
        """For each image its answer, and the image under its class."""
        images = np.stack(items)
        batch = {"image": images, "row": np.arange(len(images), dtype=np.int32)}
        p = np.asarray(softmax_of(self.model)(state.params, state.extra, batch))
        answers: list[Answer] = []
        for image, each in zip(images, p, strict=True):
            answer = answer_of(each, self.facts.classes, self.options.top)
            caption = f"{answer['class']} {answer['probability']:.0%}"
            answers.append((answer, Images("Predicted", image[None], (caption,))))
        return answers

    def line(self, answer: Mapping[str, Any]) -> str:
        """The likeliest class first."""
        return line_of(answer)


def predictor(model: Logits, facts: Facts) -> ImagePredictor:
    """The classes that a classifier of images gives to image files."""
    return ImagePredictor(model, facts)


def text_samples(
    title: str, model: Logits, source: Sentences, classes: Sequence[str], count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """As `samples`, of a classifier of texts: tables of the text of an example, its classes and
    their probabilities.

    Args:
        title: what the examples are.
        model: gives logits [batch, classes].
        source: examples with `label`, and `texts`, the text of each.
        classes: the names of the classes.
        count: how many texts are shown.
    """
    return lambda state, key: _text_samples(title, model, state, source, classes, count)


def _text_samples(
    title: str, logits: Logits, state: State, source: Sentences, names: Sequence[str], count: int
) -> list[Sample]:
    p, true = probabilities(logits, state, source)
    guess, first = p.argmax(1), np.arange(min(count, len(true)))

    def table(title: str, rows: np.ndarray) -> Table:
        cells = (
            (
                source.texts[i],
                names[guess[i]],
                _digits(p[i, guess[i]]),
                names[true[i]],
                _digits(p[i, true[i]]),
            )
            for i in rows
        )
        return Table(
            title, ("text", "predicted", "probability", "true", "its probability"), tuple(cells)
        )

    worst = _worst(p, true)
    mistakes = [table(f"{title}: the worst mistakes", worst)] if len(worst) else []
    return [table(title, first), *mistakes, confusions(title, true, guess, names)]


def probabilities(
    logits: Logits, state: State, source: Source, batch: int = 250
) -> tuple[np.ndarray, np.ndarray]:
    """The softmax of the logits [N, classes] and the true labels [N] of all examples of a source,
    in order.
    """
    batch, run = min(batch, len(source)), softmax_of(logits)
    parts, labels = [], []
    for rows in in_order(source, batch, np.arange(batch)):
        counts = rows["mask"] > 0
        parts.append(np.asarray(run(state.params, state.extra, rows))[counts])
        labels.append(rows["label"][counts])
    return np.concatenate(parts), np.concatenate(labels)


# runs of several seeds ask one after the other, and are of one shape
@functools.lru_cache(maxsize=1)
def softmax_of(logits: Logits) -> Callable[..., Any]:
    """(params, extra, batch) -> probabilities float32 [batch, classes], compiled."""
    return jax.jit(
        lambda params, extra, batch: jax.nn.softmax(
            logits(params, extra, batch, None, False)[0].astype(jnp.float32)
        )
    )


def _worst(p: np.ndarray, true: np.ndarray, count: int = 20) -> np.ndarray:
    """The examples whose class is predicted wrongly, those with the smallest probability of the
    true class first.
    """
    of_true = p[np.arange(len(true)), true]
    order = np.argsort(of_true, kind="stable")
    return order[p.argmax(1)[order] != true[order]][:count]


def _digits(probability: float) -> float:
    return round(float(probability), 3)


def confusions(
    title: str, true: np.ndarray, guess: np.ndarray, names: Sequence[str], most: int = 20
) -> Table:
    """How often examples of a class (rows) are taken for another (columns); of many classes, the
    most frequent confusions alone.

    Args:
        title: what the examples are.
        true, guess: classes [N], as places in `names`.
        names: the classes.
        most: how many pairs are listed where there are more than MATRIX classes.
    """
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (true, guess), 1)
    if len(names) <= MATRIX:
        rows = tuple((name, *row.tolist()) for name, row in zip(names, counts, strict=True))
        return Table(f"{title}: confusion matrix", ("true \\ predicted", *names), rows)
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    pairs = [
        divmod(int(at), len(names)) for at in np.argsort(-wrong, axis=None, kind="stable")[:most]
    ]
    rows = tuple(
        (names[t], names[g], int(wrong[t, g]), int(counts[t].sum()))
        for t, g in pairs
        if wrong[t, g]
    )
    return Table(
        f"{title}: the most frequent confusions",
        ("true", "predicted", "times", "examples of the true class"),
        rows,
    )


def cross_validated(
    title: str, p: np.ndarray, true: np.ndarray, names: tuple[str, str]
) -> list[Table]:
    """The confusions of a cross-validated classifier of two classes, and the examples on which it
    is wrong most often.

    Args:
        title: what the examples are.
        p: the probability of the second class [repeats, N], each from a network that has not seen
        the example. true: 1 for an example of the second class, else 0 [N].
        names: the classes.
    """
    truth = true.astype(int)
    guess = (p > 0.5).astype(int)
    wrong = (guess != truth).mean(0)
    worst = [int(i) for i in np.lexsort((-np.abs(p.mean(0) - truth), -wrong))[:20] if wrong[i]]
    rows = tuple((i, names[truth[i]], _digits(wrong[i]), _digits(p[:, i].mean())) for i in worst)
    head = ("example", "true", "share of repeats that are wrong", f"mean probability of {names[1]}")
    mistakes = [Table(f"{title}: the worst mistakes", head, rows)] if rows else []
    return [
        confusions(f"{title}, all repeats", np.tile(truth, len(p)), guess.ravel(), names),
        *mistakes,
    ]
