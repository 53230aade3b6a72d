"""Binary diagnoses with calibrated probabilities: losses and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.source import Arrays, Source
from dlcore.data.splits import Splits
from dlcore.metrics import diagnosis as metrics
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.tasks.image_augmentation import Augment, shift_and_flip
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits, Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

SPECIFICITY = 0.95
_HIGHER, _LOWER = Metric("higher"), Metric("lower")
METRICS = {
    "auc": _HIGHER,
    "sensitivity_at_95_specificity": _HIGHER,
    "balanced_accuracy": _HIGHER,
    "calibration_error": _LOWER,
    "calibration_error_before": _LOWER,
    "temperature": Metric(None),
}
BASELINES = {
    "baseline_accuracy": Metric("higher", baseline_of="net/accuracy"),  # that of the loss
    **{
        f"baseline_{name}": Metric("higher", baseline_of=name)
        for name in ("auc", "sensitivity_at_95_specificity", "balanced_accuracy")
    },
    "baseline_calibration": Metric("lower", baseline_of="calibration_error"),
}


def loss(model: Logits, weights: Sequence[float]) -> Loss:
    """Returns the class-weighted softmax cross-entropy, in nats; metric: `accuracy`, unweighted.

    Args:
        model: computes logits [batch, 2] of a batch with `label`, int [batch], `mask`, float
            [batch], and `calibrates`, float [batch]: 1 for an example that is for the temperature
            alone, and has no weight here in training.
        weights: of the two classes; the loss is the weighted mean.
    """

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        rows = batch["mask"] * (1 - batch["calibrates"]) if train else batch["mask"]
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["label"])
        weighted = rows * jnp.asarray(weights, y.dtype)[batch["label"]]
        right = mean(y.argmax(-1) == batch["label"], rows)
        return Out(mean(xent, weighted), {"accuracy": right}, extra)

    return cross_entropy


def temperature_loss(model: Logits, temperature: Model) -> Loss:
    """Returns the cross-entropy, in nats, of the logits divided by the temperature.

    In training it is over the examples with `calibrates` 1 only; the classifier runs in inference.

    Args:
        model: the classifier, computes logits [batch, 2]; it is trained by another objective.
        temperature: divides its logits.

    Source: Guo et al. 2017, sec. 4.2.
    """
    scaled = calibrated(model, temperature)

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y = scaled(params, extra, batch, None, False)[0]
        rows = batch["mask"] * batch["calibrates"] if train else batch["mask"]
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["label"])
        return Out(mean(xent, rows), {}, extra)

    return cross_entropy


def calibrated(model: Logits, temperature: Model) -> Logits:
    """Returns a model whose logits are divided by the temperature, in float32 or wider.

    Args:
        model: computes logits [batch, 2].
        temperature: model that divides them.
    """

    def scaled(
        params: Params, extra: Extra, batch: Batch, key: Array | None, train: bool
    ) -> tuple[Array, Extra]:
        y, extra = model(params, extra, batch, key, train)
        upcast = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        return temperature.on(params, extra, upcast), extra

    return scaled


def shifted(max_shift: int) -> Augment:
    """Returns an augmentation by random shifts of the examples that train the classifier.

    Those with `calibrates` 1 stay as they are, since the temperature is for images like them.

    Args:
        max_shift: largest shift in pixels, in both dimensions; what a shift uncovers is 0.
    """
    shift = shift_and_flip(max_shift, flip=False)

    def augmented(batch: Batch, key: Array) -> Batch:
        calibrates = batch["calibrates"][:, None, None, None] > 0
        image = jnp.where(calibrates, batch["image"], shift(batch, key)["image"])
        return {**batch, "image": image}

    return augmented


def balanced_weights(class_counts: Sequence[int]) -> tuple[float, ...]:
    """Computes class weights by which both classes weigh the same in sum: total / (2 count).

    Args:
        class_counts: number of training examples of each of the two classes, above 0.
    """
    return tuple(sum(class_counts) / (2 * count) for count in class_counts)


def evaluators(model: Logits, temperature: Model, splits: Splits) -> list[Evaluator]:
    """Evaluates discrimination and calibration of a binary classifier, on validation and test.

    Metrics, of validation at each evaluation and of test at the end: `auc`;
    `sensitivity_at_95_specificity`, at the threshold of the split's own ROC curve;
    `balanced_accuracy` at a probability of 1/2; `calibration_error`, the expected calibration error
    of the probability of the condition (class 1) in ten bins; `calibration_error_before`, the same
    without temperature scaling; `temperature`. At the end also `baseline_accuracy` and
    `baseline_calibration`, of predicting the training fraction of the condition for every image,
    and `baseline_auc`, `baseline_sensitivity_at_95_specificity` and `baseline_balanced_accuracy`,
    of a logistic regression on the pixels.

    Args:
        model: computes logits [batch, 2].
        temperature: divides them.
        splits: of `data.sets.diagnoses`.
    """
    sources = {name: splits[name] for name in ("validation", "test")}
    scaled = calibrated(model, temperature)

    def collect(state: State, batch: Batch) -> Mapping[str, Array]:
        both = [each(state.params, state.extra, batch, None, False)[0] for each in (model, scaled)]
        names = ("before", "after")
        return {
            "label": batch["label"],
            **{
                name: jax.nn.softmax(y.astype(jnp.float32))[:, 1]
                for name, y in zip(names, both, strict=True)
            },
            "logits": both[0].astype(jnp.float32),
            "scaled": both[1].astype(jnp.float32),
        }

    def baseline(collected: Collected, split: str) -> dict[str, float]:
        return of_pixels(splits.train, sources[split], splits.facts.class_counts)

    return [
        Scored(sources, collect, lambda collected, split: scores(collected), METRICS),
        Scored(dict.fromkeys(sources), lambda *_: {}, baseline, BASELINES, "end"),
    ]


def scores(collected: Collected) -> dict[str, float]:
    """Computes the metrics of `evaluators`, without baselines.

    Args:
        collected: `label` int [N]; `before` and `after`, probabilities of the condition without and
            with the temperature [N]; `logits` and `scaled`, the logits without and with it [N, 2],
            from which `temperature` is computed.

    Raises:
        ValueError: examples of one class only.
    """
    true = collected["label"]
    # float32 may round a probability to slightly more than 1
    before, p = (np.clip(collected[name], 0, 1) for name in ("before", "after"))
    point = metrics.at_threshold(p, true, 0.5)
    spread = (np.abs(np.diff(collected[name], axis=1)).sum() for name in ("logits", "scaled"))
    plain, scaled = (float(each) for each in spread)
    return {
        "auc": metrics.auc(p, true),
        "sensitivity_at_95_specificity": metrics.at_specificity(p, true, SPECIFICITY).sensitivity,
        "balanced_accuracy": (point.sensitivity + point.specificity) / 2,
        "calibration_error": reliability(p, true).error,
        "calibration_error_before": reliability(before, true).error,
        "temperature": plain / scaled if scaled else 1.0,
    }


def of_pixels(train: Arrays, source: Source, class_counts: Sequence[int]) -> dict[str, float]:
    """Computes metrics of two baselines: the prior of training, a logistic regression on pixels.

    Args:
        train: in memory, with `image`, `label` and `calibrates`; examples where it is 1 are not
            used.
        source: with `image` and `label`; the metrics are of its examples.
        class_counts: number of training examples of each class.

    Returns:
        {metric: value} of `BASELINES`: `baseline_accuracy` and `baseline_calibration` of the prior,
        the others of the regression, see `evaluators`.

    Raises:
        ValueError: examples of one class only, in `train` or in `source`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def pixels(
        fields: Mapping[str, np.ndarray], rows: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray]:
        image = np.asarray(fields["image"])[rows]
        return image.reshape(len(image), -1) / 255.0, np.asarray(fields["label"])[rows]

    x, y = pixels(train.arrays, train.arrays["calibrates"] == 0)
    held, true = pixels(source.gather(np.arange(len(source))), slice(None))
    # regularised: there are about as many pixels as examples
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=300))
    regression.fit(x, y)
    prior = class_counts[1] / sum(class_counts)
    p = regression.predict_proba(held)[:, 1]
    point, high = metrics.at_threshold(p, true, 0.5), metrics.at_specificity(p, true, SPECIFICITY)
    return {
        "baseline_accuracy": float((true == (prior > 0.5)).mean()),
        "baseline_auc": metrics.auc(p, true),
        "baseline_sensitivity_at_95_specificity": high.sensitivity,
        "baseline_balanced_accuracy": (point.sensitivity + point.specificity) / 2,
        "baseline_calibration": reliability(np.full(len(true), prior), true).error,
    }
