"""Imitation of driving: predicts a person's steering from the frames of a camera."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.analysis import saliency
from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.kernels import colours
from dlcore.kernels.random import per_example
from dlcore.metrics.known import Metric
from dlcore.tasks import regression
from dlcore.tasks.image_augmentation import Augment
from dlcore.tasks.image_inputs import to_signed
from dlcore.train.batched import over_source
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Inputs, Model
from dlcore.train.step import Batch, Loss, State

BASELINES = {"zero": "straight on", "mean": "mean of training", "last": "last steering again"}
METRICS = {
    **dict.fromkeys(("mse", "mae"), Metric("lower")),
    **{
        f"{name}_{error}": Metric("lower", baseline_of=error)
        for name in BASELINES
        for error in ("mse", "mae")
    },
    "correlation": Metric("higher"),
}
_NOISE, _COPIES = 0.1, 8


def inputs(previous: bool) -> Inputs:
    """Returns the `inputs` of the `Model` of a policy.

    Args:
        previous: whether the steering at the frames before is an input too.

    Returns:
        (batch, key, train) -> frames float32 [batch, history, height, width, c] in [-1, 1], and if
        `previous` the steering [batch, history].
    """

    def of_batch(batch: Batch, key: Array | None, train: bool) -> Array | tuple[Array, Array]:
        frames = to_signed(batch["image"])
        return (frames, batch["previous"]) if previous else frames

    return of_batch


def loss(model: Model, huber: float = 0.0) -> Loss:
    """Returns the squared error of the steering, or its Huber loss; see `regression.loss`.

    Args:
        model: computes steering [batch] of a batch with `target` and `mask`, float [batch].
        huber: the error from which the loss is linear; 0: squared error.
    """
    return regression.loss(model, huber)


def augment(mirror: bool, brightness: float, contrast: float) -> Augment:
    """Returns an augmentation by reflections, which negate the steering, and by colours.

    Args:
        mirror: whether the frames of an example are mirrored left to right with probability 1/2,
            and all its steering negated.
        brightness, contrast: strengths of `kernels.colours.colour_jitter`, one draw for all frames
            of an example.

    Returns:
        (batch, key) -> batch, with `image` float32 [batch, history, height, width, c] in [0, 255],
        `target` [batch] and `previous` [batch, history] changed.
    """

    def changed(batch: Batch, key: Array) -> Batch:
        row, image = batch["row"], batch["image"].astype(jnp.float32) / 255
        target, previous = batch["target"], batch["previous"]
        if mirror:
            coin = per_example(lambda k: jax.random.bernoulli(k), key, row)
            image = jnp.where(coin[:, None, None, None, None], image[:, :, :, ::-1], image)
            target = jnp.where(coin, -target, target)
            previous = jnp.where(coin[:, None], -previous, previous)
        if brightness or contrast:
            batch_size, history, height, width, channels = image.shape
            flat = image.reshape(batch_size, history * height, width, channels)
            key = jax.random.fold_in(key, 1)
            flat = colours.colour_jitter(key, row, flat, brightness, contrast)
            image = flat.reshape(image.shape)
        return {**batch, "image": 255 * image, "target": target, "previous": previous}

    return changed


def _baselines(batch: Mapping[str, np.ndarray], mean: float) -> dict[str, np.ndarray]:
    """What needs no network, [examples] each."""
    target = batch["target"]
    return {
        "zero": np.zeros_like(target),
        "mean": np.full_like(target, mean),
        "last": batch["previous"][:, -1],
    }


def evaluators(model: Model, splits: Splits) -> list[Evaluator]:
    """Evaluates errors of the network and of trivial baselines, on validation and test.

    Validation is scored at each evaluation, test at the end alone. Metrics: `mse`, `mae` and
    `correlation` (Pearson) of the predicted and the true steering; and the squared and absolute
    errors of baselines: `zero_mse` and `zero_mae` of steering straight on, `mean_mse` and
    `mean_mae` of steering by the mean of training, `last_mse` and `last_mae` of steering as the
    person did at the frame before.

    Args:
        model: computes steering [batch].
        splits: with `mean_steering` in its facts.
    """
    sources = {name: splits[name] for name in ("validation", "test")}

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        steering = model(state.params, state.extra, batch, None, False)[0]
        return {name: batch[name] for name in ("target", "previous")} | {"steering": steering}

    def score(collected: Collected, split: str) -> dict[str, float]:
        return scores(collected, splits.facts.mean_steering)

    return [Scored(sources, collect, score, METRICS)]


def scores(collected: Mapping[str, np.ndarray], mean: float) -> dict[str, float]:
    """Computes the errors of predicted steering and of three baselines, and a correlation.

    Args:
        collected: floating: `steering`, predicted, and `target`, the person's, both [n]; and
            `previous` [n, history], the person's at the frames before, the newest last.
        mean: mean steering of training.

    Returns:
        The metrics that `evaluators` describes: `mse`, `mae`, `zero_mse`, `zero_mae`, `mean_mse`,
        `mean_mae`, `last_mse`, `last_mae` and `correlation`, which is 0 where the predictions or
        the targets are constant.
    """
    target, steering = (np.asarray(collected[name], np.float64) for name in ("target", "steering"))
    error = steering - target
    found = {"mse": float((error**2).mean()), "mae": float(np.abs(error).mean())}
    for name, guess in _baselines(collected, mean).items():
        found[f"{name}_mse"] = float(((guess - target) ** 2).mean())
        found[f"{name}_mae"] = float(np.abs(guess - target).mean())
    spread = steering.std() * target.std()
    products = ((steering - steering.mean()) * (target - target.mean())).mean()
    return found | {"correlation": float(products / spread) if spread else 0.0}


@functools.lru_cache(maxsize=1)
def compiled(model: Model) -> Callable[..., Array]:
    """Returns (params, extra, batch) -> steering [batch], compiled."""
    return jax.jit(lambda params, extra, batch: model(params, extra, batch, None, False)[0])


def steering_of(model: Model, state: State, source: Source, batch: int = 100) -> Collected:
    """Computes the steering of all examples of a source.

    Args:
        model: computes steering [batch].
        state: trained parameters.
        source: `image`, `previous` and `target`.
        batch: examples per batch.

    Returns:
        `steering` [n], by the network, `target` [n] and `previous` [n, history], in order.
    """

    def of_batch(rows: Mapping[str, np.ndarray]) -> Mapping[str, Array | np.ndarray]:
        made = compiled(model)(state.params, state.extra, rows)
        return {"steering": made, "target": rows["target"], "previous": rows["previous"]}

    return over_source(of_batch, source, batch)


def saliency_maps(model: Model, state: State, batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Computes saliency maps of the newest frame of each example, see `saliency.gradient_map`.

    Args:
        model: computes steering [batch].
        state: trained parameters.
        batch: `image` [batch, history, height, width, c] in [0, 255], and the model's other inputs.

    Returns:
        Not negative [batch, height, width], from 8 noisy copies; the noise is the same at each
        call.
    """

    rest = {name: jnp.asarray(array) for name, array in batch.items()}

    def output(image: Array) -> Array:
        return model(state.params, state.extra, {**rest, "image": image}, None, False)[0]

    image = jnp.asarray(batch["image"], jnp.float32)
    run = jax.jit(
        lambda x, key: saliency.gradient_map(output, x, key, 255 * _NOISE, _COPIES)[:, -1]
    )
    return np.asarray(run(image, jax.random.key(0)))
