"""Scores of text classifiers: per class, calibration, and baselines that read words alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.sets.sentences import Sentences, plain
from dlcore.data.splits import Splits
from dlcore.metrics.calibration import reliability
from dlcore.metrics.classes import class_scores
from dlcore.metrics.known import Metric
from dlcore.samples import Sample
from dlcore.tasks import class_probabilities, classification
from dlcore.tasks.confusion import by_class
from dlcore.tasks.reliability import diagram_of_classes
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.step import Batch, State

_HIGHER = Metric("higher")
METRICS = {
    "accuracy": _HIGHER,
    "macro_f1": _HIGHER,
    "lowest_f1": _HIGHER,
    "calibration_error": Metric("lower"),
}
BASELINES = {
    f"{method}_{name}": Metric("higher", baseline_of=name)
    for method in ("majority", "bag_of_words")
    for name in ("accuracy", "macro_f1", "lowest_f1")
}


def evaluators(model: Logits, splits: Splits) -> list[Evaluator]:
    """Evaluates a classifier of texts on every held-out split, at the end.

    Metrics: `accuracy`; `macro_f1`, the mean of F1 over the classes that the split has examples of,
    and `lowest_f1`, the smallest of these; `calibration_error`, the expected calibration error of
    the predicted class's probability in ten bins (Guo et al. 2017). The first three also have
    baselines: with the prefix `majority_` of always predicting the most frequent class of train,
    and with `bag_of_words_` of `bag_of_words`.

    Args:
        model: computes logits [batch, classes].
        splits: of `data.sets.labelled_texts`; their fact `majority` is used.
    """
    sources = {name: source for name, source in splits.items() if name != "train"}
    count = len(splits.facts.classes)
    fitted: list[Callable[[Sequence[str]], np.ndarray]] = []  # once for all splits

    def collect(state: State, batch: Batch) -> Mapping[str, Array]:
        y = model(state.params, state.extra, batch, None, False)[0]
        return {"label": batch["label"], "probability": jax.nn.softmax(y.astype(jnp.float32))}

    def baseline(collected: Collected, split: str) -> dict[str, float]:
        if not fitted:
            fitted.append(bag_of_words(splits.train.texts, splits.train.arrays["label"]))
        source = sources[split]
        true = source.gather(np.arange(len(source)))["label"]
        guess = fitted[0](source.texts)  # type: ignore[attr-defined]
        guesses = {"majority": np.full_like(true, splits.facts.majority), "bag_of_words": guess}
        return {
            f"{method}_{name}": value
            for method, predicted in guesses.items()
            for name, value in _of_classes(true, predicted, count).items()
        }

    return [
        Scored(sources, collect, lambda found, split: scores(found, count), METRICS, "end"),
        Scored(dict.fromkeys(sources), lambda *_: {}, baseline, BASELINES, "end"),
    ]


def scores(collected: Collected, classes: int) -> dict[str, float]:
    """Computes the metrics of `evaluators`, without baselines.

    Args:
        collected: `label` int [N], and `probability` of each class [N, classes].
        classes: number of classes.

    Returns:
        {metric: value} of `METRICS`.
    """
    true, p = collected["label"], collected["probability"]
    predicted = p.argmax(1)
    error = reliability(np.minimum(p.max(1), 1), predicted == true).error
    return {**_of_classes(true, predicted, classes), "calibration_error": error}


def _of_classes(true: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, float]:
    """Accuracy, and mean and smallest F1 of the classes that there are examples of."""
    found = class_scores(true, predicted, classes)
    f1 = found.f1[found.examples > 0]
    accuracy = float((predicted == true).mean())
    return {"accuracy": accuracy, "macro_f1": float(f1.mean()), "lowest_f1": float(f1.min())}


def bag_of_words(texts: Sequence[str], label: np.ndarray) -> Callable[[Sequence[str]], np.ndarray]:
    """Fits a linear support vector machine on which words and pairs of words occur in a text.

    Source: Wang and Manning 2012, "Baselines and Bigrams" (SVM-bi).

    Args:
        texts: of training.
        label: their classes, int [N].

    Returns:
        texts -> their predicted classes, int [n].
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    words = CountVectorizer(
        preprocessor=plain, tokenizer=str.split, token_pattern=None, ngram_range=(1, 2), binary=True
    )
    machine = make_pipeline(words, LinearSVC(C=0.1, dual="auto", random_state=0))
    machine.fit(list(texts), label)
    return lambda texts: np.asarray(machine.predict(list(texts)))


def samples(
    title: str, model: Logits, source: Sentences, classes: Sequence[str]
) -> Callable[[State, Array], list[Sample]]:
    """Shows `classification.text_samples`, scores of each class, and a reliability diagram.

    Args:
        title: what the examples are.
        model: computes logits [batch, classes].
        source: `label`, and `texts`.
        classes: names of the classes.

    Returns:
        (state, key) -> samples; the key is not used.
    """
    shown = classification.text_samples(title, model, source, classes)

    def draw(state: State, key: Array) -> list[Sample]:
        p, true = class_probabilities.probabilities(model, state, source)
        return [
            *shown(state, key),
            by_class(title, true, p.argmax(1), classes),
            diagram_of_classes(f"{title}: reliability", p, true),
        ]

    return draw
