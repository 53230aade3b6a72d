"""Cross-validation of a small table: one network per fold, all of them trained in one program.

Every network is evaluated on the examples that it was not trained on; its inputs are standardised
by the statistics of those that it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Float

from dlcore.data.sets.tables import Folds
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.samples import Plot, Sample, Series, Table, evenly
from dlcore.tasks.confusion import cross_validated
from dlcore.tasks.reliability import of_one_class
from dlcore.train.evaluators import Evaluator, OfState
from dlcore.train.model import Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

CLASSIFICATION = {
    "accuracy_of_folds": Metric("higher"),
    "deviation_of_folds": Metric("lower"),
    "sensitivity": Metric("higher"),
    "specificity": Metric("higher"),
    "calibration_error": Metric("lower"),
}
_MODELS = {"": "networks", "linear_": "linear regression", "ridge_": "ridge regression"}
REGRESSION = {
    **{f"{name}r2": Metric("higher", baseline_of="r2" if name else "") for name in _MODELS},
    **{f"{name}rmse": Metric("lower", baseline_of="rmse" if name else "") for name in _MODELS},
}


def standardised(folds: Folds) -> Callable[[Batch, Array | None, bool], Array]:
    """Returns the `inputs` of a `Model`: the columns, standardised for each network.

    Args:
        folds: with the statistics of each network's training examples.

    Returns:
        (batch, key, train) -> float [networks, batch, n], from `x` [batch, n].
    """

    def inputs(batch: Batch, key: Array | None, train: bool) -> Array:
        return (batch["x"][None] - folds.centre[:, None]) / folds.scale[:, None]

    return inputs


def by_example(y: Float[Array, "networks batch 1"], batch: Batch) -> Float[Array, "batch networks"]:
    """Transposes outputs [networks, batch, 1] to [batch, networks]; the `output` of a `Model`."""
    return y[..., 0].T


def _counts(batch: Batch, train: bool) -> Array:
    """Weights [batch, networks]: in training those of the training examples, else of the others."""
    return (batch["learns"] if train else 1 - batch["learns"]) * batch["mask"][:, None]


def classification_loss(model: Model, label_smoothing: float = 0.0) -> Loss:
    """Returns the mean binary cross-entropy of all networks, in nats; metric: `accuracy`.

    Means are over pairs of a network and an example: in training those where the network is trained
    on the example, in evaluation the others.

    Args:
        model: computes logits [batch, networks] of a batch with `y`, 0 or 1 [batch], `learns`
            [batch, networks], 1 where a network is trained on an example, and `mask` [batch].
        label_smoothing: s; the target is y (1 - s) + s / 2, in training only.
    """

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.float32)
        positive = jnp.broadcast_to(batch["y"][:, None], y.shape)
        smoothed = positive * (1 - label_smoothing) + label_smoothing / 2
        counts = _counts(batch, train)
        xent = optax.sigmoid_binary_cross_entropy(y, smoothed if train else positive)
        right = mean((y > 0) == (positive > 0), counts)
        return Out(mean(xent, counts), {"accuracy": right}, extra)

    return loss


def regression_loss(model: Model, folds: Folds) -> Loss:
    """Returns the mean squared error of all networks, of targets standardised for each network.

    The mean is over pairs of a network and an example: in training those where the network is
    trained on the example, in evaluation the others.

    Args:
        model: computes outputs [batch, networks] of a batch with `y`, float [batch], `learns` and
            `mask`, as of `classification_loss`.
        folds: with the mean and scale of each network's training targets.
    """

    def loss(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        target = (batch["y"][:, None] - folds.y_centre[None]) / folds.y_scale[None]
        square = (y.astype(jnp.float32) - target) ** 2
        return Out(mean(square, _counts(batch, train)), {}, extra)

    return loss


def outputs(model: Model, folds: Folds, state: State) -> Float[np.ndarray, "networks n"]:
    """Computes the outputs of every network for every example, in inference.

    Args:
        model: as of `classification_loss` or `regression_loss`.
        folds: the examples.
        state: trained parameters.

    Returns:
        float64 [networks, N]: of classification, logits whose sigmoid is the probability of the
        second class; of regression, predictions of the targets standardised for each network, that
        is, with the mean `folds.y_centre` and the scale `folds.y_scale`.
    """
    batch = {"x": jnp.asarray(folds.source.arrays["x"])}
    return np.asarray(model(state.params, state.extra, batch, None, False)[0], np.float64).T


def probabilities(model: Model, folds: Folds, state: State) -> Float[np.ndarray, "repeats n"]:
    """Computes out-of-fold probabilities of the second class.

    Args:
        model, folds, state: as of `outputs`.

    Returns:
        float64 [repeats, N]; each by the repeat's network that was not trained on the example.
    """
    return folds.held_out(1 / (1 + np.exp(-outputs(model, folds, state))))


def classification_evaluator(model: Model, folds: Folds) -> Evaluator:
    """Evaluates out-of-fold predictions of two classes at the end, under the split "test".

    `accuracy_of_folds` and `deviation_of_folds`: mean and standard deviation, over the folds of all
    repeats, of the accuracy on a fold's held-out examples. Over all examples and repeats together:
    `sensitivity` and `specificity`, the fractions of the second and of the first class that are
    recognised at a probability of 1/2, and `calibration_error`, the expected calibration error in
    ten bins.

    Args:
        model: as of `classification_loss`.
        folds: the examples, and which network is trained on which.
    """

    def score(state: State) -> dict[str, float]:
        p, y = probabilities(model, folds, state), folds.source.arrays["y"]
        correct = np.repeat((p > 0.5) == y, len(folds.parts()) // folds.repeats, axis=0)
        of_fold = [correct[fold, part].mean() for fold, part in enumerate(folds.parts())]
        metrics = {
            "accuracy_of_folds": np.mean(of_fold),
            "deviation_of_folds": np.std(of_fold),
            "sensitivity": (p > 0.5)[:, y == 1].mean(),
            "specificity": (p <= 0.5)[:, y == 0].mean(),
            "calibration_error": reliability(p.ravel(), np.tile(y, folds.repeats)).error,
        }
        return {name: float(value) for name, value in metrics.items()}

    return OfState("test", score, CLASSIFICATION)


def classification_samples(
    title: str, model: Model, folds: Folds, classes: tuple[str, str]
) -> Callable[[State, Array], list[Sample]]:
    """Shows calibration, confusions and worst mistakes of out-of-fold predictions.

    Args:
        title: what the examples are.
        model, folds: as of `classification_evaluator`.
        classes: names of the two classes.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        p, y = probabilities(model, folds, state), folds.source.arrays["y"]
        every, heading = np.tile(y, folds.repeats), "Calibration on unseen examples"
        return [
            *of_one_class(heading, classes[1], "predictions", p.ravel(), every),
            *cross_validated(title, p, y, classes),
        ]

    return draw


