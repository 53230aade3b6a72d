"""Classification: the loss, and samples of images and texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.checks import index_below
from dlcore.data.facts import Facts
from dlcore.data.sets.sentences import Sentences
from dlcore.data.source import Source
from dlcore.samples import Images, Sample, Table
from dlcore.tasks.class_probabilities import probabilities
from dlcore.tasks.classification_predictor import ImagePredictor
from dlcore.tasks.confusion import by_class, confusions, digits
from dlcore.tasks.reliability import diagram_of_classes
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean


def loss(
    model: Logits,
    label_smoothing: float = 0.0,
    evaluation_metrics: Callable[[Array, Batch], Mapping[str, Mean]] | None = None,
) -> Loss:
    """Returns the softmax cross-entropy of a classifier, in nats; metric: `accuracy`.

    Args:
        model: computes logits [batch, classes] of a batch with `label`, int [batch], and `mask`,
            float [batch], by which loss and accuracy are weighted. Where a batch has
            `label_fraction`, float [batch], and `partner_label`, int [batch] (mixup, CutMix), the
            target is `label` with the weight `label_fraction` and `partner_label` with the rest;
            accuracy compares with `label`.
        label_smoothing: s; in training only, the target t becomes (1 - s) t + s / classes (Szegedy
            et al. 2016, eq. 9).
        evaluation_metrics: (logits, batch) -> {name: Mean}, further metrics, in evaluation only.

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
        if "label_fraction" in batch:
            other = optax.softmax_cross_entropy_with_integer_labels(y, batch["partner_label"])
            xent = other + batch["label_fraction"] * (xent - other)
        if train and smoothing:
            logp = y - jnp.max(y, -1, keepdims=True)
            logp = logp - jnp.log(jnp.sum(jnp.exp(logp), -1, keepdims=True))
            xent = (1 - smoothing) * xent - smoothing * logp.mean(-1)
        more = evaluation_metrics(y, batch) if evaluation_metrics and not train else {}
        return Out(mean(xent, batch["mask"]), {"accuracy": right, **more}, extra)

    return cross_entropy


def samples(
    title: str,
    model: Logits,
    source: Source,
    classes: Sequence[str],
    count: int = 40,
    reliability: bool = True,
) -> Callable[[State, Array], list[Sample]]:
    """Shows predictions of a classifier of images, its worst mistakes, scores and reliability.

    The worst mistakes are those with the smallest probability of the true class, at most 20.

    Args:
        title: what the examples are.
        model: computes logits [batch, classes].
        source: `image` and `label`.
        classes: names of the classes.
        count: number of images shown, the first ones.
        reliability: whether there is a reliability diagram.

    Returns:
        (state, key) -> samples: the first images, the worst mistakes if there are any, the tables
        of `by_class` and `confusions`, and a reliability diagram. The caption of an image is its
        predicted class, and the true one where that differs. The key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        probability, true = probabilities(model, state, source)
        images = _image_samples(title, probability, true, source, classes, count)
        if not reliability:
            return images
        return [*images, diagram_of_classes(f"{title}: reliability", probability, true)]

    return draw


def _image_samples(
    title: str,
    probability: np.ndarray,
    true: np.ndarray,
    source: Source,
    names: Sequence[str],
    count: int,
) -> list[Sample]:
    predicted = probability.argmax(1)
    first = np.arange(min(count, len(true)))
    captions = tuple(
        names[predicted_class]
        if predicted_class == true_class
        else f"{names[predicted_class]}, is {names[true_class]}"
        for predicted_class, true_class in zip(predicted[first], true[first], strict=True)
    )
    correct = tuple((predicted == true)[first].tolist())
    result: list[Sample] = [Images(title, source.gather(first)["image"], captions, correct)]
    worst = _worst(probability, true)
    if len(worst):
        captions = tuple(
            f"{names[predicted[i]]} {probability[i, predicted[i]]:.0%},"
            f" is {names[true[i]]} {probability[i, true[i]]:.0%}"
            for i in worst
        )
        result.append(
            Images(
                f"{title}: the worst mistakes",
                source.gather(worst)["image"],
                captions,
                (False,) * len(worst),
            )
        )
    tables = (table(title, true, predicted, names) for table in (by_class, confusions))
    return [*result, *tables]


def predictor(model: Logits, facts: Facts) -> ImagePredictor:
    """Returns the predictor of a classifier of images.

    Args:
        model: computes logits [batch, classes].
        facts: of the training data: `classes`, and the shape of the field `image`.
    """
    return ImagePredictor(model, facts)


def text_samples(
    title: str, model: Logits, source: Sentences, classes: Sequence[str], count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """Shows predictions of a classifier of texts, its worst mistakes, and its confusions.

    Args:
        title: what the examples are.
        model: computes logits [batch, classes].
        source: `label`, and `texts`, the text of each example.
        classes: names of the classes.
        count: number of texts shown, the first ones.

    Returns:
        (state, key) -> tables: the first texts and the worst mistakes (see `samples`), each with
        its predicted and its true class and their probabilities; and the confusions.
    """
    return lambda state, key: _text_samples(title, model, state, source, classes, count)


def _text_samples(
    title: str, logits: Logits, state: State, source: Sentences, names: Sequence[str], count: int
) -> list[Sample]:
    probability, true = probabilities(logits, state, source)
    predicted, first = probability.argmax(1), np.arange(min(count, len(true)))

    def table(title: str, rows: np.ndarray) -> Table:
        cells = (
            (
                source.texts[i],
                names[predicted[i]],
                digits(probability[i, predicted[i]]),
                names[true[i]],
                digits(probability[i, true[i]]),
            )
            for i in rows
        )
        return Table(
            title, ("text", "predicted", "probability", "true", "its probability"), tuple(cells)
        )

    worst = _worst(probability, true)
    mistakes = [table(f"{title}: the worst mistakes", worst)] if len(worst) else []
    return [table(title, first), *mistakes, confusions(title, true, predicted, names)]


def _worst(p: np.ndarray, true: np.ndarray, count: int = 20) -> np.ndarray:
    """Indices of wrongly predicted examples, the smallest probability of the true class first."""
    of_true = p[np.arange(len(true)), true]
    order = np.argsort(of_true, kind="stable")
    return order[p.argmax(1)[order] != true[order]][:count]