def regression_predictions(model: Model, folds: Folds, state: State) -> dict[str, np.ndarray]:
    """Computes out-of-fold predictions of the networks and of linear models on the same folds.

    Args:
        model: computes outputs [batch, networks], as of `regression_loss`.
        folds: the data; for each network its training examples, to which a linear model of each
            kind is fitted too.
        state: of the networks.

    Returns:
        Predictions by the prefix of their metrics: "" of the networks, "linear_" of least squares,
        "ridge_" of ridge regression, whose penalty is chosen by leave-one-out within the training
        examples. Each is [repeats, N], in the units of the target.
    """
    from sklearn.linear_model import LinearRegression, RidgeCV

    x, y, learns = (folds.source.arrays[name] for name in ("x", "y", "learns"))
    by_networks = outputs(model, folds, state) * folds.y_scale[:, None] + folds.y_centre[:, None]
    of_fold = (x[None] - folds.centre[:, None]) / folds.scale[:, None]
    inputs = [(inside == 1, z) for inside, z in zip(learns.T, of_fold, strict=True)]
    predictions = {"": by_networks}
    for name, baseline in (
        ("linear_", LinearRegression()),
        ("ridge_", RidgeCV(np.logspace(-2, 3, 26))),
    ):
        predictions[name] = np.stack([baseline.fit(z[i], y[i]).predict(z) for i, z in inputs])
    return {name: folds.held_out(predicted) for name, predicted in predictions.items()}


def _regression_scores(model: Model, folds: Folds, state: State) -> dict[str, float]:
    y = np.asarray(folds.source.arrays["y"], np.float64)
    predictions = regression_predictions(model, folds, state)
    squares = {name: float(((p - y) ** 2).mean()) for name, p in predictions.items()}
    explained = {f"{name}r2": float(1 - square / y.var()) for name, square in squares.items()}
    return explained | {f"{name}rmse": square**0.5 for name, square in squares.items()}


def regression_evaluator(model: Model, folds: Folds) -> Evaluator:
    """Evaluates R2 and RMSE of out-of-fold predictions after training, under the split "test".

    The metrics `r2` and `rmse` are of the networks; with the prefixes `linear_` and `ridge_` they
    are of linear models that are fitted on the same folds (see `regression_predictions`). Each is
    computed over all examples and repeats together; RMSE has the units of the target.

    Args:
        model: as of `regression_loss`.
        folds: the examples, and for each network those that it is trained on.
    """
    return OfState("test", lambda state: _regression_scores(model, folds, state), REGRESSION)


def regression_samples(
    title: str, model: Model, folds: Folds
) -> Callable[[State, Array], list[Sample]]:
    """Shows out-of-fold predictions of the first repeat, and the scores beside linear models.

    Args:
        title: what the examples are.
        model, folds: as of `regression_evaluator`.

    Returns:
        (state, key) -> samples; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        y = folds.source.arrays["y"]
        predicted = regression_predictions(model, folds, state)[""][0]
        ends = np.array([y.min(), y.max()])
        drawn, label = evenly(len(y), "examples")
        points = Series(label, y[drawn], predicted[drawn], points=True)
        series = (points, Series("exact", ends, ends))
        scores = _regression_scores(model, folds, state)
        rows = [
            (name, scores[f"{kind}r2"], scores[f"{kind}rmse"]) for kind, name in _MODELS.items()
        ]
        return [
            Plot(title, "true value", "predicted value", series),
            Table("Beside linear models on the same folds", ("model", "R2", "RMSE"), tuple(rows)),
        ]

    return draw
